"""A model in memory: prepare, execute, output."""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from zeropoint.errors import BodyTooLargeError, ClientError, InvalidError
from zeropoint.instances import NULL, Instance
from zeropoint.manifest import Manifest
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Task
from zeropoint.tensors import Tensors, TensorSpec
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


class Model:
    """A model that gave its known answer.

    Args:
        manifest: What it is.
        task: Steps 1 and 3.
        session: Step 2.
        settings: The limits.
    """

    def __init__(
        self, manifest: Manifest, task: Task, session: "Session", settings: Settings
    ) -> None:
        self.manifest = manifest
        self.inputs: list[TensorSpec] = session.inputs
        self.outputs: list[TensorSpec] = session.outputs
        self.digest = f"sha256:{manifest.file.sha256}"
        self.load_timings = Timings()
        self.first_answer = threading.Lock()  # the first answer takes it, and tells how it loaded
        self.takes_files = task.takes_files
        self._task = task
        self._session = session
        self._max_instances = settings.max_instances
        # A model exported for one instance at a time says so in its first dimension.
        varies = all(spec.shape[:1] == (None,) for spec in session.inputs)
        self._max_batch = manifest.max_batch if varies else 1

    def predict(
        self, instances: Sequence[Instance], parameters: Mapping[str, Any] | None = None
    ) -> Answer:
        """Answers a request: one prediction for each instance, in order.

        Args:
            instances: What the task takes, at most ``ZEROPOINT_MAX_INSTANCES``; NULL is answered
                with None.
            parameters: What the task lets a caller vary.

        Raises:
            ClientError: an instance or a parameter is refused; the message names which. One bad
                instance refuses the request.
        """
        if len(instances) > self._max_instances:
            raise BodyTooLargeError(
                f"expected at most {self._max_instances} instances, got {len(instances)}"
            )
        chosen = self._parameters(parameters or {})
        timings = Timings(prepare=0.0, execute=0.0, output=0.0)
        predictions: list[Prediction] = [None] * len(instances)
        rows = [row for row, instance in enumerate(instances) if instance is not NULL]
        for start in range(0, len(rows), self._max_batch):
            batch = rows[start : start + self._max_batch]
            with timings.measure("prepare"):
                prepared = [self._prepare(instances, row) for row in batch]
                tensors = _stack([one.tensors for one in prepared])
            with timings.measure("execute"):
                found = self._session.run(tensors)
            with timings.measure("output"):
                contexts = [one.context for one in prepared]
                answered = self._task.output(found, contexts, chosen)
                for row, prediction in zip(batch, answered, strict=True):
                    predictions[row] = prediction
        return Answer(self, timings, predictions, {})

    def execute(self, tensors: Tensors) -> Answer:
        """Answers raw tensors with raw tensors: one forward pass, without the task.

        Args:
            tensors: An array for each of `inputs`, of its dtype and shape.

        Raises:
            InvalidError: the tensors are not those of `inputs`.
        """
        _refuse_misfits(tensors, self.inputs)
        timings = Timings(prepare=0.0, execute=0.0, output=0.0)
        with timings.measure("execute"):
            found = self._session.run(tensors)
        return Answer(self, timings, [], found)

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


def _stack(tensors: Sequence[Tensors]) -> Tensors:
    """Joins instances to a batch; one alone is passed on without a copy."""
    if len(tensors) == 1:
        return tensors[0]
    return {name: np.concatenate([one[name] for one in tensors]) for name in tensors[0]}


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
