"""Records as objects of a Cloud Storage bucket, written on the condition that there is none."""

import math
import re
from collections.abc import Mapping

from zeropoint import gcs
from zeropoint.errors import UnavailableError
from zeropoint.sinks import names

CONTENT_TYPE = "application/json"
_MAX_NAME_BYTES = 1024
_MAX_PREFIX_BYTES = 512
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._:-]{1,220}[a-z0-9]")
# Characters that are no part of a text, lines' ends among them: the store refuses some, its
# listings and tools others.
_UNSAFE = re.compile(r"[%\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


class BucketSink:
    """Records below a prefix of a bucket, as this process's own identity may create them.

    Args:
        uri: ``gs://bucket`` or ``gs://bucket/prefix``.
        patience_s: About how long a call may take where the storage stalls or fails.

    Raises:
        ValueError: not such a URI.
    """

    def __init__(self, uri: str, patience_s: float = math.inf) -> None:
        bucket, prefix = gcs.split(uri.rstrip("/"))
        if not _BUCKET.fullmatch(bucket):
            raise ValueError("expected a bucket's name behind gs://, got another text")
        if _UNSAFE.search(prefix.replace("%", "")) or len(prefix.encode()) > _MAX_PREFIX_BYTES:
            raise ValueError(
                f"expected a prefix of at most {_MAX_PREFIX_BYTES} bytes, without control"
                " characters, got another"
            )
        self.location = uri
        self._bucket = gcs.Bucket(bucket, patience_s)
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, name: str, record: bytes, attributes: Mapping[str, str]) -> bool:
        """Writes a record's object, its attributes left out; does as `Sink.put` says."""
        try:
            return self._bucket.create(self._object(name), record, CONTENT_TYPE)
        except gcs.ObjectNotFoundError as error:  # either may come yet
            raise UnavailableError(
                "the bucket of results is away", retry_after_s=5.0, detail=error.message
            ) from None

    def get(self, name: str) -> bytes | None:
        """Returns a record, None if there is none; raises as `Sink.get` says."""
        try:
            return self._bucket.read(self._object(name))
        except gcs.ObjectNotFoundError:
            return None

    def owns(self, bucket: str, name: str) -> bool:
        """Tells whether an object is in this bucket and below this prefix."""
        return bucket == self._bucket.name and name.startswith(self._prefix)

    def _object(self, name: str) -> str:
        safe = "/".join(names.escaped(part, _UNSAFE) for part in name.split("/"))
        return self._prefix + names.shortened(safe, _MAX_NAME_BYTES - len(self._prefix.encode()))
