"""Who waits for the answer that a thread makes, since when, and whether they still do."""

import contextvars
import time
from collections.abc import Callable
from typing import NamedTuple

from zeropoint.errors import CancelledError


def _never() -> bool:
    return False


class Caller(NamedTuple):
    """A caller; where the server cannot tell, nobody ever hangs up."""

    arrived_s: float  # of `time.monotonic`: when the whole request had come in
    gone: Callable[[], bool] = _never


_caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar("caller", default=None)


def follow(caller: Caller) -> None:
    """Names whose request this thread answers from now on."""
    _caller.set(caller)


def current() -> Caller:
    """Returns whose request this thread answers; of no request, one that comes now and stays."""
    return _caller.get() or Caller(time.monotonic())


def refuse_gone() -> None:
    """Ends the work for a caller who has hung up; called where a turn had to be awaited.

    Raises:
        CancelledError: they have.
    """
    if current().gone():
        raise gone()


def gone() -> CancelledError:
    """Returns the error of a caller who has hung up."""
    return CancelledError("expected a caller who waits, got one who hung up")
