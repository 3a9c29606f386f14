"""Files of systemd's folders, written whole or not at all, and taken away again."""

from pathlib import Path

from zeropoint import durable
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
        durable.replace(path, text.encode(), path.with_name(f".{path.name}.part"), mode)
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
