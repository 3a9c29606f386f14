"""The function behind waitress, in one process.

Its main thread reads requests and writes answers of any number of connections, and a thread of a
pool answers each request once it is whole: a caller who never finishes a request holds no thread.
"""

import gc
import logging
import signal
import socket
import time
from types import FrameType

from zeropoint import activation
from zeropoint.app import App
from zeropoint.draining import drain
from zeropoint.errors import SettingsError
from zeropoint.listener import Listener, Threads
from zeropoint.logs import log
from zeropoint.settings import Settings

_TURN_S = 1.0
# Beside those that wait for a model: for health, metrics and refusals.
_SPARE_THREADS = 8


def serve(app: App, settings: Settings, host: str, port: int) -> None:
    """Answers requests until SIGTERM or Ctrl-C; what came until then is answered, if in time.

    It also returns after ``ZEROPOINT_IDLE_EXIT_S`` without a request.

    Args:
        app: The function.
        settings: The limits.
        host: Address to listen on, unless a socket was passed to this process.
        port: Port to listen on.

    Raises:
        SettingsError: the port is taken, the address is not this machine's, or what was passed
            is no socket to listen on.
    """
    _log_as_ours()
    threads = Threads(settings.max_queue + _SPARE_THREADS)
    passed = activation.passed()
    try:
        bound = passed or _bound(host, port)
        server = Listener(app, settings, bound, threads, passed is not None)
    except OSError as error:
        told = f"expected a free port, got {port}: {error.strerror}; --port or PORT names another"
        raise SettingsError(told) from None

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends it at once
        server.stopping = True
        server.trigger.pull_trigger()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    gc.freeze()  # what was imported stays
    gc.enable()
    if settings.idle_exit_s:
        if passed is None:
            log.warning(
                "ZEROPOINT_IDLE_EXIT_S ends this process, and nothing starts it again: no socket"
                " was passed to it (zeropoint install-edge has systemd pass one)"
            )
        _idle_out(server, settings.idle_exit_s)
    else:
        while not server.stopping:
            server.turn(_TURN_S)
    drain(server, threads, settings.drain_s)


def _idle_out(server: Listener, idle_s: float) -> None:
    """Answers requests until SIGTERM, or until none has come for so long.

    Connections kept open are closed while others are accepted still: who comes just then is
    answered here, and at the end nobody is left whose request could be lost.
    """
    while not server.stopping:
        left_s = server.active_s + idle_s - time.monotonic()
        if left_s > 0:
            server.turn(min(left_s, _TURN_S))
        elif server.is_at_rest(idle_s):
            if server.close_idle():
                log.info("no request for %g s: the process ends", idle_s)
                return
            server.turn(_TURN_S)  # which reads what has just come


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


def _log_as_ours() -> None:
    """Has Waitress's warnings be records of our log, one line of JSON each."""
    theirs = logging.getLogger("waitress")
    theirs.handlers = log.handlers
    theirs.propagate = False
