"""Callers share forward passes, and each gets its own answers."""

import ctypes
import gc
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import NoneType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeropoint.batcher import Batcher
from zeropoint.errors import InvalidError, ServerError
from zeropoint.tensors import Tensors


class Doubling:
    """A model that doubles ``x``, can be held up, and keeps the rows of each pass."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.widths: list[int] = []
        self.inside = 0
        self.most_inside = 0
        self.go = threading.Event()
        self.go.set()
        self._lock = threading.Lock()

    def run(self, tensors: Tensors) -> Tensors:
        """Runs one pass; a 13 among the numbers is refused."""
        with self._lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            self.rows.append(len(tensors["x"]))
            self.widths.append(tensors["x"].shape[1])
        assert self.go.wait(10.0)
        time.sleep(0.001)
        with self._lock:
            self.inside -= 1
        if (tensors["x"] == 13.0).any():
            raise InvalidError("13")
        return {"y": tensors["x"] * 2.0}


def numbers(*values: float, width: int = 1) -> Tensors:
    return {"x": np.full((len(values), width), np.array(values)[:, None], np.float32)}


def answers(batcher: Batcher, *items: Tensors, **options: Any) -> list[list[float]]:
    """Returns the first column of each item's answer."""
    found: list[list[float]] = [[] for _ in items]
    for part in batcher.execute(items, **options)[0]:
        rows = iter(part.tensors["y"][:, 0].tolist())
        for place in part.places:
            found[place] = [next(rows) for _ in range(len(items[place]["x"]))]
    return found


def in_threads(*calls: Callable[[], Any]) -> list[Any]:
    """Returns what each call returned or raised."""

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


def wait_until(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.001)


def gathered(batcher: Batcher, model: Doubling, *calls: Callable[[], Any]) -> list[Any]:
    """Lets calls come one after the other while a first pass is held up."""
    model.go.clear()
    threads = ThreadPoolExecutor(len(calls) + 1)
    first = threads.submit(lambda: answers(batcher, numbers(0.0)))
    wait_until(lambda: model.inside > 0)
    waiting = []
    for count, call in enumerate(calls, 1):
        waiting.append(threads.submit(call))
        wait_until(lambda count=count: len(batcher._jobs) == count)  # type: ignore[misc]
    model.go.set()
    threads.shutdown()
    assert first.result() == [[0.0]]
    return [one.exception() or one.result() for one in waiting]


def test_one_caller_alone_runs_at_once_in_its_own_thread() -> None:
    threads: list[str] = []

    def run(tensors: Tensors) -> Tensors:
        threads.append(threading.current_thread().name)
        return {"y": tensors["x"]}

    Batcher(run, max_batch=8).execute([numbers(1.0)])
    assert threads == [threading.current_thread().name]


def test_what_waits_goes_together_in_the_next_pass() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=4)
    calls = [lambda n=n: answers(batcher, numbers(n)) for n in range(1, 7)]
    assert gathered(batcher, model, *calls) == [[[2.0 * n]] for n in range(1, 7)]
    assert model.rows == [1, 4, 2]
    assert model.most_inside == 1
    assert (batcher.passes, batcher.rows) == (3, 7)


def test_without_batches_passes_run_side_by_side() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=1, passes=2)
    in_threads(*[lambda n=n: answers(batcher, numbers(n)) for n in range(8)])
    assert model.rows == [1] * 8
    assert model.most_inside <= 2


def test_an_item_over_the_most_goes_alone() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=2)
    calls = [
        lambda: answers(batcher, numbers(1.0)),
        lambda: answers(batcher, numbers(2.0, 3.0, 4.0)),
        lambda: answers(batcher, numbers(5.0)),
    ]
    assert gathered(batcher, model, *calls) == [[[2.0]], [[4.0, 6.0, 8.0]], [[10.0]]]
    assert model.rows == [1, 2, 3]


