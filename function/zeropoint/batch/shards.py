"""What has been written: shards, each whole or not at all, and beside them a journal of them.

The journal is written anew after each shard. So after whatever ended the job, it tells how many
rows are done; one shard behind it may be there, and is written again under its name.
"""

from collections import Counter
from typing import Any

import msgspec

from zeropoint.batch.forms import Form
from zeropoint.batch.place import Folder
from zeropoint.batch.share import Share
from zeropoint.errors import SettingsError

_MOST_BYTES = 32 << 20  # of a shard, as it is held until it is written


class Shard(msgspec.Struct, frozen=True):
    """A file of rows, in the order of the input."""

    file: str
    rows: int
    errors: dict[str, int]  # by code


class Journal(msgspec.Struct):
    """What is done of which job."""

    job: dict[str, Any]
    done: bool = False
    shards: list[Shard] = []


class Shards:
    """The output of one job, or of one task's share of it.

    Args:
        folder: Where it goes.
        form: How rows are written.
        share: Which rows are in it.
        job: What must be the same for it to be gone on with: input, model, parameters.
        most_rows: Of a shard.
        resume: Whether to go on with what is there.

    Raises:
        SettingsError: there is output already and it is not to be gone on with, or it is another
            job's.
    """

    def __init__(
        self,
        folder: Folder,
        form: Form,
        share: Share,
        job: dict[str, Any],
        most_rows: int,
        resume: bool,
    ) -> None:
        self._folder = folder
        self._form = form
        self._share = share
        self._most_rows = most_rows
        self._pieces: list[Any] = []
        self._rows = self._bytes = 0
        self._errors: Counter[str] = Counter()
        before = self._read()
        self._journal = Journal(job)
        if before and resume:
            if before.job != job:
                raise SettingsError(_differences(before.job, job))
            self._journal = before
        elif before:
            if share.of == 1:
                raise SettingsError(
                    "expected an OUT without a batch's output, got one: go on with it by --resume,"
                    " or name another"
                )
            for shard in before.shards:  # of an execution of the job before this one
                folder.delete(shard.file)
            self._write()

    @property
    def done(self) -> bool:
        """Whether all rows are written."""
        return self._journal.done

    @property
    def rows(self) -> int:
        """How many rows are written."""
        return sum(shard.rows for shard in self._journal.shards)

    @property
    def errors(self) -> Counter[str]:
        """How many of them failed, by code."""
        return sum((Counter(shard.errors) for shard in self._journal.shards), Counter())

    @property
    def files(self) -> int:
        """How many shards are written."""
        return len(self._journal.shards)

    def add(self, piece: Any, rows: int, errors: Counter[str]) -> None:
        """Takes the next rows; writes a shard once there are enough."""
        self._pieces.append(piece)
        self._rows += rows
        self._bytes += self._form.size_bytes(piece)
        self._errors += errors
        if self._rows >= self._most_rows or self._bytes >= _MOST_BYTES:
            self._flush()

    def close(self, done: bool) -> None:
        """Writes what is left.

        Args:
            done: Whether these were all rows.
        """
        self._flush()
        if done:
            self._journal.done = True
            self._write()

    def _flush(self) -> None:
        if not self._rows:
            return
        name = f"predictions{self._share.name}-{self.files:05}{self._form.suffix}"
        self._folder.write(name, self._form.join(self._pieces))
        self._journal.shards.append(Shard(name, self._rows, dict(self._errors)))
        self._write()
        self._pieces, self._rows, self._bytes, self._errors = [], 0, 0, Counter()

    @property
    def _name(self) -> str:
        return f"_journal{self._share.name}.json"

    def _read(self) -> Journal | None:
        data = self._folder.read(self._name)
        try:
            return None if data is None else msgspec.json.decode(data, type=Journal)
        except ValueError:
            raise SettingsError(f"{self._name}: expected a batch's journal, got another") from None

    def _write(self) -> None:
        self._folder.write(self._name, msgspec.json.format(msgspec.json.encode(self._journal)))


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    names = [name for name in now if before.get(name) != now[name]]
    return f"expected the job that OUT is of, got another {', '.join(names)}"
