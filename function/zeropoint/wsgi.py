"""A request and a response, as far as the function needs them, over WSGI (PEP 3333).

Werkzeug's own are not used here: their import takes as long as NumPy's, at every cold start.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qsl

from zeropoint import headroom
from zeropoint.callers import Caller
from zeropoint.errors import MalformedError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# In the environ, of our own server: when the whole request had come in.
ARRIVED = "zeropoint.arrived_s"

_CHUNK_BYTES = 1 << 16
_GONE = "waitress.client_disconnected"
# Of JSON: what Python's objects take for each of these, on top of twice the text.
_VALUE_BYTES, _OBJECT_BYTES = 64, 256


class Request:
    """One HTTP request; its body is read when it is asked for.

    Args:
        environ: Of WSGI, from any server.
    """

    def __init__(self, environ: "WSGIEnvironment") -> None:
        self._environ = environ
        self._body: bytes | None = None
        self._promised = ExitStack()
        self.method: str = environ["REQUEST_METHOD"]
        text = environ.get("PATH_INFO", "").encode("latin-1")  # as WSGI has bytes in texts
        self.path = "/" + text.decode("utf-8", "replace").lstrip("/")
        self.content_type: str = environ.get("CONTENT_TYPE", "")
        self.media_type = self.content_type.partition(";")[0].strip().lower()

    @property
    def caller(self) -> Caller:
        """Who sent it, as far as the server tells."""
        arrived_s = self._environ.get(ARRIVED, time.monotonic())
        gone = self._environ.get(_GONE)
        return Caller(arrived_s, gone) if gone else Caller(arrived_s)

    def header(self, name: str, default: str = "") -> str:
        """Returns the value of a header whose name is given in lower case."""
        value: str = self._environ.get(f"HTTP_{name.replace('-', '_').upper()}", default)
        return value

    def headers(self) -> dict[str, str]:
        """Returns all headers, their names in lower case."""
        found = {
            key[5:].replace("_", "-").lower(): value
            for key, value in self._environ.items()
            if key.startswith("HTTP_")
        }
        for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if value := self._environ.get(key):
                found[key.replace("_", "-").lower()] = value
        return found

    def query(self) -> list[tuple[str, str]]:
        """Returns the query's parameters in their order."""
        text = self._environ.get("QUERY_STRING", "")
        return parse_qsl(text, keep_blank_values=True, errors="replace") if text else []

    @cached_property
    def content_length(self) -> int | None:
        """The body's bytes as the caller gave them; None: not given, as of a body in chunks."""
        text = self._environ.get("CONTENT_LENGTH", "")
        if not text or "HTTP_TRANSFER_ENCODING" in self._environ:
            return None
        return int(text) if text.isascii() and text.isdigit() else None

    def body(self, most_bytes: int) -> bytes:
        """Returns the body, its first ``most_bytes`` if it is longer.

        Raises:
            MalformedError: less came than the caller said, or chunks that are none.
            InsufficientMemoryError: what it holds would take more memory than is left.
        """
        if self._body is None:
            self._promise(min(self.content_length or 0, most_bytes))
            self._body = self._read(most_bytes)
            self._promise(_need(self._body, self.media_type))
        return self._body

    def close(self) -> None:
        """Ends it: what its body took is free again."""
        self._promised.close()

    def _promise(self, size_bytes: int) -> None:
        self._promised.enter_context(headroom.reserve(size_bytes))

    def _read(self, most_bytes: int) -> bytes:
        length = self.content_length
        if length is None and not self._environ.get("wsgi.input_terminated"):
            return b""  # where it ends nobody knows
        wanted = most_bytes if length is None else min(length, most_bytes)
        stream: IO[bytes] = self._environ["wsgi.input"]
        try:
            found = stream.read(wanted)
            while len(found) < wanted and (more := stream.read(min(wanted, _CHUNK_BYTES))):
                found += more
        except MemoryError:
            raise
        except Exception:  # the servers' own errors of broken chunks are of any kind
            raise MalformedError("expected a whole HTTP request, got a broken one") from None
        if length is not None and len(found) < wanted:
            raise MalformedError("expected a whole HTTP request, got a broken one")
        return found


def _need(body: bytes, media_type: str) -> int:
    """Returns the most bytes that decoding a body takes beside it, but for an image's pixels."""
    if len(body) < _CHUNK_BYTES or not media_type.endswith(("json", "csv", "octet-stream")):
        return 0
    values = body.count(b",") + body.count(b"[")
    return 2 * len(body) + _VALUE_BYTES * values + _OBJECT_BYTES * body.count(b"{")


class Events(Protocol):
    """The body of an answer in pieces, each of which is sent as it comes; `close` ends it."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """Ends it, wherever it is; also where nobody has begun to read it."""


class Response(NamedTuple):
    """An answer: one body, or one in pieces."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    events: Events | None = None

    @property
    def status_line(self) -> str:
        """The status and its phrase."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"

    def having(self, name: str, value: str) -> "Response":
        """Returns the same with one more header."""
        return self._replace(headers={**self.headers, name: value})

    def send(self, request_method: str, start_response: "StartResponse") -> Iterable[bytes]:
        """Begins a response of WSGI; returns its body, of which HEAD has none."""
        start_response(self.status_line, list(self.headers.items()))
        if self.events is not None:
            return self.events
        return [] if request_method == "HEAD" else [self.body]
