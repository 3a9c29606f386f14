"""The tree of errors: what every one of them carries."""

import pickle
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module

import pytest

import zeropoint
from zeropoint import errors
from zeropoint.errors import (
    ClientError,
    MethodNotAllowedError,
    ServerError,
    UnavailableError,
    ZeropointError,
)


def tree(top: type[ZeropointError]) -> Iterator[type[ZeropointError]]:
    yield top
    for below in top.__subclasses__():
        yield from tree(below)


# Apache Beam has an environment of its own; its module has no errors of its own.
_NOT_IMPORTED = {"zeropoint.function", "zeropoint.__main__", "zeropoint.batch.beam"}
for module in pkgutil.walk_packages(zeropoint.__path__, "zeropoint."):
    if module.name not in _NOT_IMPORTED:
        import_module(module.name)
CLASSES = sorted(set(tree(ZeropointError)), key=lambda found: found.__name__)
each = pytest.mark.parametrize("found", CLASSES, ids=lambda found: found.__name__)


@each
def test_every_error_has_a_status_and_a_code(found: type[ZeropointError]) -> None:
    assert 400 <= found.status < 600
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", found.code)
    assert found.__name__.endswith("Error")
    assert found.__doc__


@each
def test_the_clients_errors_are_4xx_and_ours_5xx_or_429(found: type[ZeropointError]) -> None:
    assert issubclass(found, ClientError) == (found.status < 500 and found.status != 429)
    assert found.retryable == (found.status in (429, 503))


def test_a_code_belongs_to_one_class() -> None:
    own = [found.code for found in CLASSES if "code" in vars(found)]
    assert len(own) == len(set(own))


@each
def test_an_error_says_its_message(found: type[ZeropointError]) -> None:
    error = found("expected this, got that")
    assert str(error) == error.message == "expected this, got that"


@each
def test_within_says_where_and_keeps_the_rest(found: type[ZeropointError]) -> None:
    error = found("expected this, got that")
    error.__dict__.update(more=[1])
    placed = error.within("instance 2 of 3")
    assert type(placed) is found
    assert str(placed) == placed.message == "instance 2 of 3: expected this, got that"
    assert (placed.status, placed.code) == (error.status, error.code)
    assert placed.__dict__ == {**error.__dict__, "message": placed.message}
    assert str(error) == error.message == "expected this, got that"  # the first one is as it was
    assert placed.within("a").message == "a: instance 2 of 3: expected this, got that"


def test_within_keeps_what_a_class_adds() -> None:
    assert UnavailableError("away", retry_after_s=7.5).within("here").retry_after_s == 7.5
    assert MethodNotAllowedError("no", allow=("GET", "PUT")).within("here").allow == ("GET", "PUT")


@each
def test_an_error_can_be_sent_to_another_process(found: type[ZeropointError]) -> None:
    error = found("expected this").within("here")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), again.__dict__) == (found, error.__dict__)


def test_ours_is_the_default_and_tells_nothing() -> None:
    assert (ServerError.status, ServerError.code, ServerError.retryable) == (500, "internal", False)
    assert all(found in CLASSES for found in vars(errors).values() if isinstance(found, type))
