"""The versions of a model of this machine: put beside, proven, switched to, and back.

A new version is written to ``NAME/.versions/.part-new``, made durable, and moved to
``NAME/.versions/<number>-<digest>`` once it gave its known answer. The link ``NAME/.current``
then says that it counts, and is replaced in one step. A model without the link is the version in
its own folder, which has the number 0 and always stays. Each step is durable before the next one
that needs it, so that after a kill or a power cut the link leads to a version that is whole.

Which version another one replaced stands in its file ``.from``. That one and the current are
kept, for `rollback` and for servers that began with it; the others are deleted.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from zeropoint import durable, loader
from zeropoint.artifact import CURRENT, VERSION, VERSIONS, Artifact, LocalRepository, current
from zeropoint.errors import ArtifactError, ModelNotFoundError, ZeropointError
from zeropoint.manifest import FILENAME, NAME_PATTERN, Manifest, parse
from zeropoint.settings import Settings
from zeropoint.versions import lock
from zeropoint.versions.source import Source

FROM = ".from"
FIRST = "0"  # what stands for the model's own folder
_PART = ".part-"
_DIGITS = 12


class Version(NamedTuple):
    """One version of a model."""

    number: int  # 0: the model's own folder
    version: str  # as its manifest says; empty where that cannot be read
    digest: str  # of its manifest: sha256:…
    current: bool
    before: bool  # whether `rollback` goes to it


class Versions:
    """The versions of one model.

    Args:
        repository: Where it lies.
        name: Which; it need not be there yet.
        settings: The limits of a model.
        waiting: Called where another update has to end first.

    Raises:
        ModelNotFoundError: the repository is the folder of another model.
    """

    def __init__(
        self,
        repository: LocalRepository,
        name: str,
        settings: Settings,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._waiting = waiting
        self._root = Path(repository.location)
        self._home = repository.home(name)
        self._versions = self._home / VERSIONS
        if not re.match(NAME_PATTERN, name):
            raise ModelNotFoundError(f"{self._root}: expected a model's name")
        if self._home == self._root:
            (own,) = LocalRepository(self._root, held=self._root).names()
            if name != own:
                raise ModelNotFoundError(f"{self._root}: expected the model {own}, got {name}")

    def known(self) -> list[Version]:
        """Returns the versions that are there, the oldest first.

        Raises:
            ModelNotFoundError: there is no such model.
            ManifestError: .current is none of ours.
        """
        labels = self._required()
        now = self._current()
        before = self._from(now)
        return [self._version(label, now, before) for label in labels]

    def update(self, source: Source) -> Manifest | None:
        """Puts a version beside the current one, and switches to it once it is proven.

        A model that is not there yet is moved in as a folder of its own.

        Returns:
            The manifest of what counts now; None where that is what did before.

        Raises:
            ZeropointError: it is not what its manifest says, or it cannot be read or written;
                then nothing is changed.
        """
        with self._alone():
            labels = self._labels()
            if not labels:
                return self._add(source)
            before = self._current()
            if self._is(before, source) and self._works(before):
                return None
            number = 1 + max(map(_number, labels))
            label = f"{number}-{hashlib.sha256(source.text).hexdigest()[:_DIGITS]}"
            try:
                manifest = self._put(source, label, before if before in labels else FIRST)
                self._switch(label)
            except BaseException:
                if self._current() != label:
                    self._delete([label])
                    with contextlib.suppress(OSError):  # other versions are in it
                        self._versions.rmdir()
                raise
            self._prune({label, before})
            return manifest

    def rollback(self) -> Manifest:
        """Switches to the version that the current one replaced, if it still works.

        Returns:
            Its manifest.

        Raises:
            ZeropointError: there is none, or it gives its known answer no more; then nothing is
                changed.
        """
        with self._alone():
            self._required()
            now = self._current()
            before = self._from(now)
            if not before or not self._exists(before):
                raise ArtifactError(
                    f"{self._name}: expected a version before the current one, got none"
                )
            manifest = self._prove(self._folder(before))
            self._switch(before)
            # The one that is left may still be served, and its number is not given again.
            self._prune({before, self._from(before), now})
            return manifest

    def _add(self, source: Source) -> Manifest:
        if self._home.exists() or self._home.is_symlink():
            raise ArtifactError(f"{self._home}: expected a model or nothing, got no {FILENAME}")
        with self._staged(source, self._root / f"{_PART}{self._name}") as (part, manifest):
            durable.settle(part, self._root.stat().st_mode & 0o777)
            os.rename(part, self._home)
        durable.sync(self._root)
        return manifest

    def _put(self, source: Source, label: str, before: str) -> Manifest:
        mode = self._home.stat().st_mode & 0o777
        self._versions.mkdir(exist_ok=True)
        self._versions.chmod(mode)  # whatever the caller's mask: who serves must read it
        with self._staged(source, self._versions / f"{_PART}new") as (part, manifest):
            (part / FROM).write_text(before, "utf-8")
            durable.settle(part, mode)
            os.rename(part, self._versions / label)
        durable.sync(self._versions)
        return manifest

    @contextmanager
    def _staged(self, source: Source, part: Path) -> Iterator[tuple[Path, Manifest]]:
        """Gives a copy that is proven; it is gone afterwards unless it has been moved."""
        try:
            part.mkdir()
            source.copy(part, self._settings.max_model_bytes)
            if (part / FILENAME).read_bytes() != source.text:
                raise ArtifactError(f"{self._name}/{FILENAME}: it was changed while it was copied")
            yield part, self._prove(part)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _prove(self, folder: Path) -> Manifest:
        """Has the files of a version verified, and its known answer given."""
        repository = LocalRepository(folder, held=folder)
        artifact = Artifact(repository, self._name)
        for file in (artifact.manifest.file, *(one.file for one in artifact.manifest.variant)):
            artifact.fetch(file)
        return loader.load(repository, self._name, self._settings).manifest

    def _works(self, label: str) -> bool:
        try:
            self._prove(self._folder(label))
        except ZeropointError:
            return False
        return True

    def _switch(self, label: str) -> None:
        link = self._home / CURRENT
        if label == FIRST:
            link.unlink(missing_ok=True)
        else:
            part = self._home / f"{_PART}link"
            part.symlink_to(f"{VERSIONS}/{label}")
            durable.sync(self._home)
            os.replace(part, link)
        durable.sync(self._home)

    def _prune(self, kept: set[str]) -> None:
        self._delete([label for label in self._labels() if label not in {*kept, FIRST}])

    def _delete(self, labels: list[str]) -> None:
        """Deletes versions; renamed first, so that no part of one has a version's name."""
        with contextlib.suppress(OSError):  # the next update tries again
            for label in labels:
                os.rename(self._versions / label, self._versions / f"{_PART}{label}")
            durable.sync(self._versions)
            self._clean()

    def _clean(self) -> None:
        """Deletes what a killed update, or one of the versions before it, has left."""
        if (link := self._home / f"{_PART}link").is_symlink():
            link.unlink()
        for part in (self._root / f"{_PART}{self._name}", *self._versions.glob(f"{_PART}*")):
            shutil.rmtree(part, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other updates of this repository waiting, and says what the disk refuses."""
        try:
            with lock.alone((self._root, self._home), self._waiting):
                self._clean()
                yield
        except OSError as error:
            raise ArtifactError(
                f"{self._home}: expected a folder that can be written, with room for a version"
                f" more, got {error.strerror}"
            ) from None

    def _current(self) -> str:
        folder = current(self._home)
        return FIRST if folder == self._home else folder.name

    def _from(self, label: str) -> str:
        """Returns the version that another one replaced; empty if none is known."""
        if label == FIRST:
            return ""
        try:
            found = (self._folder(label) / FROM).read_text("utf-8").strip()
        except (OSError, UnicodeError):
            return ""
        return found if found == FIRST or VERSION.fullmatch(found) else ""

    def _folder(self, label: str) -> Path:
        return self._home if label == FIRST else self._versions / label

    def _exists(self, label: str) -> bool:
        return (self._folder(label) / FILENAME).is_file()

    def _is(self, label: str, source: Source) -> bool:
        return self._exists(label) and self._text(label) == source.text

    def _text(self, label: str) -> bytes:
        return (self._folder(label) / FILENAME).read_bytes()

    def _labels(self) -> list[str]:
        """Returns the versions that are there, the oldest first."""
        found = [path.name for path in self._versions.glob("*") if VERSION.fullmatch(path.name)]
        return [label for label in (FIRST, *sorted(found, key=_number)) if self._exists(label)]

    def _required(self) -> list[str]:
        if not (labels := self._labels()):
            raise ModelNotFoundError(f"{self._root}: expected a model {self._name}, got none")
        return labels

    def _version(self, label: str, now: str, before: str) -> Version:
        text = self._text(label)
        try:
            version = parse(text, self._name).version
        except ZeropointError:
            version = ""
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        return Version(_number(label), version, digest, label == now, label == before)


def _number(label: str) -> int:
    return int(label.partition("-")[0])
