"""Where an update comes from: an artifact's folder, or one of a repository, here or in a bucket."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from zeropoint import gcs, manifest
from zeropoint.artifact import MAX_MANIFEST_BYTES, LocalRepository
from zeropoint.errors import ArtifactError, ModelNotFoundError, SettingsError
from zeropoint.settings import Settings

_CHUNK_BYTES = 1 << 20


class Source(Protocol):
    """An artifact that can be copied."""

    name: str
    text: bytes  # of its model.toml

    def copy(self, to: Path, max_bytes: int) -> None:
        """Writes its files into a folder, those without whose name begins with a dot.

        Args:
            to: The folder.
            max_bytes: Most of one file.

        Raises:
            ArtifactError: a file is larger, cannot be read, is no file, or lies elsewhere.
            UnavailableError: the bucket is away.
            OSError: a file cannot be written.
        """


class FolderSource:
    """An artifact's folder on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        with (folder / manifest.FILENAME).open("rb") as file:
            self.text = _bounded(file.read(MAX_MANIFEST_BYTES + 1), folder.name)
        self.name = manifest.parse(self.text, f"{folder.name}/{manifest.FILENAME}").name

    def copy(self, to: Path, max_bytes: int) -> None:
        """Copies its files, and in place of a link what it leads to; raises as `Source.copy`."""
        for below in self._files(Path()):
            target = to / below
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                opened = (self._folder / below).open("rb")
            except OSError as error:
                raise _expected(below, f"a file that can be read, got {error.strerror}") from None
            with opened, target.open("xb") as written:
                left = max_bytes
                while data := opened.read(_CHUNK_BYTES):
                    if (left := left - len(data)) < 0:
                        raise _too_large(str(below), max_bytes)
                    written.write(data)

    def _files(self, below: Path) -> Iterator[Path]:
        """Yields the paths of the files below a folder, each looked at."""
        try:
            names = sorted(os.listdir(self._folder / below))
        except OSError as error:
            raise _expected(below, f"a folder that can be read, got {error.strerror}") from None
        for name in names:
            if name.startswith("."):
                continue
            path = self._folder / below / name
            try:
                kind = path.stat().st_mode
                inside = path.resolve().is_relative_to(self._folder)
            except (OSError, RuntimeError):
                raise _expected(below / name, "a file, got a link to nothing") from None
            if not inside:
                raise _expected(below / name, "a file in the model's folder, got a link out")
            if stat.S_ISDIR(kind) and not path.is_symlink():
                yield from self._files(below / name)
            elif stat.S_ISREG(kind):
                yield below / name
            else:
                raise _expected(below / name, "a file or a folder, got neither")


class BucketSource:
    """An artifact's prefix in a bucket.

    Args:
        bucket: The bucket.
        prefix: Ends in a slash, unless it is empty.
    """

    def __init__(self, bucket: gcs.Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        path = prefix + manifest.FILENAME
        try:
            self.text = _bounded(bucket.read(path, MAX_MANIFEST_BYTES + 1), path)
        except gcs.ObjectNotFoundError as error:
            raise ModelNotFoundError(error.message) from None
        self.name = manifest.parse(self.text, path).name

    def copy(self, to: Path, max_bytes: int) -> None:
        """Downloads its objects; raises as `Source.copy` says."""
        for name, size_bytes in self._bucket.objects(self._prefix):
            below = name.removeprefix(self._prefix)
            if any(part.startswith(".") for part in below.split("/")) or below.endswith("/"):
                continue
            if "//" in f"/{below}" or "\0" in below:
                raise _expected(Path(below), "an object whose name is a path, got another name")
            if size_bytes > max_bytes:
                raise _too_large(below, max_bytes)
            target = to / below
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._bucket.download(name, target, max_bytes)
            except gcs.ObjectNotFoundError as error:  # deleted meanwhile
                raise ArtifactError(error.message) from None


def find(place: str, name: str, settings: Settings) -> Source:
    """Returns the artifact that a place is, or that it has.

    Args:
        place: A folder, or ``gs://bucket/prefix``.
        name: Which model; empty: the only one.
        settings: The limits.

    Raises:
        SettingsError: several models are there and none is named, or the place cannot be one.
        ModelNotFoundError: there is no model, or none of this name.
        ManifestError: its model.toml is wrong.
        UnavailableError: the bucket is away.
    """
    source = _in_bucket(place, name, settings) if _is_uri(place) else _in_folder(place, name)
    if name and source.name != name:
        raise ModelNotFoundError(f"{place}: expected the model {name}, got {source.name}")
    return source


def _is_uri(place: str) -> bool:
    return place.startswith(gcs.SCHEME)


def _in_folder(place: str, name: str) -> FolderSource:
    repository = LocalRepository(Path(place))
    path = repository.manifest_path(_chosen(repository.names(), place, name))
    try:
        return FolderSource(path.parent)
    except OSError as error:
        raise ArtifactError(f"{path}: expected a file, got {error.strerror}") from None


def _in_bucket(place: str, name: str, settings: Settings) -> BucketSource:
    try:
        bucket_name, prefix = gcs.split(place.rstrip("/"))
    except ValueError as error:
        raise SettingsError(f"{error}, got {place!r}") from None
    bucket = gcs.Bucket(bucket_name, settings.timeout_s)
    prefix = f"{prefix}/" if prefix else ""
    if not bucket.exists(prefix + manifest.FILENAME):
        prefix += _chosen(bucket.folders(prefix), place, name) + "/"
    return BucketSource(bucket, prefix)


def _chosen(names: list[str], place: str, name: str) -> str:
    if not names or (name and name not in names):
        raise ModelNotFoundError(f"{place}: expected a model {name}".rstrip() + ", got none")
    if not name and len(names) > 1:
        raise SettingsError(f"{place}: expected --name with one of {', '.join(names)}")
    return name or names[0]


def _bounded(text: bytes, place: str) -> bytes:
    if len(text) > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"{place}: expected at most {MAX_MANIFEST_BYTES} bytes, got more")
    return text


def _expected(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path}: expected {what}")


def _too_large(path: str, max_bytes: int) -> ArtifactError:
    return ArtifactError(
        f"{path}: expected at most {max_bytes} bytes, got more (ZEROPOINT_MAX_MODEL_BYTES)"
    )
