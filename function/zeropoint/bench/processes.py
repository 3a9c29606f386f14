"""What a process and those that it started have used, from /proc; None where there is none."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def cpu_s(pid: int, proc: Path = _PROC) -> float | None:
    """Returns the processor seconds of a process and its descendants, those ended included."""
    try:
        return sum(_ticks(proc / str(one)) for one in _tree(pid, proc)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def pss_bytes(pid: int, proc: Path = _PROC) -> int | None:
    """Returns the memory of a process and its descendants, shared pages divided by their users."""
    try:
        return sum(_pss(proc / str(one)) for one in _tree(pid, proc))
    except (OSError, ValueError):
        return None


def _tree(pid: int, proc: Path) -> Iterator[int]:
    yield pid
    for thread in (proc / str(pid) / "task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from _tree(int(child), proc)


def _ticks(process: Path) -> int:
    """Returns utime, stime, cutime and cstime of proc(5) together."""
    after_name = (process / "stat").read_text().rpartition(")")[2].split()
    return sum(int(after_name[place]) for place in (11, 12, 13, 14))


def _pss(process: Path) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB$", (process / "smaps_rollup").read_text(), re.M)
    if not found:
        raise ValueError("expected a line Pss")
    return int(found[1]) * 1024
