"""Records as files below a folder of this machine, or of a volume mounted there.

A record is written beside its place, as ``.zeropoint-….part``, made durable, and then linked to
its name, which the file system does for one of all who try, and for none if it has that name
already. A process killed meanwhile leaves the part, never half a record; parts older than a
request may be deleted. A file system without hard links (Cloud Storage FUSE, FAT) cannot do
this and is told as unavailable; for a bucket there is ``gs://``.
"""

import contextlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from zeropoint import durable
from zeropoint.errors import UnavailableError
from zeropoint.sinks import names

SCHEME = "file://"
# Not what any file system may refuse, fold or normalize, but for the case of letters.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.~@=+,-]")
_MAX_PART_BYTES = 200  # of 255
_MAX_PATH_BYTES = 2048  # of 4096, the folder's own path included


def folder(uri: str) -> Path:
    """Returns the folder that ``file:///folder`` names, its percent-encoding undone.

    Raises:
        ValueError: not such a URI, or not of an absolute path.
    """
    path = unquote(uri.removeprefix(SCHEME), errors="surrogateescape")
    if not uri.startswith(SCHEME) or not path.startswith("/") or not path.strip("/"):
        raise ValueError("expected file:///folder, an absolute path")
    if "\0" in path:
        raise ValueError("expected a path, got one with a zero byte")
    return Path(path)


class FileSink:
    """Records in a folder, which is made when the first is written.

    Args:
        root: The folder.
        private: Whether it must be this user's alone, as it has to be where others may write
            beside it.
    """

    def __init__(self, root: Path, private: bool = False) -> None:
        self.location = str(root)
        self._root = root
        self._private = private

    def put(self, name: str, record: bytes, attributes: Mapping[str, str]) -> bool:
        """Writes a record's file, its attributes left out; does as `Sink.put` says."""
        path = self._path(name)
        try:
            self._make(self._root)
            self._check()
            self._make(path.parent)
            return _write(path, record)
        except OSError as error:
            raise self._told(error) from None

    def get(self, name: str) -> bytes | None:
        """Returns a record, None if there is none; raises as `Sink.get` says."""
        try:
            self._check()
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._told(error) from None

    def owns(self, bucket: str, name: str) -> bool:
        """Returns False: what it writes is in no bucket."""
        return False

    def _path(self, name: str) -> Path:
        """Returns the place of a record.

        A record's file ends in .json and a folder does not, so that none is in another's way.
        """
        *folders, last = (names.escaped(part, _UNSAFE) for part in name.split("/"))
        folders = [
            part.removesuffix(names.SUFFIX) + "%2Ejson" if part.endswith(names.SUFFIX) else part
            for part in folders
        ]
        if not last.endswith(names.SUFFIX):
            last += "%" + names.SUFFIX
        parts = [names.shortened(part, _MAX_PART_BYTES) for part in (*folders, last)]
        below = "/".join(parts)
        if len(below) > _MAX_PATH_BYTES:
            below = names.shortened(below, _MAX_PART_BYTES)
        return self._root / below

    def _make(self, path: Path) -> None:
        """Makes a folder and those above it, so that they outlast a crash."""
        if path.is_dir():
            return
        if path != path.parent:
            self._make(path.parent)
        private = self._private and path == self._root
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700 if private else 0o777)
        durable.sync(path.parent)

    def _check(self) -> None:
        if not self._private:
            return
        found = self._root.lstat()
        if (
            not stat.S_ISDIR(found.st_mode)
            or found.st_uid != os.geteuid()
            or stat.S_IMODE(found.st_mode) & 0o077
        ):
            raise UnavailableError(
                "the folder of results is not this user's alone",
                retry_after_s=60.0,
                detail=f"{self.location}: expected a folder that only this user can open, got"
                " another (ZEROPOINT_RESULTS names a better place)",
            )

    def _told(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            "the folder of results is away, or refuses",
            retry_after_s=5.0,
            detail=f"{self.location}: expected a folder that can be read and written, with hard"
            f" links, got {error.strerror}",
        )


def _write(path: Path, record: bytes) -> bool:
    part = path.with_name(f".zeropoint-{os.getpid()}-{os.urandom(8).hex()}.part")
    try:
        with part.open("xb") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)
            written = True
        except FileExistsError:
            written = False
    finally:
        with contextlib.suppress(OSError):  # what made it fail may make this fail too
            part.unlink()
    durable.sync(path.parent)  # also for a record that another process has just linked
    return written
