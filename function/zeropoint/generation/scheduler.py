"""Who writes when: all texts at once, a token each by turns, in as many threads as pay.

    submit → *memory counted* → **lane** → part of a prompt, a token of each text, part of … → end

A *lane* is a thread that lives while it has texts. In each turn it reads at most one part of one
prompt, and then writes a token of each text: in one pass, where the model gains from that, of all
texts whose memory has one size. So nobody waits longer for a token than for one part of another's
prompt and a token of each text beside it; and who has hung up is noticed at the next one.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack

from zeropoint import headroom
from zeropoint.errors import InsufficientMemoryError, InvalidError, OverloadedError
from zeropoint.generation.cache import Cache
from zeropoint.generation.lane import Lane
from zeropoint.generation.sequence import Sequence
from zeropoint.metrics import Counts

_LEAST_TOKENS = 256  # of a row's memory
_LONGEST_WAIT_S = 60.0


class Scheduler:
    """The texts that a model writes.

    Args:
        make_cache: Returns a cache without rows, of rows with so many tokens.
        token_bytes: What a cache takes for one token.
        context: Most tokens of a text and its prompt.
        chunk: Tokens of a prompt in one pass.
        max_batch: Most texts in one pass.
        lanes: Most passes at once.
        max_bytes: Of all caches.
    """

    def __init__(
        self,
        make_cache: Callable[[int], Cache],
        token_bytes: int,
        context: int,
        chunk: int,
        max_batch: int,
        lanes: int,
        max_bytes: int,
    ) -> None:
        self._token_bytes = token_bytes
        self._context = context
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._lanes = [Lane(make_cache, chunk, max_batch, self._lock) for _ in range(lanes)]

    def submit(self, sequence: Sequence) -> None:
        """Begins to write a text.

        Raises:
            InvalidError: it would take more memory than all texts together may.
            OverloadedError: others have the memory that it needs.
            InsufficientMemoryError: the process has not so much left, and no text would end.
        """
        most = min(self._context, self._max_bytes // self._token_bytes)
        if sequence.most_tokens > most:
            raise InvalidError(
                f"expected a prompt and an answer of at most {most} tokens, for which"
                f" ZEROPOINT_MAX_CACHE_BYTES has room, got {sequence.most_tokens}"
            )
        capacity = _rounded(sequence.most_tokens, most)
        need_bytes = capacity * self._token_bytes
        with self._lock:
            lane = min(self._lanes, key=len)
            tokens = sum(one.tokens for one in self._lanes) + lane.missing(capacity)
            if tokens * self._token_bytes > self._max_bytes:
                raise self._overloaded()
            with ExitStack() as promised:
                try:
                    promised.enter_context(headroom.reserve(need_bytes))
                except InsufficientMemoryError:
                    if any(self._lanes):
                        raise self._overloaded() from None
                    raise
                lane.add(sequence, capacity)
                sequence.hold(promised.pop_all())

    @property
    def counts(self) -> Counts:
        """What was read and written, and how many texts are being written."""
        with self._lock:
            columns = zip(*(lane.counts() for lane in self._lanes), strict=True)
            return Counts(*map(sum, columns))

    def _overloaded(self) -> OverloadedError:
        wait_s = min(lane.left_s() for lane in self._lanes if lane)
        return OverloadedError(
            "expected fewer texts at once, as the memory for them is bounded",
            min(max(1.0, wait_s), _LONGEST_WAIT_S),
        )


def _rounded(tokens: int, most: int) -> int:
    """Returns for how many tokens a row has memory: 256 or 384, doubled as often as it takes.

    So texts of about one length share a pass.
    """
    capacity = _LEAST_TOKENS
    while capacity < tokens:
        capacity = capacity * 3 // 2 if capacity & (capacity - 1) == 0 else capacity * 4 // 3
    return min(capacity, most)
