"""A connection of `zeropoint.server`: what comes in is bounded, and who hangs up is noticed.

A request is bounded in bytes and in time before there is one: `Incoming` is what has come of it.
What is refused there never reaches the function, but is told in the shape of its path.
"""

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask, Task, WSGITask
from waitress.utilities import InternalServerError, RequestEntityTooLarge

from zeropoint.chunks import Chunks
from zeropoint.errors import (
    BodyTooLargeError,
    MalformedError,
    ServerError,
    UnauthorizedError,
    ZeropointError,
)
from zeropoint.wsgi import ARRIVED, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# A body is looked at whenever so much more of it has come, or one part in so many.
_STEP_BYTES = 1 << 18
GROWTH = 4

# Each of these, or ZEROPOINT_TIMEOUT_S if that is less.
_HEAD_S = 20.0  # for the head of a request
_BODY_S = 30.0  # for all of it, and a second more for each of these bytes that came
_BYTES_PER_S = 1 << 14
_STILL_S = 30.0  # in which a caller has to send something more, or to read of its answer

_IDLE_S = 120.0  # between two requests
_BROKEN = "expected a whole HTTP request, got a broken one"
_LINGER_S = 2.0  # in which a caller who is refused may go on sending, unheard


class Incoming(HTTPRequestParser):  # type: ignore[misc]
    """A request as it comes in; one with an `error` is refused.

    Args:
        adjustments: Waitress's.
        channel: The connection that it comes by.
    """

    body_rcv: Any
    refusal: Response | None = None  # of a whole request, whose connection may be kept

    def __init__(self, adjustments: object, channel: "Channel") -> None:
        super().__init__(adjustments)
        self._channel = channel
        self._looked_at = 0
        self._admitted = False
        self.began_s = self.arrived_s = time.monotonic()

    @property
    def held_bytes(self) -> int:
        """What it takes in memory."""
        return len(self.header_plus if self.body_rcv is None else self.body_rcv)

    def received(self, data: bytes) -> int:
        """Takes what came; returns how much of it was this request's."""
        try:
            consumed: int = super().received(data)
        except ValueError:  # an address or a length that is none, of which Waitress thinks not
            self.refuse(MalformedError(_BROKEN))
            consumed = len(data)
        server = self._channel.server
        if self.headers_finished and not (self._admitted or self.empty or self.error):
            self._admit()
        if self.body_rcv is not None and not self.error:
            came = self.body_bytes_received
            if not self.chunked and self.content_length > server.max_body_bytes:
                self.refuse(too_large(server.max_body_bytes))
            elif came - self._looked_at >= max(_STEP_BYTES, self._looked_at // GROWTH):
                self._looked_at = came
                server.bound(self._channel, self)
        whole = self.completed and not self.empty and not self.error
        if whole and not self._channel.requests:
            self.refusal = server.app.refuse_crowd(
                self.command,
                "/" + self.path.lstrip("/"),
                self.headers.get("X_REQUEST_ID", ""),
                server.threads.full,
            )
        if self.error:
            self.expect_continue = False  # what is refused need not come
        server.active_s = self.arrived_s = time.monotonic()
        return consumed

    def _admit(self) -> None:
        """Refuses who has no key, before the body."""
        self._admitted = True
        headers = self.headers
        try:
            self._channel.server.app.admit(
                self.command,
                "/" + self.path.lstrip("/"),
                headers.get("AUTHORIZATION", ""),
                headers.get("X_API_KEY", ""),
                headers.get("ACCEPT", ""),
            )
        except UnauthorizedError as error:
            self.refuse(error)

    def parse_header(self, header_plus: bytes) -> None:
        """Reads the head."""
        super().parse_header(header_plus)
        if self.chunked:
            self.body_rcv = Chunks(self.body_rcv.getbuf())

    def refuse(self, error: ZeropointError) -> None:
        """Ends it, whatever of it has come."""
        self.error = error
        self.completed = True

    def is_slow(self, now_s: float) -> bool:
        """Tells whether it has taken too long."""
        most_s = min(_BODY_S if self.headers_finished else _HEAD_S, self._channel.server.timeout_s)
        return bool(now_s - self.began_s > most_s + self.body_bytes_received / _BYTES_PER_S)


class _AtOnce(Task):  # type: ignore[misc]
    """Writes the head and the body of an answer together: one call of the system, one packet."""

    wrote_header: bool

    def write(self, data: bytes) -> None:
        """Writes a part of the answer, the first with the head."""
        whole = data and self.content_length == len(data) and self.has_body
        if whole and self.complete and not self.wrote_header:
            self.content_bytes_written = len(data)
            head = self.build_response_header()
            self.wrote_header = True
            self.channel.write_soon(head + data)
        else:
            # Of an answer in pieces each is awaited.
            self.channel.sends_at_once = self.content_length is None
            super().write(data)

    def build_response_header(self) -> bytes:
        """Returns the head of the answer; the last one by this connection says so."""
        if self.channel.server.draining:
            self.request.headers["CONNECTION"] = "close"
        found: bytes = super().build_response_header()
        return found


class Answering(_AtOnce, WSGITask):  # type: ignore[misc]
    """A request being answered by the function."""

    def __init__(self, channel: "Channel", request: Incoming) -> None:
        super().__init__(channel, request)
        channel.answered = request

    def get_environment(self) -> "WSGIEnvironment":
        """Returns WSGI's, and when the request came."""
        environ: WSGIEnvironment = super().get_environment()
        environ[ARRIVED] = self.request.arrived_s
        return environ


class Refusal(_AtOnce, ErrorTask):  # type: ignore[misc]
    """What never becomes a request: no HTTP, over a limit, too slow, or of a crowd."""

    def __init__(self, channel: "Channel", request: Incoming) -> None:
        super().__init__(channel, request)
        channel.answered = request

    def execute(self) -> None:
        """Writes the refusal. What comes after half a request is not read any more."""
        server = self.channel.server
        response = self.request.refusal
        if response is None:
            path: Any = getattr(self.request, "path", "")
            error = _own(self.request.error, server.max_body_bytes)
            response = server.app.refuse(error, server.app.shape_of(path))
            self.set_close_on_finish()
            self.channel.lingers = True
        self.content_length = len(response.body)
        self.status = response.status_line
        self.response_headers.extend(response.headers.items())
        self.write(response.body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection. Its main methods run in the server's main thread, `service` in another."""

    error_task_class = Refusal

    request: Incoming | None  # that comes in
    close_when_flushed: bool
    lingers = False  # once closed for writing, it is read until its caller is done
    linger_until_s = 0.0
    answered: Incoming | None = None  # the request that a thread is at
    begun: Incoming | None = None  # the one of which something is written
    ended = False  # nothing more may be written
    gone = False  # the caller has hung up
    sends_at_once = False  # what is written, in the thread that writes it
    refuses = False  # in this thread, as it has no other need of one

    def __init__(self, server: Any, *arguments: Any, **more: Any) -> None:
        super().__init__(server, *arguments, **more)
        server.active_s = time.monotonic()
        server.poller.watch(self)

    def parser_class(self, adjustments: object) -> Incoming:
        """Returns what takes the next request."""
        return Incoming(adjustments, self)

    @property
    def is_idle(self) -> bool:
        """Whether no request came, comes or is answered by it."""
        return not (self.requests or self.request or self.total_outbufs_len)

    @property
    def has_unread(self) -> bool:
        """Whether a request, or the end of the connection, has come that nobody has read yet."""
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:  # which reading tells
            pass
        return True

    @property
    def held_bytes(self) -> int:
        """What its requests and answers take in memory."""
        requests = [*self.requests, self.request]
        found: int = sum(one.held_bytes for one in requests if one) + self.total_outbufs_len
        return found

    def task_class(self, channel: "Channel", request: Incoming) -> Task:
        """Returns what answers a request."""
        return (Refusal if request.refusal else Answering)(channel, request)

    def received(self, data: bytes) -> bool:
        """Takes what came."""
        found: bool = super().received(data)
        if self.refuses:
            self.refuses = False
            super().service()
        return found

    def service(self) -> None:
        """Answers a request, in a thread of the pool."""
        super().service()
        self.server.active_s = time.monotonic()
        self.server.poller.watch(self)

    def del_channel(self, map: Any = None) -> None:
        """Leaves the map of connections, as it is closed."""
        descriptor = self._fileno
        super().del_channel(map)
        self.server.poller.forget(descriptor)

    def close_soon(self) -> None:
        """Has the main thread close it, whatever is not read or written."""
        self.will_close = True
        self.server.poller.watch(self)

    def check_client_disconnected(self) -> bool:
        """Tells whether the caller has hung up, or sends no more: the two look the same."""
        return self.gone or not self.connected

    def handle_unread(self) -> None:
        """Looks, in the main thread, what has come while a request is answered."""
        try:
            self.gone |= not self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True

    def readable(self) -> bool:
        """Tells whether to read."""
        return bool(self.linger_until_s or super().readable())

    def handle_read(self) -> None:
        """Reads; after a refusal without listening."""
        if self.linger_until_s:
            with contextlib.suppress(OSError):
                self.recv(self.adj.recv_bytes)
        else:
            super().handle_read()

    def handle_write(self) -> None:
        """Writes. After a refusal the connection is closed in two steps.

        Closed at once, with bytes unread, the system would reset it, and the refusal be lost.
        """
        writes = bool(self.total_outbufs_len)
        if self.lingers and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len:
                self.close_when_flushed = False
                self.linger_until_s = time.monotonic() + _LINGER_S
                with contextlib.suppress(OSError):
                    self.socket.shutdown(socket.SHUT_WR)
        else:
            super().handle_write()
        if writes:  # else it is only closed
            self.server.active_s = time.monotonic()

    def write_soon(self, data: Any) -> int:
        """Writes a part of an answer, in any thread."""
        with self.outbuf_lock:
            if self.ended:
                raise ClientDisconnected
            self.begun = self.answered
            count: int = super().write_soon(data)
            if self.sends_at_once:
                self._flush_exception(self._flush_some, do_close=False)
            if self.total_outbufs_len:
                self.server.poller.watch(self)
            return count

    def refuse(self, error: ZeropointError) -> None:
        """Refuses what comes in, in the main thread; what is being answered is answered first."""
        with self.requests_lock:
            request: Incoming | None = self.request
            if request is None or self.close_when_flushed:
                return
            self.request = None
            request.refuse(error)
            self.requests.append(request)
            if len(self.requests) == 1:
                self.server.add_task(self)

    def end(self, error: ZeropointError) -> None:
        """Refuses what has no answer yet, whatever thread is at it: no other comes after it."""
        with self.outbuf_lock:
            request = next(iter([*self.requests]), None) or self.request
            if request and request is not self.begun and self.connected:
                request.error = error
                Refusal(self, request).service()
            self.ended = self.close_when_flushed = True
            self.server.poller.watch(self)

    def time_out(self, now_s: float, error: ZeropointError) -> None:
        """Closes what has stood still for too long, and refuses what comes too slowly."""
        still_s = time.time() - self.last_activity
        is_still = still_s > min(_STILL_S, self.server.timeout_s)
        if self.linger_until_s:
            self.will_close |= now_s > self.linger_until_s
        elif self.requests:
            return
        elif self.total_outbufs_len:
            if is_still:
                self.handle_close()  # at once, as it will never be told to be writable
        elif self.request is None:
            self.will_close |= still_s > _IDLE_S
        elif is_still or self.request.is_slow(now_s):
            self.refuse(error)


def too_large(max_body_bytes: int) -> BodyTooLargeError:
    """Returns the refusal of a body over the limit."""
    return BodyTooLargeError(f"expected a body of at most {max_body_bytes} bytes, got more")


def _own(error: object, max_body_bytes: int) -> ZeropointError:
    """Returns our error for one of Waitress's, whose text may hold parts of the request."""
    if isinstance(error, ZeropointError):
        return error
    if isinstance(error, RequestEntityTooLarge):
        return too_large(max_body_bytes)
    if isinstance(error, InternalServerError):
        return ServerError("an error of this server, which its log tells")
    return MalformedError(_BROKEN)
