"""What the system tells of a folder, by watchdog: which files were closed or moved in."""

import os
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zeropoint.errors import SettingsError
from zeropoint.logs import log

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

_QUEUED = 10_000


class Changes:
    """Files that came or were written, in their order; far too many are not kept."""

    def __init__(self) -> None:
        self._files: queue.Queue[tuple[Path, bool]] = queue.Queue(_QUEUED)
        self.missed = False  # then the folder itself has to be asked

    def dispatch(self, event: "FileSystemEvent") -> None:
        """Notes an event; called by watchdog's thread."""
        if event.is_directory:
            # What lies in a folder that comes is not told, or was written before it was watched.
            self.missed |= event.event_type in ("created", "moved")
        elif event.event_type in ("created", "closed"):  # what is moved in from elsewhere, too
            self._note(event.src_path, event.event_type == "closed")
        elif event.event_type == "moved":
            self._note(event.dest_path, True)

    def wait(self, timeout_s: float) -> dict[Path, bool]:
        """Waits for the next change, at most so long, and returns all there are.

        Returns:
            For each file whether its writer is done with it, as far as the system tells.
        """
        found: dict[Path, bool] = {}
        try:
            path, closed = self._files.get(timeout=max(0.0, timeout_s))
            while True:
                found[path] = closed
                path, closed = self._files.get_nowait()
        except queue.Empty:
            return found

    def _note(self, path: bytes | str, closed: bool) -> None:
        try:
            self._files.put_nowait((Path(os.fsdecode(path)), closed))
        except queue.Full:
            self.missed = True


@contextmanager
def observed(root: Path, changes: Changes) -> Iterator[None]:
    """Has what happens below a folder noted, as far as the system tells it.

    Raises:
        SettingsError: watchdog is not installed.
    """
    try:
        from watchdog.observers import Observer
    except ImportError:
        raise SettingsError("watch needs watchdog: pip install 'zeropoint[watch]'") from None
    observer = Observer()
    try:
        observer.schedule(changes, str(root), recursive=True)  # type: ignore[arg-type]
        observer.start()
    except OSError as error:  # as inotify's limit: the folder is looked through all the same
        log.warning("%s is not observed (%s): it is looked through now and then", root, error)
        yield
        return
    try:
        yield
    finally:
        observer.stop()
        observer.join()
