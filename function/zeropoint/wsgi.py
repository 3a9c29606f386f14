"""A request and a response, as far as the function needs them, over WSGI (PEP 3333).

Werkzeug's own are not used here: their import takes as long as NumPy's, at every cold start.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from zeropoint.errors import MalformedError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_CHUNK_BYTES = 1 << 16


class Request:
    """One HTTP request; its body is read when it is asked for.

    Args:
        environ: Of WSGI, from any server.
    """

    def __init__(self, environ: "WSGIEnvironment") -> None:
        self._environ = environ
        self._body: bytes | None = None
        self.method: str = environ["REQUEST_METHOD"]
        text = environ.get("PATH_INFO", "").encode("latin-1")  # as WSGI has bytes in texts
        self.path = "/" + text.decode("utf-8", "replace").lstrip("/")
        self.content_type: str = environ.get("CONTENT_TYPE", "")
        self.media_type = self.content_type.partition(";")[0].strip().lower()

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
        """
        if self._body is None:
            self._body = self._read(most_bytes)
        return self._body

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
        except (OSError, ValueError):  # the servers' own errors of broken chunks are of these
            raise MalformedError("expected a whole HTTP request, got a broken one") from None
        if length is not None and len(found) < wanted:
            raise MalformedError("expected a whole HTTP request, got a broken one")
        return found


class Response(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

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
        return [] if request_method == "HEAD" else [self.body]
