"""A bound on the threads that wait for a store, so that one which stalls does not hold them all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from zeropoint.errors import OverloadedError

_RETRY_AFTER_S = 5.0
_SHARE = 4


class Bulkhead:
    """Places for threads that wait for a store; a storage that stalls fills these, and no more.

    Args:
        max_queue: Most requests at one model: a quarter of it, at least one, may wait here.
    """

    def __init__(self, max_queue: int) -> None:
        self._most = max(1, max_queue // _SHARE)
        self._places = threading.Semaphore(self._most)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Takes a place meanwhile; never waits for one.

        Raises:
            OverloadedError: all are taken.
        """
        if not self._places.acquire(blocking=False):
            raise OverloadedError(
                f"expected at most {self._most} requests at once that wait for a storage",
                _RETRY_AFTER_S,
            )
        try:
            yield
        finally:
            self._places.release()
