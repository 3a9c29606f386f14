"""How much memory may still be taken: what needs more is refused, and the process lives on.

The limit is the cgroup's; where none is set, what the system has left. Of what is used, pages of
files do not count, as the system takes them back. What was promised counts until it is given back,
though it may be in use, and so count twice: better a refusal too many than the end of them all.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from zeropoint import cgroups
from zeropoint.errors import InsufficientMemoryError

# What needs less is not asked for: reading the limits would take as long as it does.
_SMALL_BYTES = 1 << 20
_SPARE_BYTES = 16 << 20  # for what nobody asks for: threads, other requests' small things
_ROOT = Path("/")

_lock = threading.Lock()
_promised = 0


@contextmanager
def reserve(size_bytes: int) -> Iterator[None]:
    """Promises memory while something is done that takes it.

    Args:
        size_bytes: The most that it takes at once.

    Raises:
        InsufficientMemoryError: there is not so much left.
    """
    global _promised
    if size_bytes < _SMALL_BYTES:
        yield
        return
    with _lock:
        refuse(size_bytes)
        _promised += size_bytes
    try:
        yield
    finally:
        with _lock:
            _promised -= size_bytes


def refuse(size_bytes: int) -> None:
    """Refuses what would take more than is left and not promised.

    Raises:
        InsufficientMemoryError: there is not so much left.
    """
    if size_bytes + _promised + _SPARE_BYTES > left():
        raise InsufficientMemoryError(
            f"insufficient memory: expected a need within what is left, got {size_bytes >> 20} MiB"
        )


def left(root: Path = _ROOT) -> float:
    """Returns the bytes that this process may still take.

    Args:
        root: Where ``proc`` and ``sys`` are mounted.
    """
    if groups := _limited(root):
        return min(_limit(group) - _used(group) for group in groups)
    for line in cgroups.read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return math.inf


@cache
def _limited(root: Path) -> tuple[Path, ...]:
    """Returns the groups with a limit. That some have one does not change, only how much."""
    return tuple(group for group in cgroups.groups("memory", root) if _limit(group) < math.inf)


def _limit(group: Path) -> float:
    text = cgroups.read(group / "memory.max") or cgroups.read(group / "memory.limit_in_bytes")
    # Version 2 says max where there is none, version 1 the largest number that there is.
    return int(text) if text.strip().isdecimal() and int(text) < 1 << 60 else math.inf


def _used(group: Path) -> int:
    text = cgroups.read(group / "memory.current") or cgroups.read(group / "memory.usage_in_bytes")
    stat = dict(
        line.split(" ", 1) for line in cgroups.read(group / "memory.stat").splitlines() if line
    )
    prefix = "total_" if "total_inactive_file" in stat else ""  # with the groups below, in v1
    files = sum(int(stat.get(f"{prefix}{kind}_file", 0)) for kind in ("inactive", "active"))
    return int(text or 0) - files
