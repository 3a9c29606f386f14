"""`zeropoint serve` in a fresh process, for the time of a measurement."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, NamedTuple

from zeropoint.bench.load import Reply, connect, receive
from zeropoint.errors import ServerError

_START_S = 120.0
_STOP_S = 15.0
_PAUSE_S = 0.001
_TOLD = 300  # characters of what a server said before it ended


class Places(NamedTuple):
    """Which processors the server has, and which its callers; empty where none can be chosen."""

    server: tuple[int, ...]
    callers: tuple[int, ...]


class Server(NamedTuple):
    """A server that has just been started."""

    process: "subprocess.Popen[bytes]"
    port: int
    began_s: float  # of `time.perf_counter`
    stderr: IO[bytes]

    def first_answer(self, message: bytes) -> tuple[Reply, float]:
        """Sends a request as soon as somebody listens.

        Returns:
            The answer, and the seconds from the process's start to it.

        Raises:
            ZeropointError: the server ended or refused, or nothing came in time.
        """
        with self._connected() as connection:
            connection.sendall(message)
            reply = receive(connection)
        return reply, time.perf_counter() - self.began_s

    def _connected(self) -> socket.socket:
        while time.perf_counter() - self.began_s < _START_S:
            try:
                return connect(self.port)
            except OSError:
                time.sleep(_PAUSE_S)
            if self.process.poll() is not None:
                raise ServerError(self._last_words())
        raise ServerError(f"expected a server within {_START_S:g} s, got none")

    def _last_words(self) -> str:
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").strip().splitlines()
        told = lines[-1].removeprefix("zeropoint: ")[:_TOLD] if lines else "nothing"
        return f"expected a server, got one that ended and said {told}"


def places(vcpus: int) -> Places:
    """Returns the processors for the server, and the others for the callers, or the same."""
    try:
        mine = sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return Places((), ())
    return Places(tuple(mine[:vcpus]), tuple(mine[vcpus:] or mine))


@contextmanager
def serving(model: str, vcpus: int, at: Places) -> Iterator[Server]:
    """Starts a server of a model and ends it with the block.

    Args:
        model: Its default model.
        vcpus: For how many processors it is set up.
        at: Where it runs, and this thread meanwhile.
    """
    port = _free_port()
    command = [sys.executable, "-m", "zeropoint", "serve", "--port", str(port)]
    own = {"ZEROPOINT_MODEL": model, "ZEROPOINT_CPUS": str(vcpus)}
    own |= {"ZEROPOINT_API_KEY": "", "ZEROPOINT_IDLE_EXIT_S": ""}  # its caller brings no key
    process = None
    with tempfile.TemporaryFile() as stderr, _moved(at.callers):
        try:
            with _later_signals(), _moved(at.server):  # which the process inherits
                began_s = time.perf_counter()
                process = subprocess.Popen(  # noqa: S603 - this very program
                    command, env={**os.environ, **own}, stdout=subprocess.DEVNULL, stderr=stderr
                )
            yield Server(process, port, began_s, stderr)
        finally:
            if process:
                _stop(process)


@contextmanager
def _later_signals() -> Iterator[None]:
    """Keeps what would end this process until the block has ended: a child would stay behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.signal(one, lambda number, frame: came.append(number)) for one in wanted}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def _moved(to: Sequence[int]) -> Iterator[None]:
    """Moves this thread to other processors for a while."""
    if not to:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
