"""What outlasts a power cut: files and folders that the disk has, one update at a time."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Has the disk take a file's bytes, or the names in a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def settle(folder: Path, mode: int) -> None:
    """Has the disk take all that is below a folder, and the folder.

    Args:
        folder: With files and folders only.
        mode: The permission bits of the folders; files have the same, but for those to execute.
    """
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            os.chmod(Path(place, name), mode & 0o666)
            sync(Path(place, name))
        os.chmod(place, mode)
        sync(Path(place))


@contextmanager
def locked(folders: Iterable[Path], waiting: Callable[[], None]) -> Iterator[None]:
    """Holds folders for this process alone; the end of the process frees them.

    Args:
        folders: Those of them that are there.
        waiting: Called where another process has one of them, before that is awaited.

    Raises:
        OSError: one cannot be opened, or its file system has no locks.
    """
    found = {}
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            stat = folder.stat()
            found[stat.st_dev, stat.st_ino] = folder
    with contextlib.ExitStack() as held:
        for _, folder in sorted(found.items()):  # the same order everywhere
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            held.callback(os.close, opened)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(opened, fcntl.LOCK_EX)
        yield
