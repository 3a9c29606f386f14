"""The log through google-cloud-logging as well, for ``ZEROPOINT_LOGGING=cloud``.

The client's import takes longer than a whole cold start: it happens in a thread of its own, after
the first record. Where the cloud is away nothing is kept for it: all records are on stdout.
"""

import contextlib
import copy
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from zeropoint.logs import context, log, plain
from zeropoint.settings import Settings

_QUEUED_RECORDS = 10_000
_FLUSH_S = 5.0
_FLUSH_AWAY_S = 1.0
_PAUSE_S = 30.0
_TIMEOUT_S = 5.0  # to connect, and to wait for the answer
_BAD_RECORD = 400  # of one record, as of one that is too large: the cloud is there

# A fork in the middle of an import would leave the child modules that never become whole.
_building = threading.RLock()
os.register_at_fork(
    before=_building.acquire, after_in_parent=_building.release, after_in_child=_building.release
)


def attach(settings: Settings) -> None:
    """Sends the log to Cloud Logging too, from the next record on."""
    log.addHandler(CloudHandler(settings, google_handler))


class CloudHandler(logging.Handler):
    """Hands records on to a handler that a thread of its own builds at the first one.

    A full queue drops records: the function's answers never wait for its log. A record that cannot
    be sent takes with it those queued behind it, and for a while none is queued. A forked child
    begins anew, with a thread and a handler of its own.

    Args:
        settings: Give the labels, and the project that trace names begin with.
        build: Makes the handler; its imports may be slow. It gets the records with their trace,
            labels and fields in the attributes that google-cloud-logging reads.
    """

    def __init__(self, settings: Settings, build: Callable[[], logging.Handler]) -> None:
        super().__init__()
        self._settings = settings
        self._build = build
        self._process = 0  # where the thread runs
        self._thread: threading.Thread | None = None
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue()
        self._away = False
        self._next_try_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Leaves out what the thread itself has to tell; called without the handler's lock."""
        return threading.current_thread() is not self._thread and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Queues a record; called under the handler's lock."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._away, self._next_try_s = False, 0.0
            self._records = queue.Queue(_QUEUED_RECORDS)
            self._thread = threading.Thread(
                target=self._run, args=(self._records,), name="cloud log", daemon=True
            )
            self._thread.start()
        if time.monotonic() < self._next_try_s:
            return
        try:
            told = copy.copy(record)
            told.msg, told.args = plain(record.getMessage()), None
            fields = plain(getattr(record, "fields", {}))
            told.__dict__.update(context(self._settings), json_fields=fields)
            self._records.put_nowait(told)
        except queue.Full:
            return
        except Exception:
            self.handleError(record)

    def _run(self, records: queue.Queue[logging.LogRecord | None]) -> None:
        try:
            with _building:
                handler = self._build()
        except Exception:
            log.removeHandler(self)
            log.exception("google-cloud-logging cannot be used; the log is on stdout only")
            handler = logging.NullHandler()
        lost = False
        while record := records.get():
            try:
                handler.handle(record)
                lost = self._away = False
            except Exception as error:
                if getattr(error, "code", None) != _BAD_RECORD:
                    self._away, self._next_try_s = True, time.monotonic() + _PAUSE_S
                    _drop(records)
                if not lost:  # told once, not for each record until it works again
                    log.exception("google-cloud-logging failed; records are on stdout only")
                lost = True
            finally:
                records.task_done()
        handler.close()

    def flush(self) -> None:
        """Waits, though not for long, until the records queued so far were handed on."""
        if self._process == os.getpid():
            with self._records.all_tasks_done:
                self._records.all_tasks_done.wait_for(
                    lambda: not self._records.unfinished_tasks,
                    _FLUSH_AWAY_S if self._away else _FLUSH_S,
                )

    def close(self) -> None:
        """Ends the thread, once it has handed on what is queued."""
        self.flush()
        if self._process == os.getpid():
            with contextlib.suppress(queue.Full):
                self._records.put_nowait(None)
        super().close()


def _drop(records: queue.Queue[logging.LogRecord | None]) -> None:
    """Empties a queue, but for what ends its thread."""
    with contextlib.suppress(queue.Empty):
        while records.get_nowait():
            records.task_done()
        records.put_nowait(None)
        records.task_done()


def google_handler(**client: Any) -> logging.Handler:
    """Returns google-cloud-logging's handler, which here has sent a record once it is handled.

    Args:
        client: What its ``Client`` takes.
    """
    from google.cloud.logging import Client, Resource
    from google.cloud.logging.handlers import CloudLoggingHandler
    from google.cloud.logging_v2.handlers.transports import SyncTransport

    class Transport(SyncTransport):
        def send(self, record: logging.LogRecord, message: Any, **entry: Any) -> None:
            time = datetime.fromtimestamp(record.created, UTC)
            super().send(record, message, timestamp=time, **entry)  # type: ignore[no-untyped-call]

    # Over HTTP: what gRPC begins in a process is not to be used in its forks.
    connected = Client(_use_grpc=False, **client)  # type: ignore[no-untyped-call]
    session = connected._http  # whose requests have a limit of a minute
    request = session.request
    session.request = lambda *method_and_url, **options: request(
        *method_and_url, **{**options, "timeout": _TIMEOUT_S}
    )
    # A resource that is named is not looked for in the network.
    resource = Resource(type="global", labels={"project_id": connected.project})
    return CloudLoggingHandler(connected, name="zeropoint", transport=Transport, resource=resource)
