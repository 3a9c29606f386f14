"""A model in memory: prepare, execute, output."""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from zeropoint import cpus, external_data, tasks
from zeropoint.artifact import Artifact, Repository
from zeropoint.errors import ArtifactError, BodyTooLargeError, ClientError, InvalidError
from zeropoint.instances import Blob, Instance
from zeropoint.manifest import Check, Manifest
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Task
from zeropoint.tensors import Tensors, TensorSpec
from zeropoint.timing import Timings

if TYPE_CHECKING:
    from zeropoint.session import Session


class Answer(NamedTuple):
    """What a model said to one request."""

    predictions: list[Prediction]
    model: "Model"
    timings: Timings


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
            instances: What the task takes, at most ``ZEROPOINT_MAX_INSTANCES``.
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
        predictions: list[Prediction] = []
        for start in range(0, len(instances), self._max_batch):
            batch = instances[start : start + self._max_batch]
            with timings.measure("prepare"):
                prepared = [
                    self._prepare(instance, number, len(instances))
                    for number, instance in enumerate(batch, start + 1)
                ]
                tensors = _stack([one.tensors for one in prepared])
            with timings.measure("execute"):
                found = self._session.run(tensors)
            with timings.measure("output"):
                contexts = [one.context for one in prepared]
                predictions += self._task.output(found, contexts, chosen)
        return Answer(predictions, self, timings)

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

    def _prepare(self, instance: Instance, number: int, count: int) -> Prepared:
        try:
            return self._task.prepare(instance)
        except ClientError as error:
            raise error.within(f"instance {number} of {count}") if count > 1 else error from None


def load(repository: Repository, name: str, settings: Settings) -> Model:
    """Reads, verifies and builds a model, and has it give its known answer.

    Raises:
        ModelNotFoundError: the repository has no such model.
        ManifestError: its model.toml is wrong.
        ArtifactError: a file is missing or not what the manifest says, or the known answer did
            not come out.
        UnavailableError: the repository is away.
    """
    timings = Timings()
    with timings.measure("imports"):
        from zeropoint.session import Session
    with timings.measure("read"):
        artifact = Artifact(repository, name)
        manifest = artifact.manifest
        path = artifact.fetch(manifest.file)
        external_data.refuse(path)
        verified = _signature(path)
    with timings.measure("session"):
        session = Session(path, cpus.threads(settings.cpus or cpus.available()))
        if _signature(path) != verified:
            raise ArtifactError(f"{name}/{manifest.file.path}: it was changed while it was loaded")
        task = tasks.create(artifact, session.inputs, session.outputs, settings)
    model = Model(manifest, task, session, settings)
    with timings.measure("check"):
        prove(model, artifact)
    model.load_timings = timings
    return model


def prove(model: Model, artifact: Artifact) -> None:
    """Has a model answer its manifest's [check].

    Raises:
        ArtifactError: another answer came out, or none.
    """
    check = artifact.manifest.check
    data = artifact.fetch(check.file).read_bytes()
    instance = msgspec.json.decode(data) if check.input.endswith(".json") else Blob(data)
    try:
        (prediction,) = model.predict([instance]).predictions
    except ClientError as error:
        raise _wrong_answer(check, f"a refusal: {error.message}") from None
    for problem in _differences(check, prediction):
        raise _wrong_answer(check, problem)


def _wrong_answer(check: Check, problem: str) -> ArtifactError:
    return ArtifactError(f"{check.input}: expected the known answer {check.expect}, got {problem}")


def _differences(check: Check, prediction: Prediction) -> Iterator[str]:
    tolerance = float(check.expect.get("tolerance", 1e-3))
    for key, expected in check.expect.items():
        if key == "tolerance":
            continue
        got = prediction.get(key) if isinstance(prediction, dict) else prediction
        if isinstance(expected, float) and isinstance(got, int | float):
            if not math.isclose(got, expected, rel_tol=0.0, abs_tol=tolerance):
                yield f"{key} {got:.4f}"
        elif got != expected:
            yield f"{key} {got!r}"


def _stack(tensors: Sequence[Tensors]) -> Tensors:
    """Joins instances to a batch; one alone is passed on without a copy."""
    if len(tensors) == 1:
        return tensors[0]
    return {name: np.concatenate([one[name] for one in tensors]) for name in tensors[0]}


def _signature(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
