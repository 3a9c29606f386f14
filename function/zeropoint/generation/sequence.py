"""One text that is being written: its prompt, what has come of it, and who reads it."""

import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple

import numpy as np

from zeropoint import callers
from zeropoint.generation.layout import Scores, Tokens
from zeropoint.generation.sampling import Sampler
from zeropoint.generation.stops import Stops

Reason = Literal["stop", "length", "deadline"]


class Rules(NamedTuple):
    """How a text is written, and when it ends."""

    max_tokens: int
    stop_tokens: frozenset[int]
    sampler: Sampler
    stops: tuple[str, ...] = ()
    most_s: float = math.inf  # from its first token on


class Sequence:
    """A text between the thread that writes it and the one that reads it.

    Args:
        prompt: int64 of shape (n,).
        rules: How it is written.
        decode: Makes tokens text, one after another.
    """

    def __init__(self, prompt: Tokens, rules: Rules, decode: Callable[[int], str]) -> None:
        self.prompt_tokens = len(prompt)
        self.completion_tokens = 0  # the stop token too
        self.finish_reason: Reason | None = None
        self.most_tokens = len(prompt) + rules.max_tokens
        self.past = 0  # tokens that are in the cache
        self.turn = 0  # when it last read a part of its prompt, as the scheduler counts
        self.began_s = math.inf  # of `time.monotonic`: when its prompt was first looked at
        self.over = False  # nothing more is written
        self._tokens = np.empty(self.most_tokens, np.int64)
        self._tokens[: len(prompt)] = prompt
        self._rules = rules
        self._decode = decode
        self._stops = Stops(rules.stops)
        self._gone = callers.current().gone
        self._held = ExitStack()
        self._lock = threading.Lock()
        self._closed = False
        self._ends_s = math.inf
        self._pieces: SimpleQueue[str | Exception | None] = SimpleQueue()

    # By the thread that writes.

    @property
    def unread(self) -> Tokens:
        """What of the prompt is not in the cache, int64 of shape (n,)."""
        return self._tokens[self.past : self.prompt_tokens]

    @property
    def last(self) -> int:
        """The last token; it is not in the cache yet."""
        return int(self._tokens[self.past])

    @property
    def most_left(self) -> int:
        """How many more tokens may come."""
        return self._rules.max_tokens - self.completion_tokens

    def take(self, scores: Scores) -> None:
        """Chooses the next token.

        Args:
            scores: float32 of shape (vocabulary,), after all tokens so far.
        """
        length = self.prompt_tokens + self.completion_tokens
        token = self._rules.sampler.choose(scores, self._tokens[:length])
        self.completion_tokens += 1
        if token in self._rules.stop_tokens:
            self._finish("stop")
            return
        self._tokens[length] = token
        piece = self._stops.feed(self._decode(token))
        if self.completion_tokens == 1:
            self._ends_s = time.monotonic() + self._rules.most_s
        if piece or self.completion_tokens == 1:  # the first one is awaited, also without a text
            self._pieces.put(piece)
        if self._stops.met:
            self._finish("stop")
        elif self.most_left == 0:
            self._finish("length")
        elif time.monotonic() > self._ends_s:
            self._finish("deadline")

    def end_if_left(self) -> None:
        """Ends it if nobody reads it any more."""
        if not self.over and (self._closed or self._gone()):
            self.fail(callers.gone())

    def fail(self, error: Exception) -> None:
        """Ends it with an error, unless it is over."""
        if not self.over:
            self._over(error)

    # By the thread that reads.

    def hold(self, context: ExitStack) -> None:
        """Keeps what it needs, until it is over."""
        with self._lock:
            self._held.push(context)
            if self.over:
                self._held.close()

    def next(self, deadline_s: float = math.inf) -> str | None:
        """Waits for the next piece of the text, which may be empty; None: it is over.

        Args:
            deadline_s: Of `time.monotonic`.

        Raises:
            TimeoutError: nothing came before the deadline.
            ZeropointError: it could not be written to its end.
        """
        left_s = deadline_s - time.monotonic()
        try:
            piece = self._pieces.get(timeout=None if left_s == math.inf else max(0.0, left_s))
        except Empty:
            raise TimeoutError from None
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        """Says that nobody reads it any more."""
        self._closed = True

    def _finish(self, reason: Reason) -> None:
        self.finish_reason = reason
        if rest := self._stops.rest():
            self._pieces.put(rest)
        self._over(None)

    def _over(self, end: Exception | None) -> None:
        with self._lock:
            self.over = True
            self._held.close()
        self._pieces.put(end)
