"""How long things take: the steps of an answer, and the phases of a cold start."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST_START_S = 3600.0


class Timings(dict[str, float]):
    """Seconds by step, in the order in which the steps first ran."""

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Adds the time spent inside to ``step``."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self[step] = self.get(step, 0.0) + time.perf_counter() - began_s

    def ms(self) -> dict[str, float]:
        """Returns the same in milliseconds, to a microsecond."""
        return {step: round(seconds * 1000.0, 3) for step, seconds in self.items()}

    def header(self, prefix: str = "") -> str:
        """Returns the steps as the value of a ``Server-Timing`` header."""
        return ", ".join(f"{prefix}{step};dur={ms:.10g}" for step, ms in self.ms().items())


def process_age_s() -> float:
    """Returns the seconds since this process began, or 0 where the system does not tell."""
    try:
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began_s = int(after_name[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc(5)
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - began_s
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return age_s if 0.0 <= age_s <= _LONGEST_START_S else 0.0


class ColdStart:
    """When this process began, and which of its answers is the first.

    Built once the framework has imported the function, before the server may fork.
    """

    def __init__(self) -> None:
        self.process_s = process_age_s()
        self._began_s = time.monotonic() - self.process_s
        self._first = threading.Lock()

    def is_first(self) -> bool:
        """Returns True once, to the first who asks."""
        return self._first.acquire(blocking=False)

    def total_s(self) -> float:
        """Returns the seconds since the process began."""
        return time.monotonic() - self._began_s
