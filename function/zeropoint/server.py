"""The function behind waitress, in one process.

Its main thread reads requests and writes answers of any number of connections, and a thread of a
pool answers each request once it is whole: a caller who never finishes a request holds no thread.
"""

import gc
import signal
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask
from waitress.utilities import InternalServerError, RequestEntityTooLarge

from zeropoint.app import App, shape_of
from zeropoint.errors import (
    BodyTooLargeError,
    MalformedError,
    ServerError,
    SettingsError,
    ZeropointError,
)
from zeropoint.settings import Settings
from zeropoint.wsgi import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Beside those that wait for a model: for health, metrics and refusals.
_SPARE_THREADS = 8
_CONNECTIONS = 1000  # Cloud Run's most requests of an instance
_RECEIVE_BYTES = 1 << 18  # at once


def serve(app: App, settings: Settings, host: str, port: int) -> None:
    """Answers requests until SIGTERM or Ctrl-C; what is being answered then is answered.

    Args:
        app: The function.
        settings: The limits.
        host: Address to listen on.
        port: Port to listen on.

    Raises:
        SettingsError: the port is taken, or the address is not this machine's.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        return app(request).send(request.method, start_response)

    threads = _Threads(settings.max_queue + _SPARE_THREADS)
    try:
        server = create_server(
            answer,
            _dispatcher=threads,
            sockets=[_bound(host, port)],
            ident=None,
            asyncore_use_poll=True,  # select() fails at 1024 connections
            connection_limit=_CONNECTIONS,
            backlog=_CONNECTIONS,
            clear_untrusted_proxy_headers=False,  # none is read
            recv_bytes=_RECEIVE_BYTES,
            max_request_body_size=_most_bytes(settings.max_body_bytes),
            inbuf_overflow=_most_bytes(settings.max_body_bytes),  # no temporary files
        )
    except OSError as error:
        raise SettingsError(f"expected a free port, got {port}: {error.strerror}") from None
    server.channel_class = _channel_class(app, settings)

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)
    gc.freeze()  # what was imported stays
    gc.enable()
    try:
        server.run()  # which ends at SystemExit and KeyboardInterrupt
    finally:
        server.close()


def _bound(host: str, port: int) -> socket.socket:
    """Returns a socket that nothing listens to yet; Waitress's own take longer to look it up."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def _most_bytes(max_body_bytes: int) -> int:
    """Returns the most bytes of a body as it is sent: in chunks, whose lengths count here."""
    return max_body_bytes + max_body_bytes // 8 + 65536


class _Threads:
    """Waitress's task dispatcher: threads are made when there is work for them."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, "answer")

    def add_task(self, task: HTTPChannel) -> None:
        self._pool.submit(task.service)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        self._pool.shutdown()


def _channel_class(app: App, settings: Settings) -> type[HTTPChannel]:
    """Returns the class of connections whose refusals have the function's own shape."""

    class Refusal(ErrorTask):  # type: ignore[misc]
        """What is no HTTP, or over the limit: it never becomes a request."""

        def execute(self) -> None:
            path: Any = getattr(self.request, "path", "")
            error = _own(self.request.error, settings.max_body_bytes)
            response = app.refuse(error, shape_of(path))
            self.set_close_on_finish()
            self.content_length = len(response.body)
            self.status = response.status_line
            self.response_headers.extend(response.headers.items())
            self.write(response.body)

    class Channel(HTTPChannel):  # type: ignore[misc]
        """A connection."""

        error_task_class = Refusal

    return Channel


def _own(error: object, max_body_bytes: int) -> ZeropointError:
    """Returns our error for one of Waitress's, whose text may hold parts of the request."""
    if isinstance(error, RequestEntityTooLarge):
        return BodyTooLargeError(f"expected a body of at most {max_body_bytes} bytes, got more")
    if isinstance(error, InternalServerError):
        return ServerError("an error of this server, which its log tells")
    return MalformedError("expected a whole HTTP request, got a broken one")
