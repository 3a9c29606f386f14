"""Where inputs lie and shards go: folders of this machine, and of Cloud Storage."""

import glob
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

from zeropoint import durable, gcs
from zeropoint.errors import InvalidError, SettingsError, ZeropointError

_Type = TypeVar("_Type")
_WILD = ("*", "?", "[")
_WILDCARD = re.compile(r"\*\*/|\*\*|\*|\?|\[[^]]+\]|.", re.DOTALL)
_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
}


class Found(NamedTuple):
    """A file of the input."""

    uri: str
    size_bytes: int


class Folder(Protocol):
    """Where shards go."""

    def read(self, name: str) -> bytes | None:
        """Returns a file's bytes, None if there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, whole or not at all, in the place of one that is there."""

    def delete(self, name: str) -> None:
        """Deletes a file, if there is one."""


def find(uri: str) -> list[Found]:
    """Returns the files of an INPUT, sorted by name: itself, those below it, or those that fit it.

    Raises:
        SettingsError: there is no such file, or no file in such a folder.
        UnavailableError: the storage is away.
    """
    wild = any(one in uri for one in _WILD) and not os.path.exists(uri)
    found = sorted(_objects(uri, wild) if uri.startswith(gcs.SCHEME) else _files(uri, wild))
    if not found:
        raise SettingsError(f"expected files in {uri}, got none")
    return found


def _files(uri: str, wild: bool) -> Iterator[Found]:
    if wild:
        paths = [path for path in glob.glob(uri, recursive=True) if os.path.isfile(path)]
    elif os.path.isdir(uri):
        paths = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(uri, followlinks=True)
            for name in names
            if not _is_hidden(os.path.relpath(os.path.join(folder, name), uri))
        ]
    else:
        paths = [uri] if os.path.isfile(uri) else []
    for path in paths:
        yield Found(path, os.path.getsize(path))


def _objects(uri: str, wild: bool) -> Iterator[Found]:
    try:
        bucket, name = gcs.split(uri)
    except ValueError as error:
        raise SettingsError(f"{error}, got {uri!r}") from None
    name = name.rstrip("/")
    prefix = name
    for one in _WILD:
        prefix = prefix.split(one)[0]
    fits = re.compile(_WILDCARD.sub(_expression, name) if wild else re.escape(name) + "(/.*)?")
    for found, size_bytes in _bucket(bucket).objects(prefix):
        below = found.removeprefix(prefix).lstrip("/")
        if (
            (not name or fits.fullmatch(found))
            and not found.endswith("/")
            and not _is_hidden(below)
        ):
            yield Found(f"{gcs.SCHEME}{bucket}/{found}", size_bytes)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _expression(part: re.Match[str]) -> str:
    """Returns the regular expression of a part of a pattern, as `glob` understands it."""
    text = part[0]
    known = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if text.startswith("[") and len(text) > 1:
        return "[" + text[1:-1].replace("!", "^", text[1] == "!").replace("\\", "") + "]"
    return known.get(text) or re.escape(text)


def read(uri: str, max_bytes: int) -> bytes:
    """Returns a file's bytes, at most one more than ``max_bytes``.

    Raises:
        InvalidError: it is not there any more, or cannot be read.
        UnavailableError: the storage is away.
    """
    try:
        if uri.startswith(gcs.SCHEME):
            bucket, name = gcs.split(uri)
            return _bucket(bucket).read(name, max_bytes + 1)
        with open(uri, "rb") as file:
            return file.read(max_bytes + 1)
    except gcs.ObjectNotFoundError:
        raise InvalidError("expected an object that exists, got the name of none") from None
    except OSError as error:
        raise InvalidError(f"expected a file that can be read, got: {error.strerror}") from None


def open_file(uri: str) -> BinaryIO:
    """Opens a file for reading.

    Raises:
        SettingsError: it cannot be read.
        UnavailableError: the storage is away.
    """
    try:
        if uri.startswith(gcs.SCHEME):
            bucket, name = gcs.split(uri)
            return _bucket(bucket).open(name)
        return open(uri, "rb")
    except OSError as error:
        raise SettingsError(f"{uri}: {error.strerror}") from None


def reading(uri: str, read: Callable[[], _Type]) -> _Type:
    """Returns what ``read`` does of an open file.

    Raises:
        SettingsError: it cannot be read any more.
        UnavailableError: the storage is away.
    """
    try:
        return read()
    except ZeropointError:
        raise
    except Exception as error:
        if uri.startswith(gcs.SCHEME):  # its client's errors share no base
            raise gcs.told(error, uri) from error
        if isinstance(error, OSError):
            raise SettingsError(f"{uri}: {error.strerror}") from None
        raise


_buckets: dict[str, gcs.Bucket] = {}


def _bucket(name: str) -> gcs.Bucket:
    return _buckets.setdefault(name, gcs.Bucket(name))


def folder(uri: str) -> Folder:
    """Returns the folder that OUT names; it is made when something is written.

    Raises:
        SettingsError: it names none.
    """
    if not uri.startswith(gcs.SCHEME):
        return LocalFolder(Path(uri))
    try:
        bucket, name = gcs.split(uri)
    except ValueError as error:
        raise SettingsError(f"{error}, got {uri!r}") from None
    return BucketFolder(_bucket(bucket), name.rstrip("/") + "/" if name else "")


class LocalFolder:
    """A folder of this machine.

    Args:
        root: It, there or not.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes | None:
        """Returns a file's bytes, None if there is none."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._told(error) from None

    def write(self, name: str, data: bytes) -> None:
        """Writes a file beside its place, makes it durable, and moves it there."""
        # Of one name, so that what a killed process left is written over.
        part = self._root / f".{name}.part"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            durable.replace(self._root / name, data, part)
        except OSError as error:
            raise self._told(error) from None

    def delete(self, name: str) -> None:
        """Deletes a file, if there is one."""
        try:
            (self._root / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._told(error) from None

    def _told(self, error: OSError) -> ZeropointError:
        return SettingsError(f"{self._root}: expected a folder to write, got: {error.strerror}")


class BucketFolder:
    """Objects of one bucket below a prefix.

    Args:
        bucket: Which.
        prefix: Empty, or with a slash at its end.
    """

    def __init__(self, bucket: gcs.Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix

    def read(self, name: str) -> bytes | None:
        """Returns an object's bytes, None if there is none."""
        try:
            return self._bucket.read(self._prefix + name)
        except gcs.ObjectNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Writes an object, in the place of one that is there."""
        self._bucket.replace(self._prefix + name, data, _TYPES[os.path.splitext(name)[1]])

    def delete(self, name: str) -> None:
        """Deletes an object, if there is one."""
        self._bucket.delete(self._prefix + name)
