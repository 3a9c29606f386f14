"""A closed-loop load: so many callers, each asks again as soon as it is answered."""

import itertools
import json
import re
import selectors
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple, cast

from zeropoint.errors import ClientError, ServerError, ZeropointError

_HOST = "127.0.0.1"
_LONGEST_S = 120.0  # that an answer may take
_READ_BYTES = 1 << 16
_TOKENS = re.compile(rb'"completion_tokens":([0-9]+)')  # of a model that writes


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


class Load(NamedTuple):
    """How long each answer of a load took, in order of length, and the load as a whole."""

    walls_s: list[float]
    took_s: float
    tokens: int = 0  # of all texts, where the answers are some

    @property
    def tokens_per_s(self) -> float:
        """Returns the tokens a second."""
        return self.tokens / self.took_s

    @property
    def per_s(self) -> float:
        """Returns the answers a second."""
        return len(self.walls_s) / self.took_s

    def percentile_ms(self, share: float) -> float:
        """Returns the time within which a share of the answers came."""
        return self.walls_s[min(int(share * len(self.walls_s)), len(self.walls_s) - 1)] * 1000.0


def message(method: str, path: str, body: bytes = b"", media_type: str = "") -> bytes:
    """Returns the bytes of a request on a connection that is kept open."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    if media_type:
        lines.append(f"content-type: {media_type}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def connect(port: int) -> socket.socket:
    """Opens a connection to a server of this machine."""
    connection = socket.create_connection((_HOST, port), _LONGEST_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection: socket.socket) -> Reply:
    """Reads an answer.

    Raises:
        ServerError: the connection was closed before its end, or nothing came in time.
        ZeropointError: it is a refusal, which the message tells.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        data += _read(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", "0"))
    parts, have = [body], len(body)
    while have < length:
        parts.append(_read(connection))
        have += len(parts[-1])
    reply = Reply(int(first.split()[1]), headers, b"".join(parts))
    if reply.status != 200:
        raise _refusal(reply)
    return reply


def run(port: int, messages: Sequence[bytes], callers: int, seconds: float) -> Load:
    """Loads a server for some seconds, each caller on a connection that is kept open.

    Args:
        port: Where it listens.
        messages: The requests, one after the other, over and over.
        callers: How many ask at once.
        seconds: For so long they ask again; each has at least one answer.
    """
    following = itertools.cycle(messages)
    sent_s: dict[socket.socket, float] = {}
    walls_s: list[float] = []
    tokens = 0
    with selectors.DefaultSelector() as selector:
        try:
            for _ in range(callers):
                connection = connect(port)
                sent_s[connection] = 0.0
                selector.register(connection, selectors.EVENT_READ)
            began_s = time.perf_counter()
            for connection in sent_s:
                sent_s[connection] = time.perf_counter()
                connection.sendall(next(following))
            waiting = callers
            while waiting:
                ready = selector.select(_LONGEST_S)
                if not ready:
                    raise ServerError(f"expected an answer within {_LONGEST_S:g} s, got none")
                for key, _ in ready:
                    connection = cast(socket.socket, key.fileobj)
                    reply = receive(connection)
                    now_s = time.perf_counter()
                    walls_s.append(now_s - sent_s[connection])
                    tokens += sum(map(int, _TOKENS.findall(reply.body)))
                    if now_s - began_s < seconds:
                        sent_s[connection] = now_s
                        connection.sendall(next(following))
                    else:
                        waiting -= 1
            took_s = time.perf_counter() - began_s
        finally:
            for connection in sent_s:
                connection.close()
    return Load(sorted(walls_s), took_s, tokens)


def _read(connection: socket.socket) -> bytes:
    try:
        part = connection.recv(_READ_BYTES)
    except OSError as error:
        raise ServerError(f"expected an answer, got {error.strerror or error}") from None
    if not part:
        raise ServerError("expected an answer, got a closed connection")
    return part


def _refusal(reply: Reply) -> ZeropointError:
    try:
        text = json.loads(reply.body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        text = "no more is told"
    kind = ClientError if reply.status < 500 else ServerError
    return kind(f"expected an answer, got status {reply.status}: {text}")
