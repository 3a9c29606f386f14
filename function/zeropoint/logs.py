"""The log: one JSON object a line on stdout, as Cloud Logging reads it.

On Cloud Run nothing more is needed. Elsewhere, ``ZEROPOINT_LOGGING=cloud`` also hands each record
to google-cloud-logging, whose import takes longer than a whole cold start: it happens in a
thread of its own, after the first record.
"""

import contextlib
import contextvars
import copy
import logging
import os
import queue
import re
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from zeropoint.settings import Settings

log = logging.getLogger("zeropoint")

# W3C trace context: version, trace, span, flags. Google's own: trace/span;o=options.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)
_CLOUD_TRACE = re.compile(r"(?!0{32})([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]))?")
_QUEUED_RECORDS = 10_000
_FLUSH_S = 5.0

# A fork in the middle of an import would leave the child modules that never become whole.
_building = threading.RLock()
os.register_at_fork(
    before=_building.acquire, after_in_parent=_building.release, after_in_child=_building.release
)


class Trace(NamedTuple):
    """The trace that a request belongs to: ids in hexadecimal, and whether it is sampled.

    The span is empty where none is known.
    """

    trace: str
    span: str
    sampled: bool


_trace: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("trace", default=None)


def follow(traceparent: str, cloud_trace_context: str) -> None:
    """Names the trace of the records that this request writes, from the two headers' values."""
    if found := _TRACEPARENT.fullmatch(traceparent):
        _trace.set(Trace(found[1], found[2], int(found[3], 16) & 1 == 1))
    elif found := _CLOUD_TRACE.fullmatch(cloud_trace_context):
        number = int(found[2] or 0) % 2**64
        span = f"{number:016x}" if number else ""
        _trace.set(Trace(found[1].lower(), span, found[3] == "1"))
    else:
        _trace.set(None)


def setup(settings: Settings) -> None:
    """Sends the log where the settings say. A second call replaces what the first one set."""
    for old in log.handlers[:]:
        log.removeHandler(old)
        old.close()
    log.propagate = False
    log.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(settings))
    log.addHandler(handler)
    if settings.logging == "cloud":
        log.addHandler(CloudHandler(settings, google_handler))


class JsonFormatter(logging.Formatter):
    """Makes a record one line of JSON with the keys that Cloud Logging knows.

    Args:
        settings: Give the labels, and the project that trace names begin with.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line; fields of the record's ``extra={"fields": {…}}`` stand in it."""
        entry: dict[str, Any] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["stack_trace"] = "".join(traceback.format_exception(*record.exc_info))
        for key, value in _context(self._settings).items():
            key = "spanId" if key == "span_id" else key
            entry[f"logging.googleapis.com/{key}"] = value
        try:
            return msgspec.json.encode(entry).decode()
        except (TypeError, ValueError):  # what JSON cannot hold, as half a surrogate pair
            return msgspec.json.encode(_plain(entry)).decode()


class CloudHandler(logging.Handler):
    """Hands records on to a handler that a thread of its own builds at the first one.

    A full queue drops records: the function's answers never wait for its log. A forked child
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

    def filter(self, record: logging.LogRecord) -> bool:
        """Leaves out what the thread itself has to tell; called without the handler's lock."""
        return threading.current_thread() is not self._thread and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Queues a record; called under the handler's lock."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._records = queue.Queue(_QUEUED_RECORDS)
            self._thread = threading.Thread(
                target=self._run, args=(self._records,), name="cloud log", daemon=True
            )
            self._thread.start()
        try:
            told = copy.copy(record)
            told.msg, told.args = _plain(record.getMessage()), None
            fields = _plain(getattr(record, "fields", {}))
            told.__dict__.update(_context(self._settings), json_fields=fields)
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
                lost = False
            except Exception:
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
                    lambda: not self._records.unfinished_tasks, _FLUSH_S
                )

    def close(self) -> None:
        """Ends the thread, once it has handed on what is queued."""
        self.flush()
        if self._process == os.getpid():
            with contextlib.suppress(queue.Full):
                self._records.put_nowait(None)
        super().close()


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
    # A resource that is named is not looked for in the network.
    resource = Resource(type="global", labels={"project_id": connected.project})
    return CloudLoggingHandler(connected, name="zeropoint", transport=Transport, resource=resource)


def _context(settings: Settings) -> dict[str, Any]:
    """Returns the labels and the trace of a record that is written now."""
    labels = {"service": settings.service, "revision": settings.revision}
    context: dict[str, Any] = {}
    if labels := {key: value for key, value in labels.items() if value}:
        context["labels"] = labels
    if trace := _trace.get():
        prefix = f"projects/{settings.project}/traces/" if settings.project else ""
        context["trace"] = prefix + trace.trace
        if trace.span:
            context["span_id"] = trace.span
        context["trace_sampled"] = trace.sampled
    return context


def _plain(value: Any) -> Any:
    """Returns what JSON can hold of a value."""
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bool | int | float | None):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()
