"""Forward passes that many callers share: adaptive batching, without a timer.

Each caller is a *job*: its items, and what became of them. There is a *turn* for each pass that
may run at once. A caller who finds one free runs a pass at once, in its own thread. While it runs
others come; the turn then goes to a thread that does nothing but passes, one behind the other: of
the oldest job's items and of what fits to them, whoever else's, up to ``max_batch`` rows. So an
idle model answers without a change of threads, and a busy one waits for no caller's thread to wake.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from zeropoint import callers, tensors
from zeropoint.errors import ArtifactError, ServerError
from zeropoint.logs import log
from zeropoint.tensors import Tensors

# Of all models: a thread for each turn that is taken by more than one caller.
_passing = ThreadPoolExecutor(64, "pass")

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
    key: list[object]  # equal for items that may be joined


class _Job:
    """What one caller waits for."""

    def __init__(self) -> None:
        self.waiting: list[_Item] = []  # in no pass yet
        self.left = 0  # items without an answer: those waiting, and those in a pass
        self.woken: threading.Event | None = None  # once it sleeps
        self.gone = callers.current().gone
        self.parts: list[Part] = []
        self.execute_s = 0.0
        self.error: Exception | None = None


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
        self._jobs: list[_Job] = []  # those with waiting items, the oldest first
        self._running = 0  # turns that are taken
        self.passes = 0  # since the start, and the rows in them
        self.rows = 0

    def execute(
        self, items: Sequence[Tensors], deadline_s: float = math.inf, as_is: bool = False
    ) -> tuple[list[Part], float]:
        """Has items go through the model, whoever else's go with them.

        Args:
            items: Arrays for each input, those of an item of the same number of rows.
            deadline_s: Of `time.monotonic`; no turn is awaited longer.
            as_is: Whether to join only rows of exactly one shape.

        Returns:
            The outputs, every item in one part, and the seconds that their passes took.

        Raises:
            TimeoutError: the deadline came before all items' turn.
            CancelledError: the caller hung up before it.
            InvalidError: the model refuses the caller's items; nobody else's fail with them.
        """
        if not items:
            return [], 0.0
        job = _Job()
        job.waiting = [self._item(job, place, one, as_is) for place, one in enumerate(items)]
        job.left = len(items)
        with self._lock:
            self._jobs.append(job)
            turn, *others = self._free_turns()
        for other in others:
            self._give(other)
        try:
            while turn and turn[0].job is job:
                turn = self._pass(turn)
            self._give(turn)
            while job.left:
                self._sleep(job, deadline_s)
        except BaseException:
            with self._lock:
                self._withdraw(job, ServerError("the caller was interrupted"))
            raise
        if job.error:
            try:
                raise job.error
            finally:
                job.error = None  # else it and its traceback keep each other, and all tensors
        return job.parts, job.execute_s

    def _item(self, job: _Job, place: int, tensors: Tensors, as_is: bool) -> _Item:
        rows, width, alone = -1, 1, self._max_batch == 1
        padding = {} if as_is else self._padding
        key: list[object] = [as_is and bool(self._padding)]
        for name, tensor in tensors.items():
            count, *shape = tensor.shape or (1,)
            # Of uneven arrays each joined one would shift the rows of others.
            alone = alone or count == 0 or rows not in (-1, count)
            rows = max(rows, count)
            if name in padding:
                width = max(width, 1, *shape)
            else:
                key.append((name, shape))
        return _Item(job, place, tensors, rows, width, [job, place] if alone else key)

    def _free_turns(self) -> list[list[_Item]]:
        """Takes each free turn that somebody waits for, at least an empty one; the lock is held."""
        turns = []
        while self._running < self._most_passes and self._jobs:
            self._running += 1
            turns.append(self._take())
        return turns or [[]]

    def _give(self, turn: list[_Item]) -> None:
        """Has a thread of its own run the pass of a turn, and all that follow."""
        if turn:
            _passing.submit(self._run_passes, turn)

    def _run_passes(self, turn: list[_Item]) -> None:
        while turn:
            turn = self._pass(turn)

    def _drop_gone(self, job: _Job) -> bool:
        """Withdraws a job whose caller hung up while it waited; the lock is held.

        Asked for each job as its turn comes: to ask for all that wait takes longer than a pass.
        """
        if not job.woken or not job.gone():
            return False
        self._withdraw(job, callers.gone())
        if job.left == 0:
            job.woken.set()
        return True

    def _take(self) -> list[_Item]:
        """Takes what goes in a turn's next pass: the oldest item and what fits to it, in order.

        The lock is held. If nobody waits, the turn is free.
        """
        batch: list[_Item] = []
        rows = width = filled = 0
        for job in tuple(self._jobs):
            if self._drop_gone(job):
                continue
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
            if rows >= self._max_batch:
                break
        self._jobs = [job for job in self._jobs if job.waiting]
        if not batch:
            self._running -= 1
        return batch

    def _sleep(self, job: _Job, deadline_s: float) -> None:
        """Waits for a job's last answer; at the deadline the job is withdrawn."""
        with self._lock:
            if not job.left:
                return
            job.woken = threading.Event()
            if not job.waiting:
                deadline_s = math.inf  # what is in a pass cannot be called back
        left_s = deadline_s - time.monotonic()
        job.woken.wait(None if left_s == math.inf else max(0.0, left_s))
        with self._lock:
            if job.waiting and time.monotonic() >= deadline_s:
                self._withdraw(job, TimeoutError("the deadline came before the turn"))

    def _pass(self, turn: list[_Item]) -> list[_Item]:
        """Runs the pass of a turn, and gives each caller its part; returns the turn's next one."""
        jobs: dict[_Job, list[_Item]] = {}
        for item in turn:
            jobs.setdefault(item.job, []).append(item)
        found: dict[_Job, Part | Exception] = {}
        interrupted = True
        began_s = time.perf_counter()
        try:
            found = self._answers(jobs)
            interrupted = False
        finally:  # whatever happened, nobody is left waiting
            following = self._end(jobs, found, time.perf_counter() - began_s)
            if interrupted:
                self._give(following)
        return following

    def _end(
        self,
        jobs: Mapping[_Job, list[_Item]],
        found: dict[_Job, Part | Exception],
        seconds: float,
    ) -> list[_Item]:
        with self._lock:
            self.passes += 1
            for job, items in jobs.items():
                self.rows += sum(item.rows for item in items)
                job.left -= len(items)
                job.execute_s += seconds
                # Taken out, so that no error's traceback leads back to the error.
                self._deliver(job, found.pop(job, None))
            return self._take()

    def _answers(self, jobs: Mapping[_Job, list[_Item]]) -> dict[_Job, Part | Exception]:
        """Runs items in one pass; if it fails, each caller's alone, so that only its own fail."""
        try:
            return self._outputs(jobs)
        except Exception as error:
            if len(jobs) == 1:
                return dict.fromkeys(jobs, error)
            log.info("a forward pass failed; each caller's is run alone: %s", error)
        found: dict[_Job, Part | Exception] = {}
        for job, items in jobs.items():
            found |= self._answers({job: items})
        return found

    def _outputs(self, jobs: Mapping[_Job, list[_Item]]) -> dict[_Job, Part | Exception]:
        batch = [item for items in jobs.values() for item in items]
        outputs = self._run(tensors.join([item.tensors for item in batch], self._padding))
        if len(batch) == 1:
            return {batch[0].job: Part([batch[0].place], outputs)}
        counts = [sum(item.rows for item in items) for items in jobs.values()]
        if any(tensor.shape[:1] != (sum(counts),) for tensor in outputs.values()):
            raise ArtifactError(f"max_batch: expected outputs of {sum(counts)} rows, got others")
        parts = zip(jobs.items(), tensors.split(outputs, counts), strict=True)
        return {job: Part([one.place for one in items], part) for (job, items), part in parts}

    def _deliver(self, job: _Job, answer: Part | Exception | None) -> None:
        if isinstance(answer, Part):
            job.parts.append(answer)
        else:
            self._withdraw(job, answer or ServerError("the pass was interrupted"))
        if job.left == 0 and job.woken:
            job.woken.set()

    def _withdraw(self, job: _Job, error: Exception) -> None:
        """Ends a job that has failed: what still waits of it need not run."""
        self._jobs = [one for one in self._jobs if one is not job]
        job.error, job.left, job.waiting = error, job.left - len(job.waiting), []