def test_a_refused_item_fails_its_own_caller_only() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=8)
    calls = [lambda n=n: answers(batcher, numbers(n)) for n in (12.0, 13.0, 14.0)]
    before, refused, after = gathered(batcher, model, *calls)
    assert (before, after) == ([[24.0]], [[28.0]])
    assert isinstance(refused, InvalidError)
    assert model.rows == [1, 3, 1, 1, 1]


def test_rows_of_other_shapes_are_not_joined() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=8)
    calls = [lambda n=n, w=w: answers(batcher, numbers(n, width=w)) for n, w in
             ((1.0, 3), (2.0, 4), (3.0, 3))]  # fmt: skip
    assert gathered(batcher, model, *calls) == [[[2.0]], [[4.0]], [[6.0]]]
    assert model.rows == [1, 2, 1]


def test_shorter_rows_are_filled_up_but_not_beyond_twice_the_work() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=8, padding={"x": 0.0})
    calls = [lambda n=n, w=w: answers(batcher, numbers(n, width=w)) for n, w in
             ((1.0, 10), (2.0, 4), (3.0, 100), (4.0, 9))]  # fmt: skip
    assert gathered(batcher, model, *calls) == [[[2.0]], [[4.0]], [[6.0]], [[8.0]]]
    assert (model.rows, model.widths) == ([1, 3, 1], [1, 10, 100])


def test_raw_rows_are_never_filled_up() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=8, padding={"x": 0.0})
    calls = [
        lambda: answers(batcher, numbers(1.0, width=4)),
        lambda: answers(batcher, numbers(2.0, width=5), as_is=True),
        lambda: answers(batcher, numbers(3.0, width=5), as_is=True),
    ]
    assert gathered(batcher, model, *calls) == [[[2.0]], [[4.0]], [[6.0]]]
    assert (model.rows, model.widths) == ([1, 1, 2], [1, 4, 5])


def test_the_deadline_ends_the_wait_and_the_next_one_gets_the_turn() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=1)
    model.go.clear()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(lambda: answers(batcher, numbers(1.0)))
        wait_until(lambda: model.inside == 1)
        late = pool.submit(
            lambda: answers(batcher, numbers(2.0), deadline_s=time.monotonic() + 0.05)
        )
        wait_until(lambda: len(batcher._jobs) == 1)
        last = pool.submit(lambda: answers(batcher, numbers(3.0)))
        assert isinstance(late.exception(10.0), TimeoutError)
        model.go.set()
        assert (first.result(10.0), last.result(10.0)) == ([[2.0]], [[6.0]])
    assert model.rows == [1, 1]


def test_a_pass_under_way_is_not_called_back() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=4)
    items = [numbers(float(n)) for n in range(3)]
    assert answers(batcher, *items, deadline_s=time.monotonic() - 1.0) == [[0.0], [2.0], [4.0]]


def test_outputs_of_another_number_of_rows_are_not_dealt_out() -> None:
    def run(tensors: Tensors) -> Tensors:
        return {"y": tensors["x"].sum(axis=0, keepdims=True)}

    batcher = Batcher(run, max_batch=4)
    with pytest.raises(Exception, match="max_batch: expected outputs of 2 rows"):
        batcher.execute([numbers(1.0), numbers(2.0)])


def test_no_items_need_no_pass() -> None:
    batcher = Batcher(Doubling().run)
    assert batcher.execute([]) == ([], 0.0)
    assert not batcher._jobs


