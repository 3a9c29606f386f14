"""Cloud Storage, as far as Zeropoint reads and writes it.

The client is imported at the first use.
"""

import contextlib
import errno
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from zeropoint.errors import SettingsError, UnavailableError, ZeropointError

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

SCHEME = "gs://"
_TIMEOUT_S = (5.0, 10.0)  # to connect, to wait for the next bytes
_MAX_NAME_BYTES = 1024
_RETRY_S = 20.0
# What a file of this machine may meet; the network's errors have other numbers, or none.
_OF_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


class ObjectNotFoundError(ZeropointError):
    """No such bucket, or no such object in it."""

    code = "object_not_found"


class ObjectExistsError(ZeropointError):
    """The object is there already, where it was to be made."""

    code = "object_exists"


class EmptyObjectError(ZeropointError):
    """The object has no bytes, where a range of them was asked for."""

    code = "object_empty"


def split(uri: str) -> tuple[str, str]:
    """Returns the bucket and the name of ``gs://bucket/name``; the name may be empty.

    Raises:
        ValueError: not such a URI.
    """
    bucket, _, name = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not bucket or (name and not is_name(name)):
        raise ValueError("expected gs://bucket or gs://bucket/name")
    return bucket, name


def is_name(name: str) -> bool:
    """Tells whether an object can have this name: the storage refuses others, again and again."""
    try:
        fits = 0 < len(name.encode()) <= _MAX_NAME_BYTES
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return fits and name not in (".", "..") and not {"\r", "\n"} & set(name)


def allowed(names: str, patience_s: float = math.inf) -> "dict[str, Bucket]":
    """Returns the buckets of ``ZEROPOINT_BUCKETS``, names with commas between, by their name."""
    return {name: Bucket(name, patience_s) for each in names.split(",") if (name := each.strip())}


