"""An open-loop load: requests come when they come, however slowly those before are answered."""

import random
import selectors
import socket
import time
from collections import deque
from typing import NamedTuple

_MOST_CONNECTIONS = 900  # of the 1,000 that a server takes
_READ_BYTES = 1 << 16


class Outcome(NamedTuple):
    """What became of one request."""

    sent_s: float  # since the load began
    took_s: float
    status: int
    retry_after: str


class _Pending(NamedTuple):
    sent_s: float
    data: bytearray


def run(port: int, message: bytes, per_s: float, seconds: float, seed: int = 0) -> list[Outcome]:
    """Sends a request ``per_s`` times a second, at random times, and waits for all answers.

    Args:
        port: Where the server listens.
        message: The request, on a connection that is kept.
        per_s: How many arrive a second, as a Poisson process.
        seconds: For so long they arrive.
        seed: Of the times.

    Raises:
        RuntimeError: a connection ended without an answer, or there were too many of them.
    """
    chance = random.Random(seed)  # noqa: S311 - the same times at each run
    idle: deque[socket.socket] = deque()
    pending: dict[socket.socket, _Pending] = {}
    outcomes: list[Outcome] = []
    began_s = time.monotonic()
    next_s = began_s
    try:
        with selectors.DefaultSelector() as selector:
            while True:
                now_s = time.monotonic()
                while next_s <= now_s and next_s < began_s + seconds:
                    if len(pending) >= _MOST_CONNECTIONS:
                        raise RuntimeError(f"{len(pending)} requests wait for an answer")
                    connection = idle.pop() if idle else _connect(port, selector)
                    # Its time is when it was due, so that a slow sender hides no wait.
                    pending[connection] = _Pending(next_s, bytearray())
                    connection.sendall(message)
                    next_s += chance.expovariate(per_s)
                if not pending and next_s >= began_s + seconds:
                    return outcomes
                for key, _ in selector.select(max(0.0, min(0.05, next_s - time.monotonic()))):
                    connection = key.fileobj  # type: ignore[assignment]
                    part = connection.recv(_READ_BYTES)
                    if not part:
                        if connection in pending:
                            raise RuntimeError("a connection ended without an answer")
                        selector.unregister(connection)
                        idle.remove(connection)
                        connection.close()
                        continue
                    waiting = pending[connection]
                    waiting.data.extend(part)
                    if outcome := _outcome(waiting, began_s):
                        outcomes.append(outcome)
                        del pending[connection]
                        idle.append(connection)
    finally:
        for connection in (*idle, *pending):
            connection.close()


def _connect(port: int, selector: selectors.BaseSelector) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 30.0)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(connection, selectors.EVENT_READ)
    return connection


def _outcome(waiting: _Pending, began_s: float) -> Outcome | None:
    """Returns what became of a request, None while its answer is not whole."""
    head, end, body = bytes(waiting.data).partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    if len(body) < int(headers["content-length"]):
        return None
    took_s = time.monotonic() - waiting.sent_s
    retry_after = headers.get("retry-after", "")
    return Outcome(waiting.sent_s - began_s, took_s, int(first.split()[1]), retry_after)
