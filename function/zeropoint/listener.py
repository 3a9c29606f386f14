"""The socket that listens, the threads that answer, and what bounds all connections together."""

import resource
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from zeropoint import headroom
from zeropoint.app import App
from zeropoint.connections import GROWTH, Channel, Incoming
from zeropoint.errors import InsufficientMemoryError, OverloadedError, SlowRequestError
from zeropoint.poller import Poller
from zeropoint.settings import Settings
from zeropoint.wsgi import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_CONNECTIONS = 1000  # Cloud Run's most requests of an instance
_SPARE_FILES = 200  # descriptors for all that is no connection
_HEAD_BYTES = 1 << 16
_RECEIVE_BYTES = 1 << 18  # at once
_STALLED_S = 1.0
_UNASKED_BYTES = 8 << 20  # for which nobody looks how much memory is left
_NO_LIMIT = 1 << 62


class Listener(TcpWSGIServer):  # type: ignore[misc]
    """The socket that listens, and what bounds all connections together.

    Args:
        app: The function.
        settings: The limits.
        bound: A socket that has its address.
        threads: Which answer.
        passed: Whether it was made by who started this process, and stays open behind it.
    """

    channel_class = Channel

    def __init__(
        self,
        app: App,
        settings: Settings,
        bound: socket.socket,
        threads: "Threads",
        passed: bool = False,
    ) -> None:
        self.app = app
        self.threads = threads
        self.max_body_bytes = settings.max_body_bytes
        self.timeout_s = settings.timeout_s
        self.stopping = False  # soon
        self.draining = False  # no connection is accepted any more
        self.active_s = time.monotonic()  # when something of a request was last read or written
        self._passed = passed
        self._max_incoming_bytes = settings.max_incoming_bytes
        # As it is sent: in chunks, whose lengths count here.
        most_bytes = settings.max_body_bytes + settings.max_body_bytes // 8 + 65536
        adjustments = Adjustments(
            ident=None,
            connection_limit=_connections(),
            backlog=_CONNECTIONS,
            clear_untrusted_proxy_headers=False,  # none is read
            recv_bytes=_RECEIVE_BYTES,
            max_request_header_size=_HEAD_BYTES,
            max_request_body_size=most_bytes,
            inbuf_overflow=_NO_LIMIT,  # no temporary files
            outbuf_overflow=_NO_LIMIT,
            outbuf_high_watermark=_NO_LIMIT,  # nor a thread that waits for a slow reader
            cleanup_interval=1,
            log_socket_errors=False,  # of callers who reset their connections
        )
        address = (bound.family, bound.type, bound.proto, bound.getsockname())
        super().__init__(
            self.answer,
            map={},
            _sock=bound,
            dispatcher=threads,
            adj=adjustments,
            sockinfo=address,
            bind_socket=False,
        )
        self.poller = Poller(self._map, self.trigger)

    def answer(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answers a request, in a thread of the pool."""
        request = Request(environ)
        return self.app(request).send(request.method, start_response)

    def turn(self, timeout_s: float) -> None:
        """Waits until something happens, at most ``timeout_s``, and reads and writes."""
        self.poller.turn(self, timeout_s)

    def pull_trigger(self) -> None:
        """Does nothing: where Waitress's threads wake the loop, `Channel` has itself watched."""

    def handle_accept(self) -> None:
        """Accepts all connections that the system has for it."""
        for _ in range(_CONNECTIONS):
            before = len(self.active_channels)
            if before >= self.adj.connection_limit:
                return
            super().handle_accept()
            if len(self.active_channels) == before:
                return

    def add_task(self, task: Channel) -> None:
        """Has a connection's next request answered by a thread; a ready refusal needs none."""
        if task.requests[0].refusal:
            task.refuses = True
        else:
            super().add_task(task)

    def maintenance(self, now: float) -> None:
        """Ends, each second, what has taken too long."""
        now_s = time.monotonic()
        error = SlowRequestError("expected a request that comes in faster")
        for channel in [*self.active_channels.values()]:
            channel.time_out(now_s, error)
            self.poller.watch(channel)
        if self.in_connection_overflow:  # those who say nothing make room for those who do
            idle = [one for one in self.active_channels.values() if one.is_idle]
            for channel in idle:
                if time.time() - channel.last_activity > _STALLED_S:
                    channel.close_soon()

    def bound(self, channel: Channel, incoming: Incoming) -> None:
        """Refuses a body where all of them take too much; who stalls goes first.

        Args:
            channel: By which more of a body has come.
            incoming: That request.
        """
        channels = [one for one in self.active_channels.values() if one is not channel]
        others_bytes = sum(one.held_bytes for one in channels)
        held_bytes = others_bytes + channel.held_bytes
        if held_bytes > _UNASKED_BYTES:
            # It is copied once it is whole, and until they are looked at again all may grow.
            need_bytes = incoming.held_bytes + held_bytes // GROWTH
            try:
                headroom.refuse(need_bytes)
            except InsufficientMemoryError as error:
                incoming.refuse(error)
                return
        if others_bytes == 0 or held_bytes <= self._max_incoming_bytes:
            return
        refusal = OverloadedError("expected fewer bytes of requests at once")
        since = time.time() - _STALLED_S
        stalled = [one for one in channels if one.request and one.last_activity < since]
        if stalled:
            max(stalled, key=lambda one: one.held_bytes).refuse(refusal)
        else:
            incoming.refuse(refusal)

    def is_at_rest(self, idle_s: float) -> bool:
        """Tells whether no request has been here, and no model loaded, for so long."""
        channels = self.active_channels.values()
        requests = any(not channel.is_idle or channel.lingers for channel in channels)
        if requests or self.threads.busy or self.app.loading:
            self.active_s = time.monotonic()
        return time.monotonic() - self.active_s >= idle_s  # last: a thread may have just ended

    def close_idle(self) -> bool:
        """Closes connections by which nothing comes; returns whether none is left."""
        for channel in [*self.active_channels.values()]:
            if channel.is_idle and not channel.has_unread:
                channel.handle_close()
        return not self.active_channels

    def stop_accepting(self) -> None:
        """Takes the connections that the system has for it already, and then no more.

        Those of a passed socket stay with it, for the next process.
        """
        self.draining = True
        if not self._passed:
            self.handle_accept()
        self.poller.leave(self)
        wasyncore.dispatcher.close(self)  # but for the trigger


class Threads:
    """Waitress's task dispatcher: threads are made when there is work for them.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pool = ThreadPoolExecutor(most, "answer")
        self._lock = threading.Lock()
        self._tasks = 0

    @property
    def busy(self) -> bool:
        """Whether one has work."""
        return self._tasks > 0

    @property
    def full(self) -> bool:
        """Whether each has work."""
        return self._tasks >= self._most

    def add_task(self, task: Channel) -> None:
        """Has a connection's next request answered."""
        self._count(1)
        self._pool.submit(self._run, task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        """Ends those without work; those at work are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, task: Channel) -> None:
        try:
            task.service()
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._lock:
            self._tasks += more


def _connections() -> int:
    """Returns the most connections: without a descriptor for one, accepting would spin."""
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 2 * _CONNECTIONS:
        most = 2 * _CONNECTIONS if hard == resource.RLIM_INFINITY else min(2 * _CONNECTIONS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(1, min(_CONNECTIONS, most - _SPARE_FILES))
