"""Each file of a folder to its one record, for as long as nobody says stop."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from zeropoint import uploads
from zeropoint.errors import BodyTooLargeError, ServerError, UnavailableError, ZeropointError
from zeropoint.logs import log, wordless
from zeropoint.model import Model
from zeropoint.protocols import strict_json
from zeropoint.settings import Settings
from zeropoint.sinks import Sink
from zeropoint.watching.changes import Changes
from zeropoint.watching.folder import File, Folder

# Young files, and those that could not be answered yet; others are found when these are done.
_MOST_PENDING = 10_000
_TICK_S = 0.5  # after which a signal is seen
_SLACK_S = 60.0  # by which the clock of a file server may be behind

Outcome = list[Any] | ZeropointError


class Watcher:
    """Answers files, one after the other.

    Args:
        folder: Where they come.
        model: Who answers.
        parameters: What the task lets a caller vary.
        sink: Where the records go; what has one there is not answered again.
        settings: The limits.
        settle_s: For so long a file that nobody has been seen to close must have stayed the same.
        rescan_s: After so long the folder is looked through again.
        tell: Called with each file that is answered, and its predictions or its error.
    """

    def __init__(
        self,
        folder: Folder,
        model: Model,
        parameters: Mapping[str, Any],
        sink: Sink,
        settings: Settings,
        settle_s: float,
        rescan_s: float,
        tell: Callable[[File, Outcome], None],
    ) -> None:
        self._folder = folder
        self._model = model
        self._parameters = parameters
        self._sink = sink
        self._settings = settings
        self._settle_s = settle_s
        self._rescan_s = rescan_s
        self._tell = tell
        self._pending: dict[str, tuple[File, float]] = {}  # and when each is looked at again
        self._since_ns = 0
        self._left = False  # whether some file had no place among them
        self._problem = ""

    def run(self, changes: Changes, stopped: Callable[[], bool], once: bool = False) -> None:
        """Answers what is there and what comes, until ``stopped``.

        Args:
            changes: What the system tells of the folder.
            stopped: Asked after each file.
            once: Whether to stop when all that was there is answered.

        Raises:
            OSError: the folder cannot be read.
        """
        scan_s = time.monotonic()
        while not stopped():
            if changes.missed or self._left or time.monotonic() >= scan_s:
                changes.missed = False
                self._scan(stopped)
                scan_s = time.monotonic() + self._rescan_s
            self._look_again(stopped)
            if once and not self._pending and not self._left:
                return
            due_s = min([scan_s, *(due_s for _, due_s in self._pending.values())])
            wait_s = min(_TICK_S, due_s - time.monotonic())
            for path, closed in changes.wait(wait_s).items():
                if stopped() or not (file := self._folder.look(path)):
                    continue
                if closed:
                    self._take(file)
                else:
                    self._wait(file, self._settle_s)

    def _scan(self, stopped: Callable[[], bool]) -> None:
        began_ns = time.time_ns()
        self._left = False
        for file in self._folder.files(self._since_ns):
            if stopped():
                return
            if began_ns - max(file.changed_ns, file.modified_ns) >= self._settle_s * 1e9:
                self._take(file)
            elif self._pending.get(file.name, (None,))[0] != file:
                self._wait(file, self._settle_s)
        if not self._left:
            self._since_ns = began_ns - int((self._rescan_s + _SLACK_S) * 1e9)

    def _look_again(self, stopped: Callable[[], bool]) -> None:
        """Answers those whose time has come; one that was written meanwhile waits again."""
        now_s = time.monotonic()
        for name, (file, due_s) in [*self._pending.items()]:
            if due_s > now_s or stopped():
                continue
            del self._pending[name]
            found = self._folder.look(file.path)
            if found == file:
                self._take(file)
            elif found:
                self._wait(found, self._settle_s)

    def _wait(self, file: File, seconds: float) -> None:
        if len(self._pending) < _MOST_PENDING or file.name in self._pending:
            self._pending[file.name] = file, time.monotonic() + seconds
        else:
            self._left = True

    def _take(self, file: File) -> None:
        """Answers a file unless it has its record; what may succeed later is tried again."""
        self._pending.pop(file.name, None)
        try:
            if self._sink.get(file.record) is not None:
                return
            outcome, told = self._answered(file)
            if outcome is None:
                self._wait(file, self._settle_s)
                return
            written = datetime.now(UTC).isoformat()
            record = strict_json.encode({"file": _of(file), **told, "written": written})
            if self._sink.put(file.record, record, {"source": file.name}):
                self._tell(file, outcome)
            self._problem = ""
        except (UnavailableError, OSError) as error:
            if self._problem != str(error):  # told once, not for each file and try
                log.warning("%s", error)
            self._problem = str(error)
            self._wait(file, self._rescan_s)

    def _answered(self, file: File) -> tuple[Outcome | None, dict[str, Any]]:
        """Returns what a file's record tells; None first if the file is another one by now."""
        most_bytes = self._settings.max_body_bytes
        try:
            if file.size_bytes > most_bytes:
                raise BodyTooLargeError(
                    f"expected a file of at most {most_bytes} bytes, got {file.size_bytes}"
                )
            data = self._folder.read(file, most_bytes + 1)
            if data is None:
                return None, {}
            answer = uploads.answer(
                self._model, file.name, data, self._parameters, self._settings.max_instances
            )
            return answer.predictions, answer.record()
        except (UnavailableError, OSError):
            raise
        except ZeropointError as error:
            return error, {"error": {"code": error.code, "message": error.message}}
        except Exception as error:  # of ours: else the next start would meet the same file again
            log.error("internal error: %s", type(error).__name__, exc_info=wordless(error))
            ours = ServerError("an error of this program, which its log tells")
            return ours, {"error": {"code": ours.code, "message": ours.message}}


def _of(file: File) -> dict[str, Any]:
    name = file.name.encode(errors="replace").decode()  # bytes that are no UTF-8 are no JSON
    modified = datetime.fromtimestamp(file.modified_ns / 1e9, UTC).isoformat()
    return {"name": name, "size_bytes": file.size_bytes, "modified": modified}