def test_no_turn_is_free_while_somebody_waits() -> None:
    inside: set[float] = set()
    go = {number: threading.Event() for number in (1.0, 2.0, 3.0, 4.0)}

    def run(tensors: Tensors) -> Tensors:
        number = float(tensors["x"][0, 0])
        inside.add(number)
        assert go[number].wait(10.0)
        return {"y": tensors["x"]}

    batcher = Batcher(run, passes=2)
    with ThreadPoolExecutor(3) as pool:
        one = pool.submit(lambda: answers(batcher, numbers(1.0), numbers(2.0), numbers(3.0)))
        wait_until(lambda: inside == {1.0, 2.0})  # a caller alone has all turns
        other = pool.submit(lambda: answers(batcher, numbers(4.0)))
        wait_until(lambda: len(batcher._jobs) == 2)
        go[2.0].set()
        wait_until(lambda: inside == {1.0, 2.0, 3.0})
        go[3.0].set()
        wait_until(lambda: inside == {1.0, 2.0, 3.0, 4.0})
        go[4.0].set()
        assert other.result(10.0) == [[4.0]]  # whoever came before is still at it
        go[1.0].set()
        assert one.result(10.0) == [[1.0], [2.0], [3.0]]


def test_arrays_of_uneven_rows_shift_nobody_elses() -> None:
    def run(tensors: Tensors) -> Tensors:
        time.sleep(0.02)
        return {"y": tensors["x"] + tensors["z"]}

    def pair(x: list[float], z: list[float]) -> Tensors:
        return {"x": np.array(x)[:, None], "z": np.array(z)[:, None]}

    batcher = Batcher(run, max_batch=16)
    items = [pair([0.0], [0.0]), pair([1.0, 2.0], [10.0]), pair([3.0], [30.0]),
             pair([4.0], [40.0, 50.0]), pair([6.0], [60.0])]  # fmt: skip
    found = in_threads(*[lambda one=one: answers(batcher, one) for one in items])
    assert [one[0][0] for one in found] == [0.0, 11.0, 33.0, 44.0, 66.0]


def test_an_item_without_rows_goes_alone() -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=1)
    none: Tensors = {"x": np.zeros((0, 1), np.float32)}
    calls = [lambda: answers(batcher, none), lambda: answers(batcher, numbers(1.0))]
    assert gathered(batcher, model, *calls) == [[[]], [[2.0]]]
    assert model.rows == [1, 0, 1]


class Interrupt(BaseException):
    """What ends a thread, as KeyboardInterrupt and SystemExit do."""


