"""The folder whose files are answered."""

import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple


class File(NamedTuple):
    """A file as it was when it was looked at; written again, it is another one."""

    path: Path
    name: str  # below the folder, with slashes
    size_bytes: int
    modified_ns: int  # since 1970
    changed_ns: int  # also when it was moved here

    @property
    def record(self) -> str:
        """The name of its record."""
        return f"{self.name}@{self.modified_ns}.json"


class Folder:
    """Regular files at any depth; nothing that is hidden, and no links.

    Args:
        root: Where.
        patterns: Of the files' own names, as ``*.jpg``; none: all.
    """

    def __init__(self, root: Path, patterns: tuple[str, ...] = ()) -> None:
        self.root = root
        self._patterns = patterns

    def files(self, since_ns: int = 0) -> Iterator[File]:
        """Yields the files that came or changed since then, those of a folder by name."""
        folders = [self.root]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError:  # it went, or is not ours to read
                if folder == self.root:
                    raise
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        folders.append(Path(entry.path))
                elif (file := self.look(Path(entry.path))) and file.changed_ns >= since_ns:
                    yield file

    def look(self, path: Path) -> File | None:
        """Returns a file below the folder, None if it is none that is to be answered."""
        below = path.relative_to(self.root)
        if any(part.startswith(".") for part in below.parts):
            return None
        if self._patterns and not any(fnmatch(path.name, one) for one in self._patterns):
            return None
        try:
            found = path.lstat()
        except OSError:
            return None
        return _file(path, below, found) if stat.S_ISREG(found.st_mode) else None

    def read(self, file: File, most_bytes: int) -> bytes | None:
        """Returns a file's first bytes, None if it is another one by now.

        Raises:
            OSError: it cannot be read.
        """
        try:
            opened = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with open(opened, "rb") as stream:
            data = stream.read(most_bytes)
            # Asked when it is read: who wrote meanwhile is seen.
            read = _file(file.path, Path(file.name), os.fstat(opened))
        return data if read == file else None


def _file(path: Path, below: Path, found: os.stat_result) -> File:
    return File(path, below.as_posix(), found.st_size, found.st_mtime_ns, found.st_ctime_ns)
