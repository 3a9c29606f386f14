"""A socket passed to `zeropoint serve` as systemd does it, which stays open behind the process."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from servers import ROOT, SERVE, environment

TIMEOUT_S = 60
_CLEAR = 100  # of the descriptors where systemd has the sockets
# Moves descriptors to 3 and after it, and becomes the command.
_MOVE = """
import os, sys
moved, command = [int(one) for one in sys.argv[1].split()], sys.argv[2:]
for place, number in enumerate(moved, 3):
    os.dup2(number, place)
    os.close(number)
count = os.environ.get("COUNT", str(len(moved)))
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}
os.execv(command[0], command)
"""


def start(
    sockets: Sequence[socket.socket],
    home: Path,
    settings: Mapping[str, str],
    command: Sequence[str] = SERVE,
) -> "subprocess.Popen[str]":
    """Starts a command with sockets from descriptor 3 on; what it says goes to one pipe."""
    kept = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, _CLEAR) for one in sockets]
    try:
        return subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", _MOVE, " ".join(map(str, kept)), *command],
            cwd=ROOT,
            env=environment(home, settings),
            pass_fds=kept,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        for one in kept:
            os.close(one)


@contextlib.contextmanager
def started(
    sockets: Sequence[socket.socket], home: Path, settings: Mapping[str, str]
) -> Iterator["subprocess.Popen[str]"]:
    """Gives `zeropoint serve` as `start` does, and ends it, should it be there still."""
    process = start(sockets, home, settings)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Activator:
    """Starts `zeropoint serve` whenever somebody connects and none runs, as systemd does.

    Args:
        settings: Of each process.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self.ended: list[int] = []  # the exit status of each process
        self.said: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory()
        self._stopping = False
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        if self.process:
            self.process.send_signal(signal.SIGTERM)
        self._thread.join(TIMEOUT_S)
        self._socket.close()
        self._home.cleanup()

    def wait_for_rest(self) -> None:
        """Waits until no process is there."""
        wait_until(lambda: self.process is None)

    def _run(self) -> None:
        while not self._stopping:
            if not select.select([self._socket], [], [], 0.05)[0]:
                continue
            with start([self._socket], Path(self._home.name), self._settings) as process:
                self.process = process
                said, _ = process.communicate()
            self.said.append(said)
            self.ended.append(process.returncode)
            self.process = None


def wait_until(condition: Callable[[], object]) -> None:
    """Waits until something is so."""
    until_s = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > until_s:
            raise TimeoutError(f"not so within {TIMEOUT_S} s")
        time.sleep(0.01)


def stop(process: "subprocess.Popen[str]") -> str:
    """Ends a process that `start` gave, and returns what it said."""
    process.terminate()
    said, _ = process.communicate(timeout=TIMEOUT_S)
    return said
