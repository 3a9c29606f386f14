"""One round of a contestant: its cold start, a load of requests, its memory."""

import json
import select
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import load
from contestants import PORT, RIGHT, Contestant
from processes import cpu_s, pss_mb, started

_FIRST_S = 60.0
_AGAIN_S = 0.002
CALLERS = 8


class Round(NamedTuple):
    """What one process of a contestant did."""

    cold_start_s: float  # from the spawn to the first right answer
    memory_mb: float  # after all requests
    p50_ms: float  # with one caller
    cpu_ms: float  # of a request, with eight callers; of a bare process: two of them
    requests_per_s: float  # with eight callers; of a bare process: two of them
    busy_p50_ms: float
    busy_p99_ms: float


def measure(contestant: Contestant, count: int) -> Round:
    """Starts a contestant, has it answer, and ends it.

    Args:
        contestant: Who.
        count: Requests, a quarter of them with one caller, the others with eight.

    Raises:
        RuntimeError: an answer that is not right.
        TimeoutError: none came.
    """
    alone, busy = count // 4, count - count // 4
    if not contestant.message:
        return _measure_bare(contestant, alone, busy)
    with _running(contestant) as (process, cold_start_s):
        one = load.run(PORT, process.pid, [contestant.message], 1, alone)
        many = load.run(PORT, process.pid, [contestant.message], CALLERS, busy)
        memory_mb = pss_mb(process.pid)
        _ask_right(contestant.message)
    return Round(
        cold_start_s,
        memory_mb,
        one.p50_ms,
        many.cpu_us / 1000,
        many.requests_per_s,
        many.p50_ms,
        many.p99_ms,
    )


def cold_start_s(contestant: Contestant, quota: Path | None = None) -> float:
    """Returns the seconds from a contestant's spawn to its first right answer."""
    with _running(contestant, quota) as (_, seconds):
        return seconds


def _measure_bare(contestant: Contestant, alone: int, busy: int) -> Round:
    with ExitStack() as stack:
        one, cold_start_s = stack.enter_context(_running(contestant))
        took_s = _passes([one], alone)
        _passes([one], busy // 2)
        memory_mb = pss_mb(one.pid)
        other, _ = stack.enter_context(_running(contestant))
        cpu = cpu_s(one.pid) + cpu_s(other.pid)
        began_s = time.perf_counter()
        both_s = sorted(_passes([one, other], busy // 2))
        requests_per_s = len(both_s) / (time.perf_counter() - began_s)
        cpu_ms = (cpu_s(one.pid) + cpu_s(other.pid) - cpu) / len(both_s) * 1000
    return Round(
        cold_start_s,
        memory_mb,
        statistics.median(took_s) * 1000,
        cpu_ms,
        requests_per_s,
        both_s[len(both_s) // 2] * 1000,
        both_s[int(len(both_s) * 0.99)] * 1000,
    )


def _passes(processes: "list[subprocess.Popen[bytes]]", count: int) -> list[float]:
    """Has bare processes classify at the same time; returns how long each photo took."""
    took_s: list[float] = []
    for process in processes:
        assert process.stdin  # noqa: S101 - a pipe
        process.stdin.write(f"{count}\n".encode())
        process.stdin.flush()
    for process in processes:
        assert process.stdout  # noqa: S101 - a pipe
        took_s += json.loads(process.stdout.readline())
    return took_s


@contextmanager
def _running(
    contestant: Contestant, quota: Path | None = None
) -> Iterator[tuple["subprocess.Popen[bytes]", float]]:
    """Runs a contestant; gives its process and when its first right answer came."""
    pipe = subprocess.DEVNULL if contestant.message else subprocess.PIPE
    with tempfile.TemporaryDirectory() as home:
        environment = {"PATH": "/usr/bin:/bin", "HOME": home, **contestant.environment}
        began_s = time.perf_counter()
        with started(
            contestant.command,
            environment,
            cwd=Path(home),
            stdin=pipe,
            stdout=pipe,
            quota=quota,
        ) as process:
            if contestant.message:
                _wait_for_answer(process, contestant.message)
            else:
                assert process.stdout  # noqa: S101 - a pipe
                if not select.select([process.stdout], [], [], _FIRST_S)[0]:
                    raise TimeoutError(f"{contestant.name}: expected an answer, got none")
                if not RIGHT.search(line := process.stdout.readline()):
                    raise RuntimeError(f"{contestant.name}: expected a cat, got {line!r}")
            yield process, time.perf_counter() - began_s


def _wait_for_answer(process: "subprocess.Popen[bytes]", message: bytes) -> None:
    until_s = time.perf_counter() + _FIRST_S
    last = "none"
    while time.perf_counter() < until_s:
        if process.poll() is not None:
            raise RuntimeError(f"expected a server, it ended with {process.returncode}")
        try:
            return _ask_right(message)
        except (OSError, load.NotReadyError) as error:
            last = str(error)
            time.sleep(_AGAIN_S)
    raise TimeoutError(f"expected a first answer, got {last}")


def _ask_right(message: bytes) -> None:
    with socket.create_connection(("127.0.0.1", PORT), timeout=_FIRST_S) as connection:
        connection.sendall(message)
        body = load.receive(connection)
    if not RIGHT.search(body):
        raise RuntimeError(f"expected a cat, got {body[:300]!r}")
