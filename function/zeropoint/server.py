"""The function behind waitress, in one process.

Its main thread reads requests and writes answers of any number of connections, and a thread of a
pool answers each request once it is whole: a caller who never finishes a request holds no thread.
"""

import gc
import logging
import signal
import socket
from types import FrameType

from zeropoint.app import App
from zeropoint.draining import drain
from zeropoint.errors import SettingsError
from zeropoint.listener import Listener, Threads
from zeropoint.logs import log
from zeropoint.settings import Settings

# Beside those that wait for a model: for health, metrics and refusals.
_SPARE_THREADS = 8


def serve(app: App, settings: Settings, host: str, port: int) -> None:
    """Answers requests until SIGTERM or Ctrl-C; what came until then is answered, if in time.

    Args:
        app: The function.
        settings: The limits.
        host: Address to listen on.
        port: Port to listen on.

    Raises:
        SettingsError: the port is taken, or the address is not this machine's.
    """
    _log_as_ours()
    threads = Threads(settings.max_queue + _SPARE_THREADS)
    try:
        server = Listener(app, settings, _bound(host, port), threads)
    except OSError as error:
        raise SettingsError(f"expected a free port, got {port}: {error.strerror}") from None

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends it at once
        server.stopping = True
        server.trigger.pull_trigger()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    gc.freeze()  # what was imported stays
    gc.enable()
    while not server.stopping:
        server.turn(1.0)
    drain(server, threads, settings.drain_s)


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
