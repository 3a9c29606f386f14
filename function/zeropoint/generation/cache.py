"""The keys and values of what was read and written, and the passes over them."""

import mmap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zeropoint.errors import InsufficientMemoryError
from zeropoint.generation.layout import Layout, Scores, Tokens
from zeropoint.tensors import Tensors, TensorSpec

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

        Raises:
            InsufficientMemoryError: there is none; those that there are stay as they are.
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
        self._last: _Pass | None = None  # the last step, as the next one mostly is of the same rows

    def hold(self, rows: int, pasts: Sequence[int]) -> None:
        """Takes memory for more rows; see `Cache.hold`."""
        arrays = [_memory(spec, rows, self._capacity) for spec in self._layout.past]
        for array, held in zip(arrays, self._arrays, strict=False):  # at first there is none
            for row, past in enumerate(pasts):
                array[row, :, :past] = held[row, :, :past]
        self._arrays, self.rows, self._last = arrays, rows, None

    def move(self, source: int, target: int, past: int) -> None:
        """Puts a row in another's place; see `Cache.move`."""
        for array in self._arrays:
            array[target, :, :past] = array[source, :, :past]

    def read(self, row: int, tokens: Tokens, past: int, asked: Tokens = _NONE) -> Scores:
        """Reads tokens of one row; see `Cache.read`."""
        feed = self._layout.feed(tokens[None], np.array([past]), asked)
        found: Scores = self._layout.scores(self._pass(feed, row, asked).run(), asked)[0]
        return found

    def step(self, tokens: Sequence[int], pasts: Sequence[int]) -> Scores:
        """Reads a token of each of the first rows; see `Cache.step`."""
        asked = np.zeros(1, np.int64)
        feed = self._layout.feed(np.array(tokens)[:, None], np.array(pasts), asked)
        if self._last is None or not self._last.takes(feed):
            self._last = self._pass(feed, 0, asked)
        return self._layout.scores(self._last.run(), asked)[:, 0]

    def _pass(self, feed: Tensors, first: int, asked: Tokens) -> "_Pass":
        """Returns a pass over rows, from the ``first`` on as many as are fed."""
        layout = self._layout
        rows, length = feed[layout.table.input_ids].shape
        arrays = [array[first : first + rows] for array in self._arrays]
        past = dict(zip((spec.name for spec in layout.past), arrays, strict=True))
        present = dict(zip(layout.present, arrays, strict=True))
        name, logits = layout.table.logits, layout.logits(rows, length, asked)
        binding = self._session.bind({**feed, **past}, {**present, name: logits})
        return _Pass(binding, feed, name, logits)


class _Pass:
    """A pass whose arrays are bound, to be run as often as they are filled anew.

    Args:
        binding: Of the arrays.
        feed: Those of its inputs that change.
        name: Of the logits.
        logits: Where they are written to; None: each run gives new ones.
    """

    def __init__(
        self, binding: "Binding", feed: Tensors, name: str, logits: NDArray[Any] | None
    ) -> None:
        self._binding = binding
        self._feed = feed
        self._name = name
        self._logits = logits

    def takes(self, feed: Tensors) -> bool:
        """Fills the arrays anew; tells whether they have the right shapes."""
        if any(array.shape != self._feed[name].shape for name, array in feed.items()):
            return False
        for name, array in feed.items():
            self._feed[name][...] = array
        return True

    def run(self) -> NDArray[Any]:
        """Returns the logits, which the next run writes over."""
        values = self._binding.run()
        return values[self._name].array() if self._logits is None else self._logits


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

    Raises:
        InsufficientMemoryError: the system does not give so much.
    """
    shape = (rows, spec.shape[1] or 1, capacity, spec.shape[3] or 1)
    size_bytes = int(np.prod(shape)) * spec.dtype.itemsize
    try:
        pages = mmap.mmap(-1, size_bytes)
    except OSError:
        raise InsufficientMemoryError("insufficient memory for what a text needs") from None
    return np.frombuffer(pages, spec.dtype).reshape(shape)
