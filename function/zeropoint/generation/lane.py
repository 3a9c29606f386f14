"""A thread that writes texts, a token of each by turns, and ends when there are none."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np

from zeropoint.errors import OverloadedError
from zeropoint.generation.cache import Cache
from zeropoint.generation.sequence import Sequence
from zeropoint.metrics import Counts

_MEMORY = 0.9  # what the measure of a turn weighs beside the next one


class _Block:
    """Texts that share a cache, a row each, and go through the model together.

    Args:
        capacity: Most tokens of a row.
        cache: Without rows.
    """

    def __init__(self, capacity: int, cache: Cache) -> None:
        self.capacity = capacity
        self.cache = cache
        self.sequences: list[Sequence] = []  # by row; the last ones may have no memory yet

    @property
    def rows(self) -> int:
        """For how many texts it has memory, or takes it at the next turn."""
        return max(self.cache.rows, len(self.sequences))

    def drop_over(self) -> None:
        """Takes out the texts that are over; the last one goes where one was."""
        for row in reversed(range(len(self.sequences))):
            if not self.sequences[row].over:
                continue
            last = self.sequences.pop()
            if row < len(self.sequences):
                self.sequences[row] = last
                if last.past:
                    self.cache.move(len(self.sequences), row, last.past)


class Lane:
    """Texts, and the thread that writes them.

    What others ask for, they ask under the lock; passes go on outside.

    Args:
        make_cache: Returns a cache without rows, of rows with so many tokens.
        chunk: Tokens of a prompt in one pass.
        max_batch: Most texts in one pass.
        lock: Of the scheduler.
    """

    def __init__(
        self,
        make_cache: Callable[[int], Cache],
        chunk: int,
        max_batch: int,
        lock: threading.Lock,
    ) -> None:
        self.turn_s = 0.0  # what a token of each text takes
        self._make_cache = make_cache
        self._chunk = chunk
        self._max_batch = max_batch
        self._lock = lock
        self._blocks: list[_Block] = []
        self._turns = count()
        self._counts = Counts(0, 0)
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """Returns how many texts it has."""
        return sum(len(block.sequences) for block in self._blocks)

    @property
    def tokens(self) -> int:
        """For how many tokens it has memory."""
        return sum(block.rows * block.capacity for block in self._blocks)

    def missing(self, capacity: int) -> int:
        """Returns for how many tokens more it would need memory, with one text more."""
        block = self._with_place(capacity)
        return 0 if block and block.rows > len(block.sequences) else capacity

    def counts(self) -> Counts:
        """Returns what it has read and written, and how many texts it has."""
        return self._counts._replace(texts=len(self))

    def left_s(self) -> float:
        """Returns the seconds until the first of its texts ends at the latest; 0: none."""
        left = [one.most_left for block in self._blocks for one in block.sequences]
        return min(left, default=0) * self.turn_s

    def add(self, sequence: Sequence, capacity: int) -> None:
        """Takes a text, of at most ``capacity`` tokens.

        Raises:
            OverloadedError: the system has no thread for it.
        """
        if self._thread is None:
            thread = threading.Thread(target=self._write, name="write")
            try:
                thread.start()  # it waits for the lock, and then finds the text
            except RuntimeError:
                raise OverloadedError("expected fewer threads at once") from None
            self._thread = thread
        block = self._with_place(capacity)
        if block is None:
            block = _Block(capacity, self._make_cache(capacity))
            self._blocks.append(block)
        sequence.turn = next(self._turns)
        block.sequences.append(sequence)

    def _with_place(self, capacity: int) -> _Block | None:
        places = (
            block
            for block in self._blocks
            if block.capacity == capacity and len(block.sequences) < self._max_batch
        )
        return next(places, None)

    def _write(self) -> None:
        try:
            self._take_turns()
        except Exception as error:  # none is known, but nobody is to wait for ever
            with self._lock:
                left = [one for block in self._blocks for one in block.sequences]
                self._blocks, self._thread = [], None
            for one in left:
                one.fail(error)

    def _take_turns(self) -> None:
        while blocks := self._settled():
            for block, rows in blocks:
                self._hold(block, rows)
            self._read_part(blocks)
            began_s = time.monotonic()
            for block, rows in blocks:
                self._step(block, rows)
            turn_s = time.monotonic() - began_s
            self.turn_s = _MEMORY * self.turn_s + (1 - _MEMORY) * turn_s

    def _settled(self) -> list[tuple[_Block, int]]:
        """Returns the blocks with their rows of this turn; none: the thread ends."""
        is_last = not threading.main_thread().is_alive()  # the interpreter waits for this thread
        with self._lock:
            for block in self._blocks:
                for sequence in block.sequences:
                    if is_last:
                        sequence.close()
                    sequence.end_if_left()
                block.drop_over()
            self._blocks = [block for block in self._blocks if block.sequences]
            if not self._blocks:
                self._thread = None
            return [(block, len(block.sequences)) for block in self._blocks]

    def _hold(self, block: _Block, rows: int) -> None:
        held = block.cache.rows
        if held < rows:
            with _ending(block.sequences[held:rows]):
                block.cache.hold(rows, [one.past for one in block.sequences[:held]])

    def _read_part(self, blocks: list[tuple[_Block, int]]) -> None:
        """Reads the next part of a prompt: of that which has waited the longest."""
        waiting = [
            (one.turn, block, row)
            for block, rows in blocks
            for row, one in enumerate(block.sequences[:rows])
            if len(one.unread) and not one.over
        ]
        if not waiting:
            return
        _, block, row = min(waiting, key=lambda found: found[0])
        sequence = block.sequences[row]
        part = sequence.unread[: self._chunk]
        is_last = len(part) == len(sequence.unread)
        asked = np.array([len(part) - 1] * is_last, np.int64)
        sequence.turn = next(self._turns)
        sequence.began_s = min(sequence.began_s, time.monotonic())
        with _ending([sequence]):
            scores = block.cache.read(row, part, sequence.past, asked)
            sequence.past += len(part)
            if is_last:
                sequence.take(scores[0])
        self._count(1, len(part), int(is_last))

    def _step(self, block: _Block, rows: int) -> None:
        """Writes a token of each text whose prompt is read.

        What the others get meanwhile lies behind their last token, and is written over.
        """
        sequences = block.sequences[: min(rows, block.cache.rows)]
        writing = [not one.over and not len(one.unread) for one in sequences]
        if not any(writing):
            return
        with _ending(sequences):
            tokens = [one.last if on else 0 for one, on in zip(sequences, writing, strict=True)]
            scores = block.cache.step(tokens, [one.past for one in sequences])
            for one, on, row in zip(sequences, writing, scores, strict=True):
                if on:
                    one.past += 1
                    one.take(row)
        self._count(len(sequences), 0, sum(writing))

    def _count(self, rows: int, read: int, written: int) -> None:
        was = self._counts
        self._counts = Counts(
            was.passes + 1,
            was.rows + rows,
            was.prompt_tokens + read,
            was.completion_tokens + written,
        )


@contextmanager
def _ending(sequences: list[Sequence]) -> Iterator[None]:
    """Ends texts with what goes wrong inside."""
    try:
        yield
    except Exception as error:
        for one in sequences:
            one.fail(error)