class Bucket:
    """One bucket, read and written with the process's own identity.

    Args:
        name: The bucket's.
        patience_s: About how long a call may take where the storage stalls or fails.
    """

    def __init__(self, name: str, patience_s: float = math.inf) -> None:
        self.name = name
        self._patience_s = patience_s
        self._client: Client | None = None

    def read(self, name: str, max_bytes: int | None = None, generation: int | None = None) -> bytes:
        """Returns an object's first ``max_bytes``, all where it has no more or none are named.

        Args:
            name: The object's.
            max_bytes: At least 1.
            generation: Which one; without it, the newest.

        Raises:
            ObjectNotFoundError: no such bucket or object, or not of this generation.
            UnavailableError: the storage cannot be reached, or refuses.
        """
        blob = self._blob(name, generation)
        end = max_bytes - 1 if max_bytes else None
        try:
            data: bytes = self._call(blob, "download_as_bytes", end=end)
        except EmptyObjectError:
            return b""
        return data

    def size(self, name: str, generation: int | None = None) -> int:
        """Returns how many bytes an object has; raises as `read` does."""
        blob = self._blob(name, generation)
        self._call(blob, "reload")
        return int(blob.size)

    def newest(self, name: str) -> int:
        """Returns an object's newest generation; raises as `read` does."""
        blob = self._blob(name)
        self._call(blob, "reload")
        return int(blob.generation)

    def create(self, name: str, data: bytes, content_type: str) -> bool:
        """Writes an object if there is none of that name.

        Returns:
            Whether it holds this call's bytes: False if there was another one already.

        Raises:
            ObjectNotFoundError: no such bucket; or another's object, deleted meanwhile.
            UnavailableError: the storage cannot be reached, or refuses; it may have written.
        """
        options = {"content_type": content_type, "if_generation_match": 0}
        try:
            self._call(self._blob(name), "upload_from_string", data, **options)
        except ObjectExistsError:
            # Perhaps this call's own: the client tries again when the first answer is lost.
            return self.read(name) == data
        return True

    def exists(self, name: str) -> bool:
        """Tells whether there is such an object; raises as `read` does, but for a missing one."""
        return bool(self._call(self._blob(name), "exists"))

    def download(self, name: str, to: Path, max_bytes: int | None = None) -> None:
        """Writes an object's first ``max_bytes``, all without it, to a file; raises as `read` does.

        Raises:
            OSError: the disk is full, or cannot be written.
        """
        end = max_bytes - 1 if max_bytes else None
        try:
            self._call(self._blob(name), "download_to_filename", str(to), end=end)
        except EmptyObjectError:
            to.write_bytes(b"")

    def objects(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yields the names and sizes of all objects whose names begin with ``prefix``.

        Raises:
            ObjectNotFoundError: no such bucket.
            UnavailableError: the storage cannot be reached, or refuses.
        """
        client = self._connected()
        try:
            for blob in client.list_blobs(self.name, prefix=prefix, **self._limits()):
                yield blob.name, blob.size
        except Exception as error:
            raise told(error, f"{SCHEME}{self.name}/{prefix}") from error

    def open(self, name: str) -> BinaryIO:
        """Opens an object for reading, some of it at a time; raises as `read` does, and OSError."""
        found: BinaryIO = self._blob(name).open("rb", **self._limits())
        return found

    def replace(self, name: str, data: bytes, content_type: str) -> None:
        """Writes an object, in the place of one that is there; raises as `read` does."""
        self._call(self._blob(name), "upload_from_string", data, content_type=content_type)

    def delete(self, name: str) -> None:
        """Deletes an object, if there is one.

        Raises:
            UnavailableError: the storage cannot be reached, or refuses.
        """
        with contextlib.suppress(ObjectNotFoundError):
            self._call(self._blob(name), "delete")

    def folders(self, prefix: str) -> list[str]:
        """Returns the names of the folders right below ``prefix``, sorted.

        Raises:
            ObjectNotFoundError: no such bucket.
            UnavailableError: the storage cannot be reached, or refuses.
        """
        client = self._connected()
        try:
            found = client.list_blobs(self.name, prefix=prefix, delimiter="/", **self._limits())
            list(found)  # the prefixes are there once the pages are read
        except Exception as error:
            raise told(error, f"{SCHEME}{self.name}/{prefix}") from error
        return sorted(folder.removeprefix(prefix).rstrip("/") for folder in found.prefixes)

    def _blob(self, name: str, generation: int | None = None) -> "Blob":
        return self._connected().bucket(self.name).blob(name, generation=generation)

    def _call(self, blob: "Blob", method: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(blob, method)(*arguments, **self._limits(), **options)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _OF_DISK:
                raise
            raise told(error, f"{SCHEME}{self.name}/{blob.name}") from error

    def _limits(self) -> dict[str, Any]:
        """Returns a call's limits; the last try begins within half of the patience."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        half_s = self._patience_s / 2
        timeout_s = tuple(min(each, half_s) for each in _TIMEOUT_S)
        return {"timeout": timeout_s, "retry": DEFAULT_RETRY.with_timeout(min(_RETRY_S, half_s))}

    def _connected(self) -> "Client":
        if self._client is None:
            # Else it asks for each bucket's own metadata too, which takes one more permission.
            os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
            try:
                from google.cloud.storage import Client
            except ImportError:
                raise SettingsError(
                    "gs:// needs google-cloud-storage: pip install 'zeropoint[gcs]'"
                ) from None
            try:
                self._client = Client()
            except Exception as error:  # no credentials, no project: each its own class
                raise told(error, f"{SCHEME}{self.name}") from error
        return self._client


def told(error: Exception, uri: str) -> ZeropointError:
    """Returns our error for one of the client's, whatever it did with ``uri``."""
    from google.api_core.exceptions import (
        NotFound,
        PreconditionFailed,
        RequestRangeNotSatisfiable,
    )

    if isinstance(error, PreconditionFailed):
        return ObjectExistsError(f"{uri}: expected no such object, got one")
    if isinstance(error, RequestRangeNotSatisfiable):
        return EmptyObjectError(f"{uri}: expected bytes, got none")
    if isinstance(error, NotFound):
        return ObjectNotFoundError(f"{uri}: expected it to exist, got no such bucket or object")
    return UnavailableError(
        "the storage is away, or refuses",
        retry_after_s=5.0,
        detail=f"{uri}: {type(error).__name__}: {error}",
    )
