"""How many processors this process may use: its cgroup's quota, else its affinity.

Never the host's count: a container of one vCPU on a host of 64 would run 64 threads on it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from zeropoint import cgroups


def available(root: Path = Path("/")) -> float:
    """Returns the processors that this process may use, at least a hundredth.

    Args:
        root: Where ``proc`` and ``sys`` are mounted.
    """
    return max(0.01, min([_affinity(), *_quotas(root)]))


def threads(cpus: float) -> int:
    """Returns the threads for ``cpus``: whole ones, as a part of one is only throttled sooner."""
    return max(1, int(cpus))


def _affinity() -> float:
    try:
        return float(len(os.sched_getaffinity(0)))
    except AttributeError:  # not on this platform
        return float(os.cpu_count() or 1)


def _quotas(root: Path) -> Iterator[float]:
    """Yields every quota that binds this process: its own cgroup's and those above it."""
    for group in cgroups.groups("cpu", root):
        yield from _quota(group)


def _quota(group: Path) -> Iterator[float]:
    """Yields the quota of one cgroup, if it has one."""
    fields = cgroups.read(group / "cpu.max").split()  # version 2: "150000 100000" or "max 100000"
    if not fields:
        names = ("quota", "period")
        fields = [cgroups.read(group / f"cpu.cfs_{name}_us").strip() for name in names]
    if len(fields) == 2 and all(field.isdecimal() for field in fields) and int(fields[1]):
        yield int(fields[0]) / int(fields[1])
