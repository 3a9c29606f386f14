"""The end of a server: no more connections, answers for those that are here, and it is gone."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time

from zeropoint.errors import ShuttingDownError
from zeropoint.listener import Listener, Threads
from zeropoint.logs import log

_KEEP_ALIVE_S = 1.0  # for a request that is on its way by a connection kept open
_FLUSH_S = 0.5  # for the last refusals
_LATEST_S = 0.9  # after the drain the process is gone, whatever hangs
_TICK_S = 0.1


def drain(server: Listener, threads: Threads, drain_s: float) -> None:
    """Answers what is here within ``drain_s``, refuses the rest, and returns or ends the process.

    It returns where nothing is left that would keep the interpreter from ending in order.

    Args:
        server: Which is read and written here from now on.
        threads: Its threads.
        drain_s: Longest time for what came before.
    """
    began_s = time.monotonic()
    latest = threading.Timer(drain_s + _LATEST_S, os._exit, [0])
    latest.daemon = True
    with contextlib.suppress(RuntimeError):  # the system has no more threads
        latest.start()
    server.stop_accepting()
    idle_s = began_s + min(_KEEP_ALIVE_S, drain_s / 2)
    while (server.active_channels or threads.busy) and time.monotonic() < began_s + drain_s:
        if time.monotonic() >= idle_s:
            server.close_idle()
        _turn(server)
    _refuse_rest(server)
    until_s = time.monotonic() + _FLUSH_S
    while server.active_channels and time.monotonic() < until_s:
        _turn(server)
    threads.shutdown()
    if threads.busy or server.app.loading:
        _leave()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which would pull the trigger
    server.trigger.close()


def _refuse_rest(server: Listener) -> None:
    """Refuses what is not answered, and closes what is answered."""
    left = [*server.active_channels.values()]
    if count := sum(not channel.is_idle for channel in left):
        log.warning("%d connections were left at the end of the drain", count)
    error = ShuttingDownError("expected a request that can be answered before the process ends")
    for channel in left:
        channel.end(error)


def _turn(server: Listener) -> None:
    now_s = time.monotonic()
    for channel in [*server.active_channels.values()]:
        if 0.0 < channel.linger_until_s < now_s:
            channel.close_soon()
    server.turn(_TICK_S)


def _leave() -> None:
    """Ends the process while threads are at work: Python would wait for them.

    A load within ONNX Runtime cannot be interrupted, nor can a forward pass.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)
