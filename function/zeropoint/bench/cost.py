"""What predictions cost on Cloud Run, from the time that they take.

Request-based billing charges an instance for the time in which it has at least one request: a lone
request its own time, rounded up, and requests that come together the time that they share.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from zeropoint.bench.prices import INSTANCE_BASED, MONTH_S, REQUEST_BASED, STEP_S, Rate

_A_THOUSAND = 1000


class Size(NamedTuple):
    """An instance's size."""

    vcpus: float
    memory_mib: float


class Bill(NamedTuple):
    """What 1,000 predictions cost in US dollars, and from when on always-on costs less."""

    billed_ms: float  # a prediction, request-based
    request_based: float
    instance_based: float | None  # if it never idles; None: it does, for how long is not known
    break_even_per_s: float  # predictions
    break_even_per_month: float


def per_second(size: Size, rate: Rate) -> float:
    """Returns what an instance costs a second."""
    return size.vcpus * rate.vcpu_s + size.memory_mib / 1024 * rate.gib_s


def steps(seconds: float) -> int:
    """Returns the steps of `STEP_S` that are billed for a time, begun ones included."""
    return max(1, math.ceil(round(seconds / STEP_S, 6)))


def lone(size: Size, walls_s: Sequence[float]) -> Bill:
    """Bills predictions that never overlap.

    Args:
        size: Of the instance.
        walls_s: How long each of them took, one after the other.
    """
    billed_s = STEP_S * statistics.fmean(map(steps, walls_s))
    return _bill(size, billed_s, math.fsum(walls_s) / len(walls_s))


def busy(size: Size, per_s: float) -> Bill:
    """Bills predictions of an instance that always has some to answer.

    Args:
        size: Of the instance.
        per_s: Predictions a second.
    """
    return _bill(size, 1.0 / per_s, 1.0 / per_s)


def cold(size: Size, wall_s: float) -> Bill:
    """Bills predictions of which each needs an instance of its own to start."""
    return _bill(size, STEP_S * steps(wall_s), None)


def always_on(size: Size) -> float:
    """Returns what an instance costs a month that is never stopped, by instance-based billing."""
    return MONTH_S * per_second(size, INSTANCE_BASED)


def _bill(size: Size, billed_s: float, shared_s: float | None) -> Bill:
    each = billed_s * per_second(size, REQUEST_BASED) + REQUEST_BASED.request
    kept = per_second(size, INSTANCE_BASED)
    return Bill(
        billed_ms=billed_s * 1000.0,
        request_based=_A_THOUSAND * each,
        instance_based=None if shared_s is None else _A_THOUSAND * shared_s * kept,
        break_even_per_s=kept / each,
        break_even_per_month=MONTH_S * kept / each,
    )
