"""Files of systemd's folders, written whole or not at all, and taken away again."""

import contextlib
import os
from pathlib import Path

from zeropoint.edge.units import MARK
from zeropoint.errors import SettingsError

_WANTED_BY = ("sockets.target.wants", "timers.target.wants")


def write(path: Path, text: str, mode: int) -> bool:
    """Writes a file unless it is so already.

    Args:
        path: Where.
        text: Its content, which begins with `MARK`.
        mode: Who may read it.

    Returns:
        Whether it was written.

    Raises:
        SettingsError: there is one that somebody else wrote, or the folder refuses.
    """
    try:
        if _own(path):
            if path.read_text() == text and path.stat().st_mode & 0o777 == mode:
                return False
        elif path.is_symlink() or path.exists():
            raise SettingsError(f"{path}: expected no file or one of zeropoint's, got another")
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text, mode)
    except OSError as error:
        raise told(path, error) from None
    return True


def remove(folder: Path, name: str) -> bool:
    """Removes a file that `write` wrote, and what enabled it; returns whether there was one.

    Raises:
        SettingsError: the folder refuses.
    """
    path = folder / name
    try:
        if not _own(path):
            return False
        for wants in _WANTED_BY:
            link = folder / wants / name
            if link.is_symlink():
                link.unlink()
        path.unlink()
    except OSError as error:
        raise told(path, error) from None
    return True


def told(path: Path, error: OSError) -> SettingsError:
    """Returns what is told of a folder that refuses."""
    return SettingsError(
        f"{path}: expected a folder that can be written, got {error.strerror}"
        " (run it as root, or with --user)"
    )


def _own(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open(errors="replace") as file:
        return file.readline().rstrip("\n") == MARK


def _replace(path: Path, text: str, mode: int) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(opened, "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
