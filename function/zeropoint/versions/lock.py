"""One update at a time."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(folders: Iterable[Path], waiting: Callable[[], None]) -> Iterator[None]:
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
