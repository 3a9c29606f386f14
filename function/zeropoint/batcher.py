"""Forward passes that many callers share: adaptive batching, without a timer.

While a pass runs, what its callers bring gathers; the next pass takes what waits, up to the
model's ``max_batch`` rows. An idle model begins at once, with what there is. A pass runs in the
thread of a caller that waits for it, so that nothing changes threads while nobody else calls.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from zeropoint import tensors
from zeropoint.errors import ArtifactError
from zeropoint.logs import log
from zeropoint.tensors import Tensors

# Rows are not joined where filling them up to one length would more than double the work.
_MOST_FILLED = 2.0


class Part(NamedTuple):
    """What one pass gave for some of a caller's items: their places, and the outputs' rows."""

    places: list[int]
    tensors: Tensors


class _Item(NamedTuple):
    """Arrays that go through the model together, with as many rows in each."""

    job: "_Job"
    place: int
    tensors: Tensors
    rows: int
    width: int  # the length of a row, where rows may be filled up
    key: tuple[object, ...]  # equal for items that may be joined


class _Job:
    """What one caller waits for."""

    def __init__(self) -> None:
        self.waiting: list[_Item] = []
        self.left = 0  # items without an answer, also those in a pass
        self.parts: list[Part] = []
        self.execute_s = 0.0
        self.error: Exception | None = None
        self.woken: threading.Event | None = None


class Batcher:
    """Runs forward passes for callers in many threads.

    Args:
        run: One forward pass.
        max_batch: Most rows of a pass; an item of more goes alone.
        passes: How many passes run at once; one, if callers are to gather meanwhile.
        padding: What fills up shorter rows, for each input whose rows may be filled.
    """

    def __init__(
        self,
        run: Callable[[Tensors], Tensors],
        max_batch: int = 1,
        passes: int = 1,
        padding: Mapping[str, float] | None = None,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._most_passes = passes
        self._padding = padding or {}
        self._lock = threading.Lock()
        self._jobs: deque[_Job] = deque()  # those with waiting items, the oldest first
        self._running = 0
        self.passes = 0  # since the start, and the rows in them
        self.rows = 0

    def execute(
        self, items: Sequence[Tensors], deadline_s: float = math.inf, as_is: bool = False
    ) -> tuple[list[Part], float]:
        """Has items go through the model, whoever else's go with them.

        Args:
            items: Arrays for each input, those of an item of the same number of rows.
            deadline_s: Of `time.monotonic`; after it nothing is begun.
            as_is: Whether to join only rows of exactly one shape.

        Returns:
            The outputs, every item in one part, and the seconds that their passes took.

        Raises:
            TimeoutError: the deadline came before all items' turn.
            InvalidError: the model refuses the caller's items; nobody else's fail with them.
        """
        job = _Job()
        job.waiting = [self._item(job, place, one, as_is) for place, one in enumerate(items)]
        job.left = len(items)
        with self._lock:
            self._jobs.append(job)
        while batch := self._turn(job, deadline_s):
            self._pass(batch)
        if job.error:
            raise job.error
        return job.parts, job.execute_s

    def _item(self, job: _Job, place: int, tensors: Tensors, as_is: bool) -> _Item:
        padding = {} if as_is else self._padding
        rows, width = 1, 1
        shapes: list[object] = [as_is and bool(self._padding)]
        for name, tensor in tensors.items():
            rows = tensor.shape[0] if tensor.ndim else 1
            if name in padding:
                width = max(width, *tensor.shape[1:])
            else:
                shapes.append(tensor.shape[1:])
        return _Item(job, place, tensors, rows, width, tuple(shapes))

    def _turn(self, job: _Job, deadline_s: float) -> list[_Item]:
        """Waits until it is this caller's turn to run a pass, and returns what goes through it.

        Returns:
            Items, this caller's or older ones; none once the caller has all its answers.
        """
        while True:
            with self._lock:
                if job.left == 0:
                    self._wake_next()
                    return []
                if self._jobs and self._running < self._most_passes:
                    self._running += 1
                    return self._take()
                if job.woken is None:
                    job.woken = threading.Event()
                job.woken.clear()
            left_s = deadline_s - time.monotonic()
            if job.woken.wait(None if left_s == math.inf else max(0.0, left_s)) or left_s > 0.0:
                continue
            with self._lock:
                if job.waiting:
                    self._withdraw(job, TimeoutError("the deadline came before the turn"))
            deadline_s = math.inf  # what is in a pass cannot be called back

    def _take(self) -> list[_Item]:
        """Takes what may go in one pass: the oldest item, and those that fit to it, in order."""
        batch: list[_Item] = []
        rows = width = filled = 0
        for job in tuple(self._jobs):
            kept = []
            for item in job.waiting:
                widest = max(width, item.width)
                together = rows + item.rows
                work = filled + item.rows * item.width
                if not batch or (
                    together <= self._max_batch
                    and item.key == batch[0].key
                    and together * widest <= _MOST_FILLED * work
                ):
                    batch.append(item)
                    rows, width, filled = together, widest, work
                else:
                    kept.append(item)
            job.waiting = kept
            if not kept:
                self._jobs.remove(job)
            if rows >= self._max_batch:
                break
        return batch

    def _pass(self, batch: list[_Item]) -> None:
        """Runs a pass, gives each caller its part, and wakes those that this concerns."""
        jobs: dict[_Job, list[_Item]] = {}
        for item in batch:
            jobs.setdefault(item.job, []).append(item)
        began_s = time.perf_counter()
        found: dict[_Job, Part | Exception] = {}
        try:
            found = self._outputs(batch, jobs)
        except Exception as error:
            if len(jobs) == 1:
                found = dict.fromkeys(jobs, error)
            else:
                log.info("a forward pass failed; each caller's is run alone: %s", error)
                found = {job: self._alone(job, items) for job, items in jobs.items()}
        seconds = time.perf_counter() - began_s
        with self._lock:
            self._running -= 1
            self.passes += 1
            self.rows += sum(item.rows for item in batch)
            for job, items in jobs.items():
                self._deliver(job, len(items), found[job], seconds)
            self._wake_next()

    def _alone(self, job: _Job, items: list[_Item]) -> Part | Exception:
        try:
            return self._outputs(items, {job: items})[job]
        except Exception as error:
            return error

    def _outputs(
        self, batch: list[_Item], jobs: Mapping[_Job, list[_Item]]
    ) -> dict[_Job, Part | Exception]:
        outputs = self._run(tensors.join([item.tensors for item in batch], self._padding))
        if len(batch) == 1:
            return {batch[0].job: Part([batch[0].place], outputs)}
        rows = sum(item.rows for item in batch)
        if any(tensor.shape[:1] != (rows,) for tensor in outputs.values()):
            raise ArtifactError(f"max_batch: expected outputs of {rows} rows, got others")
        found: dict[_Job, Part | Exception] = {}
        start = 0
        for job, items in jobs.items():  # in the order of the batch
            stop = start + sum(item.rows for item in items)
            part = {name: tensor[start:stop] for name, tensor in outputs.items()}
            found[job] = Part([item.place for item in items], part)
            start = stop
        return found

    def _deliver(self, job: _Job, count: int, found: Part | Exception, seconds: float) -> None:
        job.left -= count
        job.execute_s += seconds
        if isinstance(found, Part):
            job.parts.append(found)
        else:
            self._withdraw(job, found)
        if job.left == 0 and job.woken:
            job.woken.set()

    def _withdraw(self, job: _Job, error: Exception) -> None:
        """Ends a job that has failed: what still waits of it need not run."""
        job.error = error
        job.left -= len(job.waiting)
        if job.waiting:
            self._jobs.remove(job)
        job.waiting = []

    def _wake_next(self) -> None:
        """Wakes the caller that has waited longest, if a pass may begin."""
        if self._jobs and self._running < self._most_passes and (woken := self._jobs[0].woken):
            woken.set()  # a caller without is about to look for itself
