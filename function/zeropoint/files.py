"""Instances that are files: base64 in the document, or an object of an allowed bucket.

Nothing is ever fetched from a URL, and no bucket is read that the settings do not name.
"""

import binascii
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from zeropoint import gcs, headroom
from zeropoint.bulkhead import Bulkhead
from zeropoint.errors import BodyTooLargeError, ClientError, InvalidError, MalformedError
from zeropoint.instances import Blob, Instance
from zeropoint.settings import Settings

_AT_ONCE = 8
# Read without asking first whether there is so much memory; most photos are no larger.
_FIRST_BYTES = 1 << 20


class Reader:
    """Makes JSON values the files that they stand for.

    Args:
        settings: Name the buckets that may be read, and the largest file.
    """

    def __init__(self, settings: Settings) -> None:
        self._buckets = gcs.allowed(settings.buckets, settings.timeout_s)
        self._waiting = Bulkhead(settings.max_queue)
        self._max_bytes = settings.max_body_bytes

    def read(self, values: Sequence[Any]) -> list[Instance]:
        """Returns the instances that values stand for, in their order.

        ``{"b64": "…"}`` and a text of base64 are bytes; ``{"gcs": "gs://…"}`` and a text that
        begins with gs:// are an object's bytes. What is none of these stays as it is.

        Raises:
            MalformedError: not base64.
            InvalidError: a bucket that may not be read, or an object that is not there.
            BodyTooLargeError: an object over ``ZEROPOINT_MAX_BODY_BYTES``.
            InsufficientMemoryError: they would take more memory than is left.
            UnavailableError: the storage is away, or too many wait for it.
        """
        sources = [_source(value) for value in values]
        objects = sum(scheme == "gcs" for scheme, _ in sources)
        if objects == 0:
            return self._all(sources, map)
        with self._waiting.enter():
            if objects == 1:
                return self._all(sources, map)
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                return self._all(sources, pool.map)

    def _all(self, sources: Sequence[tuple[str, Any]], apply: Any) -> list[Instance]:
        count = len(sources)
        return list(apply(lambda one: self._read(one[0], one[1], count), enumerate(sources, 1)))

    def _read(self, number: int, source: tuple[str, Any], count: int) -> Instance:
        scheme, value = source
        if scheme == "":
            return value
        try:
            if not isinstance(value, str):
                raise MalformedError(f"expected a text under {scheme}, got another JSON type")
            return Blob(_decoded(value) if scheme == "b64" else self._fetched(value))
        except ClientError as error:
            raise error.of_instance(number, count) from None

    def _fetched(self, uri: str) -> bytes:
        try:
            bucket, name = gcs.split(uri)
        except ValueError as error:
            raise MalformedError(f"{error}, got another text") from None
        if bucket not in self._buckets:
            raise InvalidError("expected an object of a bucket that ZEROPOINT_BUCKETS names")
        try:
            return self._read_object(self._buckets[bucket], name)
        except gcs.ObjectNotFoundError:
            raise InvalidError("expected an object that exists, got the name of none") from None

    def _read_object(self, bucket: gcs.Bucket, name: str) -> bytes:
        too_large = BodyTooLargeError(f"expected an object of at most {self._max_bytes} bytes")
        data = bucket.read(name, min(_FIRST_BYTES, self._max_bytes + 1))
        if len(data) == _FIRST_BYTES:
            if (size_bytes := bucket.size(name)) > self._max_bytes:
                raise too_large
            with headroom.reserve(2 * size_bytes):  # the client joins what came
                data = bucket.read(name, self._max_bytes + 1)
        if len(data) > self._max_bytes:
            raise too_large
        return data


def _source(value: Any) -> tuple[str, Any]:
    """Returns what a value stands for: ``b64`` or ``gcs`` and its text, or itself."""
    if isinstance(value, str):
        return ("gcs" if value.startswith(gcs.SCHEME) else "b64"), value
    if isinstance(value, dict) and len(value) == 1:
        ((key, text),) = value.items()
        if key in ("b64", "gcs"):
            return key, text
    return "", value


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        raise MalformedError(
            "expected standard base64 (no line breaks, no data: prefix),"
            " got other characters or a wrong length"
        ) from None
