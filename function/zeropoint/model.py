"""A model in memory: prepare, execute, output."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from zeropoint import callers, cpus
from zeropoint.admission import Admission
from zeropoint.batcher import Batcher, Part
from zeropoint.errors import BodyTooLargeError, ClientError, InvalidError
from zeropoint.instances import NULL, Instance
from zeropoint.manifest import ORIGINAL, Manifest
from zeropoint.metrics import Counts
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Task
from zeropoint.tensors import Tensors, TensorSpec, join, refuse_misfits
from zeropoint.timing import Timings

if TYPE_CHECKING:
    from zeropoint.session import Session


class Answer(NamedTuple):
    """What a model said to one request: predictions, or to raw tensors raw tensors."""

    model: "Model"
    timings: Timings
    predictions: list[Prediction]
    tensors: Tensors
    cold_start: Timings = Timings()  # its phases, if this is the model's first answer

    def record(self) -> dict[str, Any]:
        """Returns what a record tells of it: predictions, by which model, how long each step."""
        return {
            "predictions": self.predictions,
            "model": self.model.manifest.name,
            "version": self.model.manifest.version,
            "digest": self.model.digest,
            "timings_ms": self.timings.ms(),
        }


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
        self.admission = Admission(settings.max_queue)
        self.task = task
        self._native = session.native
        # A pass of prepared tensors, without the queue.
        self.forward: Callable[[Tensors], Tensors] = session.run
        self._max_instances = settings.max_instances
        # A model exported for one instance at a time says so in its inputs' first dimensions. Of
        # outputs converters declare them wrong: LightGBM's says label[1] and gives one a row.
        self.varies = all(spec.shape[:1] == (None,) for spec in session.inputs)
        self.max_batch = manifest.max_batch if self.varies and not alone else 1
        self._alone = alone and self.varies
        self.processors = processors = cpus.threads(settings.cpus or cpus.available())
        passes = processors // session.threads if self.max_batch > 1 else processors
        self.batcher = Batcher(session.run, self.max_batch, passes, task.padding)
        # More photos at once than there are processors would only take memory. What is no file
        # takes little, and threads that wait for each other cost more than they save.
        at_once = processors if task.takes_files else settings.max_queue
        self._preparing = threading.Semaphore(at_once)

    def answer(
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
        self.refuse_many(instances)
        chosen = self.read_parameters(parameters or {})
        timings = Timings(queue=0.0, prepare=0.0, execute=0.0, output=0.0)
        predictions: list[Prediction] = [None] * len(instances)
        rows = [row for row, instance in enumerate(instances) if instance is not NULL]
        with self.admission.admit(len(rows), deadline_s) as answered:
            for start in range(0, len(rows), self.max_batch):
                if start:
                    callers.refuse_gone()
                batch = rows[start : start + self.max_batch]
                with self._turn_to_prepare(deadline_s, timings):
                    prepared = [self.prepare(instances, row) for row in batch]
                for part in self.passes(prepared, deadline_s, timings):
                    with timings.measure("output"):
                        contexts = [prepared[place].context for place in part.places]
                        found = self.task.output(part.tensors, contexts, chosen)
                        for place, prediction in zip(part.places, found, strict=True):
                            predictions[batch[place]] = prediction
                answered(len(batch))
        return Answer(self, timings, predictions, {})

    @property
    def counts(self) -> Counts:
        """What it has done since it was loaded."""
        return Counts(self.batcher.passes, self.batcher.rows)

    def refuse_many(self, instances: Sequence[Instance]) -> None:
        """Refuses more instances than a request may have.

        Raises:
            BodyTooLargeError: over ``ZEROPOINT_MAX_INSTANCES``.
        """
        if len(instances) > self._max_instances:
            raise BodyTooLargeError(
                f"expected at most {self._max_instances} instances, got {len(instances)}"
            )

    def __repr__(self) -> str:
        manifest = self.manifest
        return f"<Model {manifest.name} {manifest.version}, {manifest.task}, {self.digest}>"

    def predict(self, given: Any, **parameters: Any) -> Prediction:
        """Answers one input: what `load("…").predict("photo.jpg")` calls.

        Args:
            given: To a model of photos the path of a file, the file's bytes, an image of Pillow or
                a uint8 array of shape (H, W, 3), RGB; to others what JSON would hold: a text, or a
                row as a list or a dict. Arrays and scalars of NumPy are taken as lists and numbers.
            parameters: What the task lets a caller vary, as ``top_k=1``.

        Returns:
            What JSON would hold, as in ``predictions`` of an HTTP answer: for photos a dict with
            ``label`` and ``probability``, or with ``boxes``; for texts and tables that of the task.

        Raises:
            ClientError: the input or a parameter is refused; its message says why.
            OSError: the file cannot be read.
        """
        return self.predict_many([given], **parameters)[0]

    def predict_many(self, given: Sequence[Any], **parameters: Any) -> list[Prediction]:
        """Answers many inputs, at most ``ZEROPOINT_MAX_INSTANCES``, in order; see `predict`."""
        from zeropoint import inputs  # with Pillow, which a server of other models does not import

        instances = [inputs.instance(one, self.takes_files) for one in given]
        return self.answer(instances, parameters).predictions

    def execute(self, tensors: Tensors, deadline_s: float = math.inf) -> Answer:
        """Answers raw tensors with raw tensors, without the task.

        Args:
            tensors: An array for each of `inputs`, of its dtype and shape.
            deadline_s: Of `time.monotonic`.

        Raises:
            InvalidError: the tensors are not those of `inputs`.
            OverloadedError: too many wait, or it would not be answered before the deadline.
        """
        refuse_misfits(tensors, self.inputs)
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
        tensors = join([self.task.prepare(instance).tensors] * rows, {})
        began_s = time.perf_counter()
        self.forward(tensors)
        return time.perf_counter() - began_s

    def _cut(self, tensors: Tensors) -> list[Tensors]:
        """Cuts tensors into items of ``max_batch`` rows, if their rows may be parted."""
        counts = {len(tensor) if tensor.ndim else 1 for tensor in tensors.values()}
        if (self.max_batch == 1 and not self._alone) or len(counts) > 1:
            return [tensors]
        starts = range(0, max(1, *counts), self.max_batch)
        return [
            {name: tensor[start : start + self.max_batch] for name, tensor in tensors.items()}
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

    def passes(
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

    def read_parameters(self, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Returns parameters as the task takes them.

        Raises:
            InvalidError: one is unknown, or not of its type.
        """
        try:
            return msgspec.convert(parameters, self.task.parameters)
        except msgspec.ValidationError as error:
            names = self.task.parameters.__struct_fields__
            said, _, path = str(error).partition(" - at `$.")
            name = path.rstrip("`").partition("[")[0]
            if name in names and said.startswith("Expected"):
                raise InvalidError(f"parameters.{name}: {said}") from None
            raise InvalidError(
                f"parameters: expected an object with no other keys than {', '.join(names)}"
            ) from None

    def prepare(self, instances: Sequence[Instance], row: int) -> Prepared:
        """Makes one of several instances tensors.

        Raises:
            ClientError: it is refused; the message names which.
        """
        try:
            return self.task.prepare(instances[row])
        except ClientError as error:
            raise error.of_instance(row + 1, len(instances)) from None
