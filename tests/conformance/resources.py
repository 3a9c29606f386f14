"""What a server's process takes: memory, descriptors, threads."""

import os
from pathlib import Path
from typing import NamedTuple

from servers import Server

MIB = 1 << 20


class Resources(NamedTuple):
    """What a process takes now."""

    memory_bytes: int
    descriptors: int
    threads: int


def taken(server: Server) -> Resources:
    """Returns what a server takes."""
    folder = Path(f"/proc/{server.process.pid}")
    descriptors = len(os.listdir(folder / "fd"))
    return Resources(_memory_bytes(server, "VmRSS"), descriptors, len(os.listdir(folder / "task")))


class Growth:
    """How much memory a server takes beyond what it takes now."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before_bytes = _memory_bytes(server, "VmRSS")
        Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # VmHWM begins again

    @property
    def now_bytes(self) -> int:
        """By how much it has grown."""
        return _memory_bytes(self._server, "VmRSS") - self._before_bytes

    @property
    def most_bytes(self) -> int:
        """By how much it had grown at its most."""
        return _memory_bytes(self._server, "VmHWM") - self._before_bytes


def _memory_bytes(server: Server, what: str) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if what in line)
