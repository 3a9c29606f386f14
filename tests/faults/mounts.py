"""Commands that start a server which sees other disks: each in a mount namespace of its own.

What is mounted there is seen by that process alone, and gone when it ends.
"""

import contextlib
import errno
import subprocess
from pathlib import Path

import pytest

from servers import SERVE

_UNSHARE = ("unshare", "--mount", "--propagation", "private")
_TMPFS = 'mount -t tmpfs -o "size=$1" tmpfs "$0" && shift && exec "$@"'
_READ_ONLY = (
    'for folder in "$0" /var/tmp /tmp /; do'
    ' mount --bind "$folder" "$folder" && mount -o remount,bind,ro "$folder" || exit 1;'
    ' done; cd "$0" && exec "$@"'
)


def _allowed() -> bool:
    try:
        command = [*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_mounts = pytest.mark.skipif(not _allowed(), reason="nothing can be mounted here")


def with_small_disk(folder: Path, size: str) -> tuple[str, ...]:
    """Returns a command that serves with a file system of its own in a folder."""
    return (*_UNSHARE, "sh", "-c", _TMPFS, str(folder), size, *SERVE)


def read_only(folder: Path) -> tuple[str, ...]:
    """Returns a command that serves where no folder can be written, from one of them."""
    return (*_UNSHARE, "sh", "-c", _READ_ONLY, str(folder), *SERVE)


def seen_by(pid: int, folder: Path) -> Path:
    """Returns a folder as a process sees it."""
    return Path(f"/proc/{pid}/root{folder}")


def fill(folder: Path) -> Path:
    """Writes a file until the disk is full, and returns it."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(_Full):
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise _Full from None
                raise
    return path


def resize(pid: int, folder: Path, size: str) -> None:
    """Makes the file system that a process sees larger."""
    command = ["nsenter", "--target", str(pid), "--mount", "mount", "-o", f"remount,size={size}"]
    subprocess.run([*command, str(folder)], check=True)


class _Full(Exception):
    pass
