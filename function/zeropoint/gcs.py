"""Cloud Storage, as far as Zeropoint reads it. The client is imported at the first use."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeropoint.errors import SettingsError, UnavailableError, ZeropointError

if TYPE_CHECKING:
    from google.cloud.storage import Client

SCHEME = "gs://"
_TIMEOUT_S = (5.0, 30.0)  # to connect, to wait for the next bytes
_RETRY_S = 20.0


class ObjectNotFoundError(ZeropointError):
    """No such bucket, or no such object in it."""

    code = "object_not_found"


class EmptyObjectError(ZeropointError):
    """The object has no bytes, where a range of them was asked for."""

    code = "object_empty"


def split(uri: str) -> tuple[str, str]:
    """Returns the bucket and the name of ``gs://bucket/name``; the name may be empty.

    Raises:
        ValueError: not such a URI.
    """
    bucket, _, name = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not bucket:
        raise ValueError("expected gs://bucket or gs://bucket/name")
    return bucket, name


class Bucket:
    """One bucket, read with the process's own identity."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._client: Client | None = None

    def read(self, name: str, max_bytes: int) -> bytes:
        """Returns an object's first ``max_bytes``, all where it has no more.

        Raises:
            ObjectNotFoundError: no such bucket or object.
            UnavailableError: the storage cannot be reached, or refuses.
        """
        try:
            data: bytes = self._call("download_as_bytes", name, end=max_bytes - 1)
        except EmptyObjectError:
            return b""
        return data

    def exists(self, name: str) -> bool:
        """Tells whether there is such an object; raises as `read` does, but for a missing one."""
        return bool(self._call("exists", name))

    def download(self, name: str, to: Path) -> None:
        """Writes an object's bytes to a file; raises as `read` does."""
        self._call("download_to_filename", name, str(to))

    def folders(self, prefix: str) -> list[str]:
        """Returns the names of the folders right below ``prefix``, sorted.

        Raises:
            ObjectNotFoundError: no such bucket.
            UnavailableError: the storage cannot be reached, or refuses.
        """
        client = self._connected()
        try:
            found = client.list_blobs(
                self.name, prefix=prefix, delimiter="/", timeout=_TIMEOUT_S, retry=_retry()
            )
            list(found)  # the prefixes are there once the pages are read
        except Exception as error:
            raise _told(error, f"{SCHEME}{self.name}/{prefix}") from error
        return sorted(folder.removeprefix(prefix).rstrip("/") for folder in found.prefixes)

    def _call(self, method: str, name: str, *arguments: str, **options: int) -> Any:
        client = self._connected()
        blob = client.bucket(self.name).blob(name)
        try:
            return getattr(blob, method)(*arguments, timeout=_TIMEOUT_S, retry=_retry(), **options)
        except Exception as error:
            raise _told(error, f"{SCHEME}{self.name}/{name}") from error

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
                raise _told(error, f"{SCHEME}{self.name}") from error
        return self._client


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(_RETRY_S)


def _told(error: Exception, uri: str) -> ZeropointError:
    from google.api_core.exceptions import NotFound, RequestRangeNotSatisfiable

    if isinstance(error, RequestRangeNotSatisfiable):
        return EmptyObjectError(f"{uri}: expected bytes, got none")
    if isinstance(error, NotFound):
        return ObjectNotFoundError(f"{uri}: expected it to exist, got no such bucket or object")
    return UnavailableError(f"{uri}: {type(error).__name__}: {error}", retry_after_s=5.0)