@pytest.mark.parametrize("first", [0.0, 7.0])
def test_an_interrupted_pass_leaves_nobody_waiting(first: float) -> None:
    model = Doubling()

    def run(tensors: Tensors) -> Tensors:
        found = model.run(tensors)
        if (tensors["x"] == 7.0).any():
            raise Interrupt
        return found

    batcher = Batcher(run, max_batch=2)
    model.go.clear()
    with ThreadPoolExecutor(4) as pool:
        # The first pass is in its caller's thread, those behind it are in one of their own.
        mine = pool.submit(answers, batcher, numbers(first))
        wait_until(lambda: model.inside > 0)
        others = []
        for count, number in enumerate((7.0 - first, 1.0, 2.0), 1):
            others.append(pool.submit(answers, batcher, numbers(number)))
            wait_until(lambda count=count: len(batcher._jobs) == count)  # type: ignore[misc]
        model.go.set()
    if first == 7.0:
        assert isinstance(mine.exception(), Interrupt)
        assert [one.result() for one in others] == [[[0.0]], [[2.0]], [[4.0]]]
    else:
        assert mine.result() == [[0.0]]
        assert [type(one.exception()) for one in others] == [ServerError, ServerError, NoneType]
        assert others[2].result() == [[4.0]]
    assert batcher._running == 0


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No coverage meanwhile, nor in the threads that run passes.

    In CPython 3.11 a traced thread begins no function, for ever, while an exception waits for a
    thread that sleeps.
    """
    tracers = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr("zeropoint.batcher._passing", pool)
        yield
    sys.settrace(tracers[0])
    threading.settrace(tracers[1])


@pytest.mark.usefixtures("untraced")
def test_a_caller_interrupted_in_its_sleep_keeps_no_turn() -> None:
    model = Doubling()
    batcher = Batcher(model.run)
    sleeper: list[int] = []

    def sleep() -> None:
        sleeper.append(threading.get_ident())
        with pytest.raises(Interrupt):
            answers(batcher, numbers(1.0))

    def interrupt() -> list[list[float]]:
        # Told in its sleep it is interrupted as it wakes, with its answer.
        wait_until(lambda: batcher._jobs[0].woken is not None)
        time.sleep(0.05)
        set_error = ctypes.pythonapi.PyThreadState_SetAsyncExc
        set_error(ctypes.c_ulong(sleeper[0]), ctypes.py_object(Interrupt))
        return answers(batcher, numbers(2.0))

    assert gathered(batcher, model, sleep, interrupt) == [None, [[4.0]]]
    assert (batcher._running, batcher._jobs) == (0, [])


@pytest.mark.parametrize("callers", [1, 3])
def test_a_refusal_keeps_no_tensors(callers: int) -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch=8)
    tensors = [numbers(13.0) for _ in range(callers)]
    kept = [weakref.ref(one["x"]) for one in tensors]

    def refused(number: int) -> None:
        with pytest.raises(InvalidError) as caught:
            batcher.execute([tensors[number]])
        del caught

    gc.collect()
    gc.disable()
    try:
        gathered(batcher, model, *[lambda n=n: refused(n) for n in range(callers)])
        tensors.clear()
        wait_until(lambda: all(one() is None for one in kept))  # the thread of the passes ends them
    finally:
        gc.enable()


ITEMS = st.lists(
    st.tuples(st.lists(st.integers(0, 20), min_size=1, max_size=3), st.integers(1, 6)),
    min_size=1,
    max_size=4,
)


@given(st.lists(ITEMS, min_size=1, max_size=6), st.integers(1, 5), st.integers(1, 2), st.booleans())
def test_each_caller_gets_its_own_answers_in_order_under_any_interleaving(
    callers: list[list[tuple[list[int], int]]], max_batch: int, passes: int, padded: bool
) -> None:
    model = Doubling()
    batcher = Batcher(model.run, max_batch, passes, {"x": 0.0} if padded else {})

    def call(items: list[tuple[list[int], int]]) -> list[list[float]]:
        return answers(batcher, *[numbers(*map(float, v), width=width) for v, width in items])

    found = in_threads(*[lambda items=items: call(items) for items in callers])
    for items, got in zip(callers, found, strict=True):
        if any(13 in values for values, _ in items):
            assert isinstance(got, InvalidError)
        else:
            assert got == [[2.0 * value for value in values] for values, _ in items]
    assert model.most_inside <= passes
    assert max(model.rows) <= max(max_batch, *(len(v) for items in callers for v, _ in items))
    assert batcher._running == 0
    assert not batcher._jobs


@pytest.mark.parametrize(("max_batch", "passes"), [(1, 1), (1, 2), (4, 1), (4, 2)])
def test_nobody_is_left_behind_whatever_becomes_of_the_others(max_batch: int, passes: int) -> None:
    def run(tensors: Tensors) -> Tensors:
        time.sleep(0.0003)
        if (tensors["x"] == 13.0).any():
            raise InvalidError("13")
        return {"y": tensors["x"] * 2.0}

    batcher = Batcher(run, max_batch, passes, {"x": 0.0})

    def caller(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - a choice, no secret
        for _ in range(20):
            values = [float(chance.randrange(40)) for _ in range(chance.choice([1, 1, 1, 4]))]
            items = [numbers(value, width=chance.choice([1, 2, 9])) for value in values]
            deadline_s = time.monotonic() + chance.choice([0.0, 0.001, 0.003, 10.0])
            try:
                found = answers(batcher, *items, deadline_s=deadline_s)
            except TimeoutError:
                assert time.monotonic() >= deadline_s
            except InvalidError:
                assert 13.0 in values
            else:
                assert found == [[2.0 * value] for value in values]

    with ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(caller, seed) for seed in range(8)]:
            one.result(30.0)
    assert (batcher._running, batcher._jobs) == (0, [])
