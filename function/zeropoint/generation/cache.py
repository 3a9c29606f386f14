"""The keys and values of what was read and written, and the passes over them."""

import mmap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zeropoint.generation.layout import Layout, Scores, Tokens
from zeropoint.tensors import TensorSpec

if TYPE_CHECKING:
    from zeropoint.session import Binding, Session, Value

_NONE: Tokens = np.empty(0, np.int64)


class Cache(Protocol):
    """Texts one beside another, a row each."""

    rows: int  # for which it has memory

    def read(self, row: int, tokens: Tokens, past: int, asked: Tokens = _NONE) -> Scores:
        """Reads tokens of one row.

        Args:
            row: Which.
            tokens: Of shape (n,): those that follow.
            past: How many the row has already.
            asked: The places among the n whose scores are wanted.

        Returns:
            float32 of shape (asked, vocabulary).
        """

    def step(self, tokens: Sequence[int], pasts: Sequence[int]) -> Scores:
        """Reads a token of each of the first rows; returns float32 of shape (rows, vocabulary)."""

    def hold(self, rows: int, pasts: Sequence[int]) -> None:
        """Takes memory for more rows.

        Args:
            rows: How many there are to be.
            pasts: The tokens of those that there are.
        """

    def move(self, source: int, target: int, past: int) -> None:
        """Puts a row in another's place; ``past`` tokens of it."""


def create(session: "Session", layout: Layout, capacity: int) -> Cache:
    """Returns a cache without rows.

    Args:
        session: The model.
        layout: Its inputs and outputs.
        capacity: Most tokens of a row.
    """
    if layout.table.cache == "shared":
        return SharedCache(session, layout, capacity)
    return AppendedCache(session, layout)


class SharedCache:
    """Memory of a fixed capacity, which the graph changes where it lies.

    Args:
        session: The model.
        layout: Its inputs and outputs.
        capacity: Most tokens of a row.
    """

    def __init__(self, session: "Session", layout: Layout, capacity: int) -> None:
        self.rows = 0
        self._session = session
        self._layout = layout
        self._capacity = capacity
        self._arrays: list[NDArray[Any]] = []
        # Of the last step, as the next one mostly is of the same rows.
        self._shapes: list[tuple[int, ...]] = []
        self._feed: dict[str, NDArray[Any]] = {}
        self._binding: Binding | None = None

    def hold(self, rows: int, pasts: Sequence[int]) -> None:
        """Takes memory for more rows; see `Cache.hold`."""
        self._binding = None
        held = self._arrays
        self._arrays = []
        for number, spec in enumerate(self._layout.past):
            array = _memory(spec, rows, self._capacity)
            for row, past in enumerate(pasts):
                array[row, :, :past] = held[number][row, :, :past]
            self._arrays.append(array)
        self.rows = rows

    def move(self, source: int, target: int, past: int) -> None:
        """Puts a row in another's place; see `Cache.move`."""
        for array in self._arrays:
            array[target, :, :past] = array[source, :, :past]

    def read(self, row: int, tokens: Tokens, past: int, asked: Tokens = _NONE) -> Scores:
        """Reads tokens of one row; see `Cache.read`."""
        feed = self._layout.feed(tokens[None], np.array([past]), asked)
        binding = self._bound(feed, slice(row, row + 1))
        logits = binding.run()[self._layout.table.logits].array()
        found: Scores = self._layout.scores(logits, asked)[0]
        return found

    def step(self, tokens: Sequence[int], pasts: Sequence[int]) -> Scores:
        """Reads a token of each of the first rows; see `Cache.step`."""
        asked = np.zeros(1, np.int64)
        feed = self._layout.feed(np.array(tokens)[:, None], np.array(pasts), asked)
        shapes = [array.shape for array in feed.values()]
        if self._binding is None or shapes != self._shapes:
            self._binding = self._bound(feed, slice(0, len(tokens)))
            self._shapes, self._feed = shapes, feed
        for name, array in feed.items():
            self._feed[name][...] = array
        logits = self._binding.run()[self._layout.table.logits].array()
        return self._layout.scores(logits, asked)[:, 0]

    def _bound(self, feed: dict[str, NDArray[Any]], rows: slice) -> "Binding":
        arrays = [array[rows] for array in self._arrays]
        past = dict(zip((spec.name for spec in self._layout.past), arrays, strict=True))
        present = dict(zip(self._layout.present, arrays, strict=True))
        return self._session.bind({**feed, **past}, {self._layout.table.logits: None, **present})


class AppendedCache:
    """Values of ONNX Runtime, each pass giving longer ones: of one text only.

    Args:
        session: The model.
        layout: Its inputs and outputs.
    """

    rows = 1

    def __init__(self, session: "Session", layout: Layout) -> None:
        self._session = session
        self._layout = layout
        self._past: dict[str, NDArray[Any] | Value] = {
            spec.name: np.empty((1, spec.shape[1] or 1, 0, spec.shape[3] or 1), spec.dtype)
            for spec in layout.past
        }

    def hold(self, rows: int, pasts: Sequence[int]) -> None:
        """Takes no memory: passes do."""

    def move(self, source: int, target: int, past: int) -> None:
        """Moves nothing, as there is one row."""

    def read(self, row: int, tokens: Tokens, past: int, asked: Tokens = _NONE) -> Scores:
        """Reads tokens of the row; see `Cache.read`."""
        layout = self._layout
        feed = layout.feed(tokens[None], np.array([past]), asked)
        wanted = [layout.table.logits, *layout.present]
        found = self._session.bind({**feed, **self._past}, dict.fromkeys(wanted)).run()
        names = (spec.name for spec in layout.past)
        self._past = {
            name: found[present] for name, present in zip(names, layout.present, strict=True)
        }
        scores: Scores = layout.scores(found[layout.table.logits].array(), asked)[0]
        return scores

    def step(self, tokens: Sequence[int], pasts: Sequence[int]) -> Scores:
        """Reads a token; see `Cache.step`."""
        return self.read(0, np.array(tokens), pasts[0], np.zeros(1, np.int64))


def _memory(spec: TensorSpec, rows: int, capacity: int) -> NDArray[Any]:
    """Returns an array of zeros that takes memory as it is written to, page by page.

    NumPy would ask for huge pages, and take all of it for a short text.
    """
    shape = (rows, spec.shape[1] or 1, capacity, spec.shape[3] or 1)
    size_bytes = int(np.prod(shape)) * spec.dtype.itemsize
    return np.frombuffer(mmap.mmap(-1, size_bytes), spec.dtype).reshape(shape)
