"""How many processors this process may use: its cgroup's quota, else its affinity.

Never the host's count: a container of one vCPU on a host of 64 would run 64 threads on it.
"""

import os
from collections.abc import Iterator
from pathlib import Path


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
    for line in _read(root / "proc/self/cgroup").splitlines():
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            base = root / "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            base = root / "sys/fs/cgroup" / controllers
            if not base.is_dir():
                base = root / "sys/fs/cgroup/cpu"
        else:
            continue
        group = base / path.lstrip("/")
        # Inside a container the path may be the host's, which is not mounted: its parents,
        # up to the container's own root, are looked at too.
        while True:
            yield from _quota(group)
            if group == base:
                break
            group = group.parent


def _quota(group: Path) -> Iterator[float]:
    """Yields the quota of one cgroup, if it has one."""
    fields = _read(group / "cpu.max").split()  # version 2: "150000 100000" or "max 100000"
    if not fields:
        fields = [_read(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(fields) == 2 and all(field.isdecimal() for field in fields) and int(fields[1]):
        yield int(fields[0]) / int(fields[1])


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape")  # a group's name may be any bytes
    except (OSError, ValueError):
        return ""
