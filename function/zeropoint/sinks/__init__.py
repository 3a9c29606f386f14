"""A sink is where the results of events go. A result is written once, under a name of its own.

A new sink is one module with `Sink`'s methods and a row in `open_sink`.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from zeropoint import gcs
from zeropoint.errors import SettingsError, UnavailableError
from zeropoint.settings import Settings
from zeropoint.sinks import bucket, file, pubsub

if TYPE_CHECKING:
    from zeropoint.sinks.outbox import Outbox


class Sink(Protocol):
    """Where records go; their names are made of text parts, joined by slashes."""

    location: str

    def put(self, name: str, record: bytes, attributes: Mapping[str, str]) -> bool:
        """Writes a record if there is none of that name, whole or not at all.

        Args:
            name: Whatever text; a sink makes it a name that its store can have, and no two names
                the same one.
            record: JSON.
            attributes: What a reader of a queue wants to know without reading the record.

        Returns:
            Whether it was written: False if there was one already.

        Raises:
            UnavailableError: the store is away, or refuses.
        """

    def get(self, name: str) -> bytes | None:
        """Returns the record of that name, None if there is none or the store cannot tell.

        Raises:
            UnavailableError: the store is away, or refuses.
        """

    def owns(self, bucket: str, name: str) -> bool:
        """Tells whether an object of a bucket is one that this sink writes."""


class NoSink:
    """Takes no record, so that no event is acknowledged and lost."""

    location = "nowhere"

    def put(self, name: str, record: bytes, attributes: Mapping[str, str]) -> bool:
        """Raises UnavailableError."""
        raise self._told()

    def get(self, name: str) -> bytes | None:
        """Raises UnavailableError, before an answer is worked out that nobody would get."""
        raise self._told()

    def owns(self, bucket: str, name: str) -> bool:
        """Returns False: it writes none."""
        return False

    def _told(self) -> UnavailableError:
        return UnavailableError(
            "expected a place for results, but ZEROPOINT_RESULTS names no sink", retry_after_s=60.0
        )


def open_sink(settings: Settings) -> Sink:
    """Returns the sink that ``ZEROPOINT_RESULTS`` names; connects to none, and writes nothing.

    Raises:
        SettingsError: it names none that there is, or none that an outbox is for.
    """
    if settings.outbox:
        from zeropoint.sinks.deferred import PATIENCE_S, DeferredSink

        sink, outbox = open_outbox(settings, PATIENCE_S)
        return DeferredSink(sink, outbox)
    if not settings.results:
        return NoSink() if settings.service else _temporary()
    return _named(settings.results, settings.timeout_s)


def open_outbox(settings: Settings, patience_s: float = math.inf) -> "tuple[Sink, Outbox]":
    """Returns the sink that may be away, and the outbox of ``ZEROPOINT_OUTBOX``.

    Args:
        settings: Name both.
        patience_s: About how long a call of the sink may take, at most ``ZEROPOINT_TIMEOUT_S``.

    Raises:
        SettingsError: there is no outbox, or no sink that it could be for.
    """
    from zeropoint.sinks.outbox import Outbox

    if not os.path.isabs(settings.outbox):
        got = repr(settings.outbox) if settings.outbox else "none"
        raise SettingsError(f"ZEROPOINT_OUTBOX: expected the absolute path of a folder, got {got}")
    if not settings.results.startswith((gcs.SCHEME, pubsub.SCHEME)):
        got = repr(settings.results) if settings.results else "none"
        raise SettingsError(
            "ZEROPOINT_OUTBOX keeps what a sink in the network could not take: expected"
            f" ZEROPOINT_RESULTS with gs:// or pubsub:// beside it, got {got}"
        )
    sink = _named(settings.results, min(patience_s, settings.timeout_s))
    return sink, Outbox(Path(settings.outbox))


def _named(location: str, patience_s: float) -> Sink:
    try:
        if location.startswith(file.SCHEME):
            return file.FileSink(file.folder(location))
        if location.startswith(gcs.SCHEME):
            return bucket.BucketSink(location, patience_s)
        if location.startswith(pubsub.SCHEME):
            return pubsub.PubsubSink(location, patience_s)
        raise ValueError("expected another scheme")
    except ValueError as error:
        raise SettingsError(
            f"ZEROPOINT_RESULTS is {location!r}: {error}. It can be file:///folder,"
            " gs://bucket/prefix or pubsub://projects/PROJECT/topics/TOPIC"
        ) from None


def _temporary() -> file.FileSink:
    """Returns a sink in the system's temporary folder, where others may have made ours before."""
    folder = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 - which `private` guards
    return file.FileSink(folder / f"zeropoint-results-{os.geteuid()}", private=True)
