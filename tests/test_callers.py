"""Callers who hang up: what they waited for is dropped before its turn, and nobody else's."""

import contextvars
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiny_models import picture, write_colour_model
from zeropoint import callers
from zeropoint.batcher import Batcher
from zeropoint.callers import Caller
from zeropoint.errors import CancelledError, OverloadedError
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.protocols import Call
from zeropoint.serving import Serving
from zeropoint.settings import Settings
from zeropoint.tensors import Tensors
from zeropoint.timing import ColdStart


class Passes:
    """A forward pass that waits until it is let through, and keeps what went through it."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.rows: list[list[float]] = []

    def __call__(self, tensors: Tensors) -> Tensors:
        """Doubles x."""
        assert self.go.wait(10)
        self.rows.append(tensors["x"].tolist())
        return {"y": 2 * tensors["x"]}


def execute(batcher: Batcher, value: float, gone: threading.Event) -> Any:
    """Has a value go through in a context of its own, for a caller who may hang up."""

    def run() -> Any:
        callers.follow(Caller(time.monotonic(), gone.is_set))
        parts, _ = batcher.execute([{"x": np.array([value])}])
        return parts[0].tensors["y"].tolist()

    return contextvars.Context().run(run)


def wait_for_jobs(batcher: Batcher, count: int) -> None:
    until_s = time.monotonic() + 10
    while sum(job.woken is not None for job in batcher._jobs) != count:
        assert time.monotonic() < until_s
        time.sleep(0.001)


def test_rows_of_who_hung_up_are_in_no_pass() -> None:
    passes = Passes()
    batcher = Batcher(passes, max_batch=8)
    stays, leaves = threading.Event(), threading.Event()
    with ThreadPoolExecutor(6) as pool:
        found: list[Future[Any]] = [pool.submit(execute, batcher, 1.0, leaves)]
        until_s = time.monotonic() + 10
        while not batcher._running:
            assert time.monotonic() < until_s
        for value, caller in ((2.0, stays), (3.0, leaves), (4.0, stays), (5.0, leaves)):
            found.append(pool.submit(execute, batcher, value, caller))
            wait_for_jobs(batcher, len(found) - 1)
        leaves.set()
        passes.go.set()
        # Whose pass ran already is answered: what is done is done.
        assert [found[n].result(10) for n in (0, 1, 3)] == [[2.0], [4.0], [8.0]]
        for n in (2, 4):
            with pytest.raises(CancelledError):
                found[n].result(10)
    assert sorted(value for rows in passes.rows for value in rows) == [1.0, 2.0, 4.0]
    assert (batcher._jobs, batcher._running) == ([], 0)


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """What serves the model ``colour`` on one processor."""
    write_colour_model(tmp_path)
    return Serving(Settings(models=str(tmp_path), cpus=1, timeout_s=30), ColdStart())


@pytest.fixture
def model(serving: Serving) -> Model:
    """That model, in memory."""
    with serving.catalog.use("", time.monotonic() + 30) as found:
        return found


def answer(serving: Serving, caller: Caller) -> Any:
    def run() -> Any:
        callers.follow(caller)
        return serving.answer(Call([Blob(picture("red"))])).predictions[0]["label"]

    return contextvars.Context().run(run)


def test_a_photo_of_who_hung_up_in_the_queue_is_not_decoded(serving: Serving, model: Model) -> None:
    gone = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        assert model._preparing.acquire(timeout=10)
        found = pool.submit(answer, serving, Caller(time.monotonic(), gone.is_set))
        until_s = time.monotonic() + 10
        while model.admission.requests != 1:
            assert time.monotonic() < until_s
        time.sleep(0.05)
        gone.set()
        model._preparing.release()
        with pytest.raises(CancelledError):
            found.result(10)
    assert model.admission.requests == 0
    assert model._preparing.acquire(blocking=False)  # it is given back
    model._preparing.release()


def test_who_need_not_wait_is_not_asked(serving: Serving, model: Model) -> None:
    assert answer(serving, Caller(time.monotonic(), lambda: True)) == "red"


def test_the_deadline_counts_from_when_the_request_came(serving: Serving, model: Model) -> None:
    assert model._preparing.acquire(timeout=10)
    began_s = time.monotonic()
    with pytest.raises(OverloadedError, match="a turn before the deadline"):
        answer(serving, Caller(time.monotonic() - 29.9))
    assert time.monotonic() - began_s < 5
    model._preparing.release()


def test_a_long_request_of_who_hung_up_is_dropped_between_two_batches(model: Model) -> None:
    asked = 0

    def gone() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    def run() -> None:
        callers.follow(Caller(time.monotonic(), gone))
        model.answer([Blob(picture("red"))] * 100)

    with pytest.raises(CancelledError):
        contextvars.Context().run(run)
    assert model.batcher.rows < 10


def test_of_no_request_nobody_hangs_up() -> None:
    def run() -> Caller:
        callers.refuse_gone()
        return callers.current()

    assert abs(contextvars.Context().run(run).arrived_s - time.monotonic()) < 1
