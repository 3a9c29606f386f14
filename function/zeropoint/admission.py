"""Who may wait for a model: a bounded queue, and an estimate of how long it takes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zeropoint.errors import OverloadedError

# What each measure weighs beside the next one, in the pace of the model.
_MEMORY = 0.95
# What a caller is told while nothing has been measured.
_UNKNOWN_S = 1.0


class Admission:
    """Counts the requests at one model, and refuses what would wait too long.

    The pace is measured: seconds a prediction while there was something to do, all three steps
    and whatever else takes the processor included.

    Args:
        max_queue: Most requests at once, answered and waiting.
    """

    def __init__(self, max_queue: int) -> None:
        self.requests = 0
        self._max_queue = max_queue
        self._lock = threading.Lock()
        self._instances = 0
        self._busy_s = 0.0
        self._answered = 0.0
        self._last_s = 0.0

    @contextmanager
    def admit(self, instances: int, deadline_s: float) -> Iterator[Callable[[int], None]]:
        """Counts a request while it is answered.

        Args:
            instances: How many predictions it wants.
            deadline_s: Of `time.monotonic`, when its answer is of no use any more.

        Returns:
            What to call as predictions are made, with how many.

        Raises:
            OverloadedError: the queue is full, or the answer would come after the deadline.
        """
        began_s = time.monotonic()
        left = instances

        def answered(count: int) -> None:
            nonlocal left
            with self._lock:
                left -= count
                self._instances -= count
                self._measure(count, began_s)

        with self._lock:
            self.refuse_crowd(deadline_s)
            self.requests += 1
            self._instances += instances
        try:
            yield answered
        except TimeoutError:
            with self._lock:
                wait_s = self._wait_s() or _UNKNOWN_S
            raise OverloadedError("expected a turn before the deadline", wait_s) from None
        finally:
            with self._lock:
                self.requests -= 1
                self._instances -= left

    def refuse_crowd(self, deadline_s: float) -> None:
        """Refuses a request that would wait too long; asked without the lock, it may be mistaken.

        Args:
            deadline_s: Of `time.monotonic`.

        Raises:
            OverloadedError: the queue is full, or the answer would come after the deadline.
        """
        wait_s = self._wait_s()
        if self.requests >= self._max_queue:
            raise OverloadedError(
                f"expected at most {self._max_queue} requests at once for this model",
                wait_s or _UNKNOWN_S,
            )
        if self.requests and time.monotonic() + wait_s > deadline_s:
            raise OverloadedError(
                f"expected a wait within the deadline, got one of {wait_s:.0f} s",
                wait_s or _UNKNOWN_S,
            )

    def _wait_s(self) -> float:
        """Returns the seconds until all that was admitted is answered."""
        return self._instances * self._busy_s / self._answered if self._answered else 0.0

    def _measure(self, count: int, began_s: float) -> None:
        if count == 0:  # of nothing there is no pace
            return
        now_s = time.monotonic()
        self._busy_s = _MEMORY * self._busy_s + now_s - max(began_s, self._last_s)
        self._answered = _MEMORY * self._answered + count
        self._last_s = now_s
