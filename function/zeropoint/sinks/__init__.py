"""A sink is where the results of events go. A result is written once, under a name of its own.

A new sink is one module with `Sink`'s methods and a row in `open_sink`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from zeropoint import gcs
from zeropoint.errors import SettingsError, UnavailableError
from zeropoint.settings import Settings
from zeropoint.sinks import bucket, file, pubsub


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
        SettingsError: it names none that there is.
    """
    location = settings.results
    if not location:
        return NoSink() if settings.service else _temporary()
    try:
        if location.startswith(file.SCHEME):
            return file.FileSink(file.folder(location))
        if location.startswith(gcs.SCHEME):
            return bucket.BucketSink(location, settings.timeout_s)
        if location.startswith(pubsub.SCHEME):
            return pubsub.PubsubSink(location)
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
