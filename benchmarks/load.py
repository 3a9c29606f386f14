"""A closed-loop load: so many connections, each sends its next request after its answer."""

import itertools
import selectors
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple, cast

from processes import cpu_s


class Load(NamedTuple):
    """What a load of requests took."""

    requests_per_s: float
    cpu_us: float  # of the server's processes, per request
    p50_ms: float
    p99_ms: float


def request(path: str, body: bytes, media_type: str, method: str = "POST") -> bytes:
    """Returns the bytes of an HTTP request on a connection that is kept open."""
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run(port: int, pid: int, messages: Sequence[bytes], callers: int, count: int) -> Load:
    """Sends ``count`` requests over ``callers`` connections to a server on the loopback.

    Args:
        port: Where it listens.
        pid: Its first process; the CPU time is that of it and all that it started.
        messages: The requests, one after the other, over and over.
        callers: Connections.
        count: Requests in all.

    Raises:
        ConnectionError: a connection ended before its answer.
        NotReadyError: an answer other than 200.
    """
    selector = selectors.DefaultSelector()
    sent_s: dict[socket.socket, float] = {}
    took_s: list[float] = []
    left = count - callers
    following = itertools.cycle(messages)
    before_s = cpu_s(pid)
    began_s = time.perf_counter()
    for _ in range(callers):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        sent_s[connection] = time.perf_counter()
        connection.sendall(next(following))
    while len(took_s) < count:
        for key, _ in selector.select(30.0):
            connection = cast(socket.socket, key.fileobj)
            receive(connection)
            now_s = time.perf_counter()
            took_s.append(now_s - sent_s[connection])
            if left > 0:
                left -= 1
                sent_s[connection] = time.perf_counter()
                connection.sendall(next(following))
    all_s = time.perf_counter() - began_s
    used_s = cpu_s(pid) - before_s
    for connection in sent_s:
        connection.close()
    took_s.sort()
    return Load(
        count / all_s,
        used_s / count * 1e6,
        took_s[len(took_s) // 2] * 1000,
        took_s[int(len(took_s) * 0.99)] * 1000,
    )


class NotReadyError(Exception):
    """A server that does not answer 200 yet."""


def receive(connection: socket.socket) -> bytes:
    """Reads one answer with a Content-Length; returns its body.

    Raises:
        ConnectionError: it ended before.
        NotReadyError: an answer other than 200.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise NotReadyError(f"expected 200, got {data[:300]!r}")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += _some(connection)
    return body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("expected an answer, the connection ended")
    return data
