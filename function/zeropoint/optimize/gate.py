"""Which candidate may take the original's place."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from zeropoint.manifest import Gate
from zeropoint.optimize import agreement
from zeropoint.optimize.measuring import LEAST_NOISE, Pair

DEFAULT_MAX_DROP = 1.0  # points
DEFAULT_REASON = "the default of zeropoint optimize"
_ASKED = "asked for, without a reason"
_NOISE_OF_LOAD = 0.15


class Trial(NamedTuple):
    """A candidate, how it did, and why it does not pass; it passes if there is no reason."""

    name: str
    how: str
    requires: tuple[str, ...]
    size_bytes: int
    figures: Mapping[str, float]
    drop: float | None  # in points of the gate's metric; None where nothing could be compared
    pair: Pair | None
    reasons: tuple[str, ...]
    alone: bool = False  # rows go through it one by one
    threads: int = 0  # that pay in a pass; 0: one for each processor, or not measured
    max_batch: int = 0  # most rows of a pass; 0: the manifest's


def points(count: float) -> str:
    """Says a number of points."""
    return f"{count:g} point{'' if count == 1 else 's'}"


def chosen(metric: str, own: Gate | None, max_drop: float | None, reason: str) -> Gate:
    """Returns the gate that is asked for, else an artifact's own, else the default."""
    if max_drop is not None:
        return Gate(metric, max_drop, reason or _ASKED)
    if own:
        return Gate(metric, own.max_drop, reason or own.reason)
    return Gate(metric, DEFAULT_MAX_DROP, reason or DEFAULT_REASON)


def reasons(gate: Gate, figures: Mapping[str, float], pair: Pair | None) -> tuple[str, ...]:
    """Returns why a candidate does not pass; nothing if it does.

    Args:
        gate: How much worse it may be.
        figures: Of `agreement.compare`.
        pair: What it costs; None where only its answers are looked at.
    """
    if not all(math.isfinite(value) for value in figures.values()):
        return ("its answers have numbers that are not finite",)
    found = []
    drop = agreement.drop(gate.metric, figures)
    if drop > gate.max_drop:
        found.append(f"{gate.metric} is {drop:.2f} points worse, at most {gate.max_drop:g} may be")
    if pair is None:
        return tuple(found)
    if pair.ratio.cpu > 1.0 + pair.noise:
        found.append(f"it takes {pair.ratio.cpu:.2f} times the original's CPU time")
    quicker = pair.ratio.cpu < 1.0 - pair.noise or pair.ratio.load < 1.0 - _NOISE_OF_LOAD
    if pair.candidate.bytes > pair.original.bytes and not quicker:
        found.append("it is larger than the original and not quicker")
    return tuple(found)


def winner(trials: Iterable[Trial]) -> Trial | None:
    """Returns the trial with the least CPU time for a prediction.

    Of equals the one that lost least, and then the smallest file.
    """
    passed = [(trial.pair.ratio.cpu, trial) for trial in trials if trial.pair and not trial.reasons]
    least = min((ratio for ratio, _ in passed), default=0.0)
    equals = [trial for ratio, trial in passed if ratio <= least + LEAST_NOISE]
    return min(equals, key=lambda trial: (trial.drop or 0.0, trial.size_bytes), default=None)
