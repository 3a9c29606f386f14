"""The log: one JSON object a line on stdout, as Cloud Logging reads it.

On Cloud Run nothing more is needed. Elsewhere `zeropoint.cloud_logs` also sends it.
"""

import contextvars
import logging
import re
import sys
import traceback
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
        for key, value in context(self._settings).items():
            key = "spanId" if key == "span_id" else key
            entry[f"logging.googleapis.com/{key}"] = value
        try:
            return msgspec.json.encode(entry).decode()
        except (TypeError, ValueError):  # what JSON cannot hold, as half a surrogate pair
            return msgspec.json.encode(plain(entry)).decode()


def context(settings: Settings) -> dict[str, Any]:
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


def plain(value: Any) -> Any:
    """Returns what JSON can hold of a value."""
    if isinstance(value, dict):
        return {plain(str(key)): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, bool | int | float | None):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()


def wordless(error: BaseException) -> BaseException:
    """Returns an error of the same name, place and causes, without its words.

    The words of an error that nobody expected may hold what it met: a part of a request.
    """
    kind = type(error)
    named = type(kind.__name__, (Exception,), {"__module__": kind.__module__})
    found: BaseException = named().with_traceback(error.__traceback__)
    if error.__cause__:
        found.__cause__ = wordless(error.__cause__)
    elif error.__context__ and not error.__suppress_context__:
        found.__context__ = wordless(error.__context__)
    return found
