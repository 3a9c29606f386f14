"""What a server process holds, and for how long a soak runs.

``ZEROPOINT_SOAK_S`` makes it long, as ``make soak`` does; without it each test runs a short form.
"""

import os
import re
import time
from pathlib import Path
from typing import NamedTuple

GROWN = 2  # descriptors, and threads, that are no leak yet
SOAK_S = float(os.environ.get("ZEROPOINT_SOAK_S") or 0.0)


class Held(NamedTuple):
    """What a process holds at one moment."""

    descriptors: int
    threads: int
    memory_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.descriptors} descriptors, {self.threads} threads,"
            f" {self.memory_bytes / 2**20:.0f} MiB"
        )


def held(pid: int) -> Held:
    """Returns what a process holds now."""
    process = Path(f"/proc/{pid}")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", (process / "status").read_text(), re.M)
    assert found
    descriptors = len(list((process / "fd").iterdir()))
    threads = len(list((process / "task").iterdir()))
    return Held(descriptors, threads, int(found[1]) * 1024)


def at_rest(pid: int, most: Held | None = None, within_s: float = 20.0) -> Held:
    """Returns what a process holds once nobody calls it: connections take a moment to be closed.

    Args:
        pid: The process's.
        most: What it held before: until it holds no more than `GROWN` beyond that; without it,
            until no descriptor and no thread comes or goes for a second.
        within_s: Then it is returned as it is.
    """
    until_s = time.monotonic() + within_s
    before = held(pid)
    while time.monotonic() < until_s:
        time.sleep(1.0)
        now = held(pid)
        limits = (most.descriptors + GROWN, most.threads + GROWN) if most else now[:2]
        if now[:2] == before[:2] and now.descriptors <= limits[0] and now.threads <= limits[1]:
            return now
        before = now
    return before
