"""An artifact is a folder with a model.toml; a repository is a folder of them, or one of them.

A repository lies on this machine or in a bucket. A file is used only after its bytes came out
at the digest that the manifest gives; from a bucket it goes through a cache whose names are
digests, written beside and moved in, so that no reader meets half a file.

Where a model of this machine has been updated (`zeropoint.versions`), its folder has a link
``.current`` to one below ``.versions``, which then counts in place of the folder itself.
"""

import copy
import errno
import hashlib
import math
import os
import re
from pathlib import Path
from typing import Protocol, Self

from zeropoint import gcs, manifest
from zeropoint.bulkhead import Bulkhead
from zeropoint.errors import (
    ArtifactError,
    ManifestError,
    ModelNotFoundError,
    SettingsError,
)
from zeropoint.manifest import File, Manifest
from zeropoint.settings import Settings

MAX_MANIFEST_BYTES = 1024 * 1024
CURRENT = ".current"
VERSIONS = ".versions"
VERSION = re.compile(r"([1-9][0-9]{0,8})-[0-9a-f]{12}")  # its number, its manifest's digest


class Repository(Protocol):
    """Where artifacts lie."""

    location: str

    def names(self) -> list[str]:
        """Returns the names of the models that seem to be there, sorted."""

    def manifest(self, name: str) -> Manifest:
        """Reads a model's manifest.

        Raises:
            ModelNotFoundError: no such model.
            ManifestError: there is a model.toml, but it is wrong.
            UnavailableError: the repository is away.
        """

    def fetch(self, name: str, file: File) -> Path:
        """Returns the local path of one of a model's files, its bytes verified.

        Raises:
            ArtifactError: the file is missing, or its digest differs.
            UnavailableError: the repository is away.
        """

    def at(self, name: str) -> "Repository":
        """Returns the same repository, a model's files all of the version that counts now."""


class LocalRepository:
    """A folder on this machine, or on a volume mounted there.

    Args:
        root: The folder.
        held: The version that counts; by default what a model's .current leads to.
    """

    def __init__(self, root: Path, held: Path | None = None) -> None:
        self.location = str(root)
        self._root = root
        self._held = held

    def names(self) -> list[str]:
        """Returns the names of the folders with a model.toml, sorted; or the artifact's own."""
        if self._is_artifact():
            return [self._read("").name]
        found = self._root.glob(f"*/{manifest.FILENAME}")
        return sorted(path.parent.name for path in found if _is_name(path.parent.name))

    def manifest(self, name: str) -> Manifest:
        """Reads a model's manifest; raises as `Repository.manifest` says."""
        if not _is_name(name) or not self.manifest_path(name).is_file():
            raise ModelNotFoundError(
                f"{self.location}: expected a model {name}, got none (zeropoint models lists all)"
            )
        return _named(self._read(name), name)

    def manifest_path(self, name: str) -> Path:
        """Returns where a model's manifest lies, of the version that counts."""
        return self._folder(name) / manifest.FILENAME

    def home(self, name: str) -> Path:
        """Returns a model's folder, whichever version counts."""
        return self._root if self._is_artifact() else self._root / name

    def fetch(self, name: str, file: File) -> Path:
        """Returns the path of a model's file; raises as `Repository.fetch` says."""
        place = f"{name}/{file.path}"
        try:
            folder = self._folder(name).resolve()
            path = (folder / file.path).resolve()
        except (OSError, RuntimeError):
            raise ArtifactError(f"{place}: expected a file, got a link to itself") from None
        if not path.is_relative_to(folder):
            raise ArtifactError(f"{place}: expected a file in the model's folder, got a link out")
        return _verified(path, file, place)

    def at(self, name: str) -> Self:
        """Returns the same repository, a model's files all of the version that counts now.

        Raises:
            ManifestError: its .current is none of ours.
        """
        held = copy.copy(self)
        if _is_name(name):
            held._held = self._folder(name)
        return held

    def _is_artifact(self) -> bool:
        return (self._root / manifest.FILENAME).is_file()

    def _folder(self, name: str) -> Path:
        return self._held or current(self.home(name))

    def _read(self, name: str) -> Manifest:
        folder, home = self._folder(name), self.home(name)
        place = str(Path(home.name, folder.relative_to(home), manifest.FILENAME))
        try:
            with (folder / manifest.FILENAME).open("rb") as file:
                text = file.read(MAX_MANIFEST_BYTES + 1)
        except FileNotFoundError:  # it went while it was looked for
            raise ModelNotFoundError(f"{place}: expected a manifest, got none") from None
        except OSError as error:
            raise ManifestError(
                f"{place}: expected a file that can be read, got {error.strerror}"
            ) from None
        return _parse(text, place)


