"""What a model costs: bytes, milliseconds to load and to answer, and processor time.

A machine that is shared, or that gets warm, is quicker at one moment than at another. So two models
take turns, and what counts is the ratio within each round.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from zeropoint.instances import Instance
from zeropoint.model import Model
from zeropoint.session import Session
from zeropoint.tensors import Tensors

_LOADS = 9
_ROUNDS = 31
_LEAST_ROUNDS = 7
_LEAST_ROUND_S = 0.02  # a shorter one is mostly noise
_BUDGET_S = 8.0
# Two runs of one model differ by so much at least; beyond the most, nothing is left to judge by.
LEAST_NOISE, _MOST_NOISE = 0.03, 0.1
_DEVIATION = 1.4826  # of a normal distribution, from its median absolute deviation
_OF_MEDIAN = 1.2533  # the standard error of its median by that of its mean
_Measured = TypeVar("_Measured")


class Subject(NamedTuple):
    """A model to be measured, and what it is asked."""

    path: Path
    model: Model
    instances: Sequence[Instance]
    tensors: Sequence[Tensors]  # the same, prepared
    parameters: Mapping[str, Any] = {}  # of what it is asked


class Cost(NamedTuple):
    """What one model takes; medians."""

    bytes: int
    load_ms: float  # until a session can run
    p50_ms: float  # a whole prediction
    pass_cpu_ms: float  # processor time of a forward pass
    cpu_ms: float  # processor time of a whole prediction


class Ratio(NamedTuple):
    """A candidate's processor time by the original's: the medians of the rounds' ratios."""

    load: float
    pass_cpu: float
    cpu: float


class Pair(NamedTuple):
    """The original and a candidate, measured in turns."""

    original: Cost
    candidate: Cost
    ratio: Ratio
    noise: float  # how far from 1 the ratio of a whole prediction may be by chance
    rounds: int


class _Load(NamedTuple):
    wall_s: float
    cpu_s: float


class _Round(NamedTuple):
    pass_cpu_s: float
    cpu_s: float
    walls_s: list[float]


def measure(original: Subject, candidate: Subject) -> Pair:
    """Measures two models in turns, each with one thread.

    Args:
        original: What the other is held against.
        candidate: Answers the same instances.
    """
    pair = (original, candidate)
    with _undisturbed():
        loads = _turns(pair, _LOADS, _load)
        _round(candidate, 1)  # warm
        _round(original, 1)
        began_s = time.perf_counter()
        one = _round(original, 1)
        once_s = time.perf_counter() - began_s
        repeats = max(1, round(_LEAST_ROUND_S / max(one.cpu_s, 1e-9)))
        rounds = int(_BUDGET_S / max(2 * repeats * once_s, 1e-9))
        rounds = max(_LEAST_ROUNDS, min(_ROUNDS, rounds))
        timed = _turns(pair, rounds, lambda subject: _round(subject, repeats))
    count = repeats * len(original.instances)
    costs = [
        Cost(
            subject.path.stat().st_size,
            _median(load[place].wall_s for load in loads) * 1e3,
            _median(wall for one in timed for wall in one[place].walls_s) * 1e3,
            _median(one[place].pass_cpu_s for one in timed) * 1e3 / count,
            _median(one[place].cpu_s for one in timed) * 1e3 / count,
        )
        for place, subject in enumerate(pair)
    ]
    ratio = Ratio(
        _median(b.cpu_s / a.cpu_s for a, b in loads),
        _median(b.pass_cpu_s / a.pass_cpu_s for a, b in timed),
        _median(b.cpu_s / a.cpu_s for a, b in timed),
    )
    noise = _noise([b.cpu_s / a.cpu_s for a, b in timed])
    return Pair(costs[0], costs[1], ratio, noise, rounds)


def _turns(
    pair: tuple[Subject, Subject], rounds: int, measure_one: Callable[[Subject], _Measured]
) -> list[tuple[_Measured, _Measured]]:
    """Measures both, round after round, the one first and then the other."""
    found = []
    for number in range(rounds):
        if number % 2:
            second = measure_one(pair[1])
            found.append((measure_one(pair[0]), second))
        else:
            first = measure_one(pair[0])
            found.append((first, measure_one(pair[1])))
    return found


def _load(subject: Subject) -> _Load:
    began_s, cpu_s = time.perf_counter(), time.process_time()
    Session(subject.path, 1)
    return _Load(time.perf_counter() - began_s, time.process_time() - cpu_s)


def _round(subject: Subject, repeats: int) -> _Round:
    model = subject.model
    began_s = time.process_time()
    for _ in range(repeats):
        for tensors in subject.tensors:
            model.forward(tensors)
    between_s = time.process_time()
    walls_s = []
    for _ in range(repeats):
        for instance in subject.instances:
            wall_s = time.perf_counter()
            model.answer([instance], subject.parameters)
            walls_s.append(time.perf_counter() - wall_s)
    return _Round(between_s - began_s, time.process_time() - between_s, walls_s)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keeps the collector of garbage out of what is measured."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _noise(ratios: Sequence[float]) -> float:
    """Returns three standard errors of the median of ratios, in bounds; its spread is robust."""
    middle = statistics.median(ratios)
    deviation = _DEVIATION * statistics.median(abs(ratio - middle) for ratio in ratios)
    error = _OF_MEDIAN * deviation / math.sqrt(len(ratios))
    return min(max(3.0 * error, LEAST_NOISE), _MOST_NOISE)


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)
