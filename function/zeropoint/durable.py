"""What outlasts a power cut: bytes and names that the disk was told to keep."""

import contextlib
import os
from pathlib import Path


def sync(path: Path) -> None:
    """Has the disk take a file's bytes, or the names in a folder.

    Raises:
        OSError: the disk refuses.
    """
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def replace(path: Path, data: bytes, part: Path, mode: int | None = None) -> None:
    """Writes a file whole or not at all, in the place of one that is there.

    Args:
        path: Where.
        data: Its bytes.
        part: Where they are written first, in the same folder; what a killed process left there
            goes.
        mode: Who may read it; by default whom the process's mask lets.

    Raises:
        OSError: the disk refuses.
    """
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    try:
        opened = os.open(
            part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600
        )
        with open(opened, "wb") as file:
            file.write(data)
            if mode is not None:
                os.fchmod(opened, mode)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):  # what made it fail may make this fail too
            part.unlink()
    sync(path.parent)


def settle(folder: Path, mode: int) -> None:
    """Has the disk take all that is below a folder, and the folder itself.

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
