"""A model in memory: prepare, execute, output."""

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from zeropoint import callers, cpus
from zeropoint.admission import Admission
from zeropoint.batcher import Batcher, Part
from zeropoint.errors import BodyTooLargeError, ClientError, InvalidError, ZeropointError
from zeropoint.instances import NULL, Column, Instance
from zeropoint.manifest import ORIGINAL, Manifest
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, TakesColumns, Task
from zeropoint.tensors import Tensors, TensorSpec, join
from zeropoint.timing import Timings

if TYPE_CHECKING:
    from zeropoint.session import Session


# Of a table, in one pass: more are no quicker, and would only take memory.
_MOST_ROWS = 1024


class Answer(NamedTuple):
    """What a model said to one request: predictions, or to raw tensors raw tensors."""

    model: "Model"
    timings: Timings
    predictions: list[Prediction]
    tensors: Tensors
    cold_start: Timings = Timings()  # its phases, if this is the model's first answer


class Model:
    """A model that gave its known answer, and the queue of those who call it.

    Args:
        manifest: What it is.
        task: Steps 1 and 3.
        session: Step 2.
        settings: The limits.
        alone: Whether each row goes through the model by itself.
    """

    def __init__(
        self,
        manifest: Manifest,
        task: Task,
        session: "Session",
        settings: Settings,
        alone: bool = False,
    ) -> None:
        self.manifest = manifest
        self.inputs: list[TensorSpec] = session.inputs
        self.outputs: list[TensorSpec] = session.outputs
        self.variant = ORIGINAL  # which of the artifact's files, and its digest
        self.digest = f"sha256:{manifest.file.sha256}"
        self.load_timings = Timings()
        self.first_answer = threading.Lock()  # the first answer takes it, and tells how it loaded
        self.takes_files = task.takes_files
        self.takes_columns = hasattr(task, "prepare_columns")
        self.admission = Admission(settings.max_queue)
        self._task = task
        self._native = session.native
        self.forward = session.run  # a pass of prepared tensors, without the queue
        self._max_instances = settings.max_instances
        # A model exported for one instance at a time says so in its inputs' first dimensions. Of
        # outputs converters declare them wrong: LightGBM's says label[1] and gives one a row.
        self.varies = all(spec.shape[:1] == (None,) for spec in session.inputs)
        self._max_batch = manifest.max_batch if self.varies and not alone else 1
        self._alone = alone and self.varies
        processors = cpus.threads(settings.cpus or cpus.available())
        passes = processors // session.threads if self._max_batch > 1 else processors
        self.batcher = Batcher(session.run, self._max_batch, passes, task.padding)
        # More photos at once than there are processors would only take memory. What is no file
        # takes little, and threads that wait for each other cost more than they save.
        at_once = processors if task.takes_files else settings.max_queue
        self._preparing = threading.Semaphore(at_once)

    def predict(
        self,
        instances: Sequence[Instance],
        parameters: Mapping[str, Any] | None = None,
        deadline_s: float = math.inf,
    ) -> Answer:
        """Answers a request: one prediction for each instance, in order.

        Args:
            instances: What the task takes, at most ``ZEROPOINT_MAX_INSTANCES``; NULL is answered
                with None.
            parameters: What the task lets a caller vary.
            deadline_s: Of `time.monotonic`.

        Raises:
            ClientError: an instance or a parameter is refused; the message names which. One bad
                instance refuses the request.
            OverloadedError: too many wait, or not all would be answered before the deadline.
            CancelledError: the caller hung up before a turn came.
        """
        if len(instances) > self._max_instances:
            raise BodyTooLargeError(
                f"expected at most {self._max_instances} instances, got {len(instances)}"
            )
        chosen = self._parameters(parameters or {})
        timings = Timings(queue=0.0, prepare=0.0, execute=0.0, output=0.0)
        predictions: list[Prediction] = [None] * len(instances)
        rows = [row for row, instance in enumerate(instances) if instance is not NULL]
        with self.admission.admit(len(rows), deadline_s) as answered:
            for start in range(0, len(rows), self._max_batch):
                if start:
                    callers.refuse_gone()
                batch = rows[start : start + self._max_batch]
                with self._turn_to_prepare(deadline_s, timings):
                    prepared = [self._prepare(instances, row) for row in batch]
                for part in self._passes(prepared, deadline_s, timings):
                    with timings.measure("output"):
                        contexts = [prepared[place].context for place in part.places]
                        found = self._task.output(part.tensors, contexts, chosen)
                        for place, prediction in zip(part.places, found, strict=True):
                            predictions[batch[place]] = prediction
                answered(len(batch))
        return Answer(self, timings, predictions, {})

    def answer_each(
        self, instances: Sequence[Instance], parameters: Mapping[str, Any]
    ) -> list[Prediction | ZeropointError]:
        """Answers instances one by one, as far as they can be, without the queue: for a batch.

        Args:
            instances: As of `predict`; an error stays what it is.
            parameters: As of `predict`.

        Returns:
            For each instance its prediction, or the error that `predict` would have raised.

        Raises:
            InvalidError: a parameter is refused.
        """
        chosen = self._parameters(parameters)
        found: list[Prediction | ZeropointError] = [None] * len(instances)
        ready: list[tuple[int, Prepared]] = []
        for place, instance in enumerate(instances):
            if isinstance(instance, ZeropointError):
                found[place] = instance
            elif instance is not NULL:
                try:
                    ready.append((place, self._task.prepare(instance)))
                except ZeropointError as error:
                    found[place] = error
            if len(ready) == self._max_batch or (ready and place == len(instances) - 1):
                self._fill(found, ready, chosen)
                ready = []
        return found

    def answer_columns(
        self, columns: Mapping[str, Column], rows: int, parameters: Mapping[str, Any]
    ) -> list[Prediction] | None:
        """Answers the rows of a table all at once, where the task reads columns.

        Args:
            columns: By name, of ``rows`` rows each.
            rows: How many.
            parameters: As of `predict`.

        Returns:
            The predictions; None: the rows are to be asked for one by one, by `answer_each`.

        Raises:
            InvalidError: a parameter is refused.
        """
        chosen = self._parameters(parameters)
        if not self.takes_columns or self._max_batch == 1:
            return None
        prepare = cast(TakesColumns, self._task).prepare_columns
        try:
            tensors = prepare(columns, rows)
            found: list[Prediction] = []
            for start in range(0, rows, _MOST_ROWS):
                end = min(rows, start + _MOST_ROWS)
                part = {name: tensor[start:end] for name, tensor in tensors.items()}
                found += self._task.output(self.forward(part), [None] * (end - start), chosen)
        except ClientError:
            return None
        return found

    def _fill(
        self,
        found: list[Prediction | ZeropointError],
        ready: Sequence[tuple[int, Prepared]],
        chosen: msgspec.Struct,
    ) -> None:
        """Has prepared instances answered in one pass; if it is refused, each in its own."""
        places, prepared = zip(*ready, strict=True)
        try:
            for part in self._passes(prepared, math.inf, Timings(queue=0.0, execute=0.0)):
                contexts = [prepared[place].context for place in part.places]
                told = self._task.output(part.tensors, contexts, chosen)
                for place, prediction in zip(part.places, told, strict=True):
                    found[places[place]] = prediction
        except ClientError as error:
            if len(ready) == 1:
                found[places[0]] = error
                return
            for one in ready:
                self._fill(found, [one], chosen)

    def execute(self, tensors: Tensors, deadline_s: float = math.inf) -> Answer:
        """Answers raw tensors with raw tensors, without the task.

        Args:
            tensors: An array for each of `inputs`, of its dtype and shape.
            deadline_s: Of `time.monotonic`.

        Raises:
            InvalidError: the tensors are not those of `inputs`.
            OverloadedError: too many wait, or it would not be answered before the deadline.
        """
        _refuse_misfits(tensors, self.inputs)
        timings = Timings(queue=0.0, prepare=0.0, execute=0.0, output=0.0)
        items = self._cut(self._native(tensors))
        rows = max([1, *(len(tensor) for tensor in tensors.values() if tensor.ndim)])
        with self.admission.admit(rows, deadline_s) as answered:
            parts = self._execute(items, deadline_s, timings, as_is=True)
            answered(rows)
        parts.sort(key=lambda part: part.places)
        return Answer(self, timings, [], join([part.tensors for part in parts], {}))

    def time_pass(self, instance: Instance, rows: int) -> float:
        """Returns the seconds of one forward pass of an instance repeated in ``rows`` rows."""
        tensors = join([self._task.prepare(instance).tensors] * rows, {})
        began_s = time.perf_counter()
        self.forward(tensors)
        return time.perf_counter() - began_s

    def _cut(self, tensors: Tensors) -> list[Tensors]:
        """Cuts tensors into items of ``max_batch`` rows, if their rows may be parted."""
        counts = {len(tensor) if tensor.ndim else 1 for tensor in tensors.values()}
        if (self._max_batch == 1 and not self._alone) or len(counts) > 1:
            return [tensors]
        starts = range(0, max(1, *counts), self._max_batch)
        return [
            {name: tensor[start : start + self._max_batch] for name, tensor in tensors.items()}
            for start in starts
        ]

    @contextmanager
    def _turn_to_prepare(self, deadline_s: float, timings: Timings) -> Iterator[None]:
        began_s = time.perf_counter()
        # Who need not wait is not asked: a caller may shut its sending side, and wait all the same.
        awaited = not self._preparing.acquire(blocking=False)
        if awaited:
            left_s = deadline_s - time.monotonic()
            if not self._preparing.acquire(timeout=None if left_s == math.inf else max(0, left_s)):
                raise TimeoutError
        timings["queue"] += time.perf_counter() - began_s
        try:
            if awaited:
                callers.refuse_gone()
            with timings.measure("prepare"):
                yield
        finally:
            self._preparing.release()

    def _passes(
        self, prepared: Sequence[Prepared], deadline_s: float, timings: Timings
    ) -> list[Part]:
        """Returns the outputs for prepared instances, each with all its rows in one part."""
        if not self._alone:
            return self._execute([one.tensors for one in prepared], deadline_s, timings)
        (one,) = prepared
        parts = self._execute(self._cut(one.tensors), deadline_s, timings)
        parts.sort(key=lambda part: part.places)
        return [Part([0], join([part.tensors for part in parts], {}))]

    def _execute(
        self,
        items: Sequence[Tensors],
        deadline_s: float,
        timings: Timings,
        as_is: bool = False,
    ) -> list[Part]:
        began_s = time.perf_counter()
        parts, execute_s = self.batcher.execute(items, deadline_s, as_is)
        timings["execute"] += execute_s
        timings["queue"] += time.perf_counter() - began_s - execute_s
        return parts

    def _parameters(self, parameters: Mapping[str, Any]) -> msgspec.Struct:
        try:
            return msgspec.convert(parameters, self._task.parameters)
        except msgspec.ValidationError as error:
            names = self._task.parameters.__struct_fields__
            said, _, path = str(error).partition(" - at `$.")
            if path.rstrip("`") in names and said.startswith("Expected"):
                raise InvalidError(f"parameters.{path.rstrip('`')}: {said}") from None
            raise InvalidError(
                f"parameters: expected an object with no other keys than {', '.join(names)}"
            ) from None

    def _prepare(self, instances: Sequence[Instance], row: int) -> Prepared:
        try:
            return self._task.prepare(instances[row])
        except ClientError as error:
            raise error.of_instance(row + 1, len(instances)) from None


def _refuse_misfits(tensors: Tensors, inputs: Sequence[TensorSpec]) -> None:
    if tensors.keys() != {spec.name for spec in inputs}:
        raise InvalidError(f"expected the inputs {'; '.join(map(str, inputs))}, got other names")
    for spec in inputs:
        tensor = tensors[spec.name]
        dims = zip(spec.shape, tensor.shape, strict=False)
        if (
            tensor.dtype != spec.dtype
            or tensor.ndim != len(spec.shape)
            or any(wanted not in (None, got) for wanted, got in dims)
        ):
            got = TensorSpec(spec.name, tensor.dtype, tensor.shape)
            raise InvalidError(f"expected the input {spec}, got {got}")
