"""Room for models: where it is bounded, the least recently used one goes, never one in use."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from zeropoint import headroom
from zeropoint.errors import ArtifactError, ModelUnavailableError
from zeropoint.logs import log
from zeropoint.metrics import Busy, Metrics
from zeropoint.model import Model

State = Literal["absent", "loading", "ready", "evicted", "failed"]
PROVEN: tuple[State, ...] = ("ready", "evicted")  # it gave its known answer in this process


class Slot:
    """One model's place."""

    def __init__(self) -> None:
        self.model: Model | None = None
        self.done: threading.Event | None = None  # set when the latest load ended
        self.problem = ""  # of the latest load, if it failed
        self.retry_s = 0.0
        self.retry_at_s = 0.0
        # Kept by `Memory`.
        self.size_bytes = 0
        self.users = 0
        self.used_s = 0.0
        self.leaving = False  # it takes no new users, and goes with its last one
        self.evicted = False

    @property
    def state(self) -> State:
        """Returns what has become of the model; one evicted has been ready, and will be again."""
        if self.model:
            return "ready"
        if self.done is None:
            return "evicted" if self.evicted else "absent"
        # The load may end well between these lines, so its end alone is no failure.
        return "failed" if self.done.is_set() and self.problem else "loading"


class Memory:
    """Who is in memory, and who has to leave.

    Args:
        max_bytes: Most bytes of model files; 0: no limit.
        metrics: Count the evictions, and watch who is there.
    """

    def __init__(self, max_bytes: int, metrics: Metrics) -> None:
        self._max_bytes = max_bytes
        self._metrics = metrics
        metrics.watch = self._busy
        self._changed = threading.Condition(threading.Lock())
        self._slots: list[Slot] = []  # those with room of their own
        self._loading = False

    def claim(self, slot: Slot, deadline_s: float) -> None:
        """Counts a user of a model, in memory or not yet; it is not evicted meanwhile.

        Args:
            slot: The model's place. Of one that is leaving, the end is awaited.
            deadline_s: Of `time.monotonic`.

        Raises:
            ModelUnavailableError: it had not left by the deadline.
        """
        with self._changed:
            while slot.leaving:
                if not self._changed.wait(max(0.0, deadline_s - time.monotonic())):
                    raise ModelUnavailableError("the model is being loaded anew")
            slot.users += 1
            slot.used_s = time.monotonic()

    def release(self, slot: Slot) -> None:
        """Counts a user off."""
        with self._changed:
            slot.users -= 1
            if slot.users == 0:
                if slot.leaving:
                    self._evict(slot)
                self._changed.notify_all()

    @contextmanager
    def room(self, slot: Slot, size_bytes: int, timeout_s: float) -> Iterator[None]:
        """Makes room for a model, and has it loaded inside, one at a time.

        Args:
            slot: The model's place. It gives the room back if the load fails.
            size_bytes: Of the model's file.
            timeout_s: Longest wait until others have been loaded, and have left.

        Raises:
            ArtifactError: it is larger than all the room there is.
            ModelUnavailableError: not enough of them had left in time.
            InsufficientMemoryError: it is larger than what the process may still take.
        """
        if self._max_bytes and size_bytes > self._max_bytes:
            raise ArtifactError(
                f"expected a model of at most {self._max_bytes} bytes"
                f" (ZEROPOINT_MAX_LOADED_BYTES), got one of {size_bytes}"
            )
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while self._loading or not self._makes_room(size_bytes):
                if not self._changed.wait(max(0.0, deadline_s - time.monotonic())):
                    raise ModelUnavailableError("the memory for models is in use by others")
            slot.size_bytes = size_bytes
            self._slots.append(slot)
            self._loading = True
        try:
            with headroom.reserve(size_bytes):
                yield
        except BaseException:
            with self._changed:
                self._slots.remove(slot)
                slot.size_bytes = 0
            raise
        finally:
            with self._changed:
                self._loading = False
                self._changed.notify_all()

    def keep(self, slot: Slot, model: Model) -> None:
        """Puts a model that was loaded in its place."""
        with self._changed:
            slot.model = model
            slot.problem, slot.retry_s = "", 0.0
            self._changed.notify_all()

    def _makes_room(self, size_bytes: int) -> bool:
        """Evicts what is idle, asks others to leave, and tells whether there is room now."""
        taken = sum(slot.size_bytes for slot in self._slots)
        missing = taken + size_bytes - self._max_bytes if self._max_bytes else 0
        awaited = sum(slot.size_bytes for slot in self._slots if slot.leaving)
        staying = [slot for slot in self._slots if slot.model and not slot.leaving]
        for slot in sorted(staying, key=lambda slot: (slot.users > 0, slot.used_s)):
            if missing <= awaited:
                break
            if slot.users:
                slot.leaving = True
                awaited += slot.size_bytes
            else:
                missing -= slot.size_bytes
                self._evict(slot)
        return missing <= 0

    def _evict(self, slot: Slot) -> None:
        if slot.model:
            log.info("model %s leaves the memory for another", slot.model.manifest.name)
        self._metrics.evicted()
        self._slots.remove(slot)
        slot.model = slot.done = None
        slot.size_bytes = 0
        slot.leaving = False
        slot.evicted = True

    def _busy(self) -> Iterator[Busy]:
        with self._changed:
            found = [(slot.model, slot.size_bytes) for slot in self._slots if slot.model]
        for model, size_bytes in found:
            yield Busy(model.manifest.name, size_bytes, model.admission.requests, model.counts)
