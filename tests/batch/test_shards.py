"""Shards and their journal: what a stop at any moment leaves is gone on with."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.inputs import written
from zeropoint.batch.forms import JsonLines
from zeropoint.batch.place import LocalFolder
from zeropoint.batch.shards import Shards
from zeropoint.batch.share import Share
from zeropoint.errors import SettingsError

JOB: dict[str, Any] = {"input": "a", "model": "m"}


class Killed(Exception):
    """What stands for a kill: nothing is done after it."""


class MortalFolder(LocalFolder):
    """A folder whose process dies before or after one of its changes."""

    def __init__(self, root: Path, changes: int, after: bool) -> None:
        super().__init__(root)
        self._left = changes
        self._after = after

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, or dies."""
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        super().write(name, data)
        if self._left == 0:
            raise Killed


def write_all(folder: LocalFolder, rows: int, most_rows: int, chunk: int) -> None:
    """Writes rows from where the journal stands on."""
    form = JsonLines()
    shards = Shards(folder, form, Share(), JOB, most_rows, resume=True)
    for start in range(shards.rows, rows, chunk):
        ids = [str(row) for row in range(start, min(rows, start + chunk))]
        piece = form.encode(ids, [{"of": id_} for id_ in ids], False)
        shards.add(piece, len(ids), Counter())
    shards.close(done=True)


@given(
    rows=st.integers(0, 60),
    most_rows=st.integers(1, 20),
    chunks=st.lists(st.integers(1, 25), min_size=1, max_size=6),
    deaths=st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=6),
)
def test_whenever_it_is_killed_every_row_is_there_once(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    most_rows: int,
    chunks: list[int],
    deaths: list[tuple[int, bool]],
) -> None:
    root = tmp_path_factory.mktemp("out")
    for turn, (changes, after) in enumerate(deaths):
        try:
            write_all(
                MortalFolder(root, changes, after), rows, most_rows, chunks[turn % len(chunks)]
            )
        except Killed:
            continue
    write_all(LocalFolder(root), rows, most_rows, chunks[-1])
    assert [row["id"] for row in written(root)] == [str(row) for row in range(rows)]


def test_a_journal_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "_journal.json").write_text("[]")
    with pytest.raises(SettingsError, match=r"^_journal\.json: expected a batch's journal"):
        write_all(LocalFolder(tmp_path), 1, 1, 1)


def test_a_new_execution_of_a_task_writes_its_files_anew(tmp_path: Path) -> None:
    form, share = JsonLines(), Share(1, 3)
    for rows in (9, 4):
        shards = Shards(LocalFolder(tmp_path), form, share, JOB, 2, resume=False)
        for row in range(rows):
            shards.add(form.encode([str(row)], [row], False), 1, Counter())
        shards.close(done=True)
    assert [row["id"] for row in written(tmp_path)] == ["0", "1", "2", "3"]
    assert (shards.rows, shards.files, shards.done) == (4, 2, True)