class BucketRepository:
    """A prefix of a bucket, read through a cache on this machine.

    Args:
        uri: ``gs://bucket`` or ``gs://bucket/prefix``.
        cache: A folder.
        patience_s: About how long a call may take where the storage stalls or fails.
        max_bytes: Most of a file: the cache may be memory, and a digest is only known at the end.
        max_queue: Most requests at one model, a part of which may wait for names and manifests.
    """

    def __init__(
        self,
        uri: str,
        cache: Path,
        patience_s: float = math.inf,
        max_bytes: int = 1 << 30,
        max_queue: int = 128,
    ) -> None:
        bucket, prefix = gcs.split(uri.rstrip("/"))
        self.location = uri
        self._bucket = gcs.Bucket(bucket, patience_s)
        self._prefix = f"{prefix}/" if prefix else ""
        self._cache = cache
        self._max_bytes = max_bytes
        self._waiting = Bulkhead(max_queue)
        self._artifact: bool | None = None

    def names(self) -> list[str]:
        """Returns the names of the folders below the prefix, sorted; or the artifact's own."""
        with self._waiting.enter():
            if self._is_artifact():
                return [self._read(self._prefix).name]
            return [name for name in self._bucket.folders(self._prefix) if _is_name(name)]

    def manifest(self, name: str) -> Manifest:
        """Reads a model's manifest; raises as `Repository.manifest` says."""
        if not _is_name(name):
            raise ModelNotFoundError(f"{self.location}: expected a model's name")
        with self._waiting.enter():
            return _named(self._read(self._folder(name)), name)

    def fetch(self, name: str, file: File) -> Path:
        """Returns the cached path of a model's file; raises as `Repository.fetch` says."""
        place = f"{name}/{file.path}"
        path = self._cache / (file.sha256 + Path(file.path).suffix)
        if path.exists():
            try:
                return _verified(path, file, place)
            except ArtifactError:  # damaged since: fetch it again, over this one
                pass
        import tempfile  # here: of a folder of this machine nothing is kept

        try:
            self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as folder:
                part = Path(folder) / path.name
                self._bucket.download(f"{self._folder(name)}{file.path}", part, self._max_bytes + 1)
                os.replace(_verified(part, file, place), path)
        except gcs.ObjectNotFoundError as error:
            raise ArtifactError(error.message) from None
        except OSError as error:
            raise ArtifactError(
                f"{place}: expected a cache that can be written at {self._cache},"
                f" got {error.strerror} (ZEROPOINT_CACHE names it)"
            ) from None
        return path

    def at(self, name: str) -> Self:
        """Returns itself: in a bucket a model has one version."""
        return self

    def _is_artifact(self) -> bool:
        """Tells whether the prefix is an artifact itself; asked once, as it does not change."""
        if self._artifact is None:
            self._artifact = self._bucket.exists(self._prefix + manifest.FILENAME)
        return self._artifact

    def _folder(self, name: str) -> str:
        return self._prefix if self._is_artifact() else f"{self._prefix}{name}/"

    def _read(self, folder: str) -> Manifest:
        path = folder + manifest.FILENAME
        try:
            return _parse(self._bucket.read(path, MAX_MANIFEST_BYTES + 1), path)
        except gcs.ObjectNotFoundError as error:
            raise ModelNotFoundError(error.message) from None


class Artifact:
    """One model's manifest, and the way to its files, all of one version."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._repository = repository.at(name)
        self.manifest = self._repository.manifest(name)

    def fetch(self, file: File) -> Path:
        """Returns the local path of a file of this artifact, its bytes verified.

        Raises:
            ArtifactError: the file is missing, or its digest differs.
            UnavailableError: the repository is away.
        """
        return self._repository.fetch(self.manifest.name, file)


def current(home: Path) -> Path:
    """Returns the folder of the version of a model that counts, for the model's folder.

    Raises:
        ManifestError: there is a .current that is none of ours.
    """
    try:
        target = os.readlink(home / CURRENT)
    except OSError as error:
        if error.errno == errno.EINVAL:  # as after a copy that follows links
            raise ManifestError(f"{home.name}/{CURRENT}: expected a link, got none") from None
        return home
    folder, _, version = target.partition("/")
    if folder != VERSIONS or not VERSION.fullmatch(version):
        raise ManifestError(
            f"{home.name}/{CURRENT}: expected a link to a folder in {VERSIONS}, got another"
        )
    return home / target


def open_repository(settings: Settings) -> Repository:
    """Returns the repository that the settings name.

    Raises:
        SettingsError: its location cannot be one.
    """
    location = settings.models or settings.aip_storage_uri
    if location.startswith(gcs.SCHEME):
        try:
            limits = settings.timeout_s, settings.max_model_bytes, settings.max_queue
            return BucketRepository(location, _cache(settings), *limits)
        except ValueError as error:
            variable = "ZEROPOINT_MODELS" if settings.models else "AIP_STORAGE_URI"
            raise SettingsError(f"{variable} is {location!r}: {error}") from None
    return LocalRepository(Path(location) if location else _beside_function())


def _beside_function() -> Path:
    """Returns model_artifacts in the function's folder or, as in a clone, beside that."""
    function = Path(__file__).resolve().parents[1]
    inside, beside = function / "model_artifacts", function.parent / "model_artifacts"
    return inside if inside.is_dir() else beside


def _cache(settings: Settings) -> Path:
    if settings.cache:
        return Path(settings.cache)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "zeropoint"


def _is_name(name: str) -> bool:
    return re.match(manifest.NAME_PATTERN, name) is not None


def _parse(text: bytes, place: str) -> Manifest:
    if len(text) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"{place}: expected at most {MAX_MANIFEST_BYTES} bytes, got more")
    return manifest.parse(text, place)


def _named(found: Manifest, name: str) -> Manifest:
    if found.name != name:
        raise ManifestError(
            f"{name}/{manifest.FILENAME}: expected the folder's name, got name = {found.name!r}"
        )
    return found


def _verified(path: Path, file: File, place: str) -> Path:
    try:
        with path.open("rb") as opened:
            got = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(
            f"{place}: expected a file of sha256 {file.sha256}, got {error.strerror}"
        ) from None
    if got != file.sha256:
        raise ArtifactError(f"{place}: expected sha256 {file.sha256}, got {got}")
    return path
