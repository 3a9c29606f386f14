"""Any ONNX model: raw named tensors in and out."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from zeropoint import json_bounds
from zeropoint.artifact import Artifact
from zeropoint.errors import ArtifactError, InvalidError
from zeropoint.instances import Blob, Instance
from zeropoint.manifest import read_tables
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Schema
from zeropoint.tensors import Tensors, TensorSpec, from_json


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's tables for this task: none."""


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may vary: nothing."""


class TensorTask:
    """Steps 1 and 3 of a model of which nothing is known but its inputs and outputs.

    An instance is an object with an array for each input, or the array alone where there is one.
    Where the first dimension of every input varies, or is 1, it counts instances, and an
    instance's arrays are without it; else one instance is the whole input.

    Args:
        inputs: The model's inputs.
    """

    parameters = Parameters
    takes_files = False
    padding: Mapping[str, float] = {}

    def __init__(self, inputs: Sequence[TensorSpec]) -> None:
        self._inputs = inputs
        self._batched = all(spec.shape[:1] in ((None,), (1,)) for spec in inputs)

    def prepare(self, instance: Instance) -> Prepared:
        """Makes one instance's lists of numbers arrays of the inputs' dtypes.

        Raises:
            InvalidError: an input is missing or unknown, or of another shape or type.
        """
        instance = self._parsed(instance)
        if not isinstance(instance, dict) and len(self._inputs) == 1:
            instance = {self._inputs[0].name: instance}
        names = ", ".join(spec.name for spec in self._inputs)
        if not isinstance(instance, dict) or instance.keys() != {s.name for s in self._inputs}:
            raise InvalidError(f"expected an object with the keys {names}, got another value")
        return Prepared(
            {spec.name: self._array(instance[spec.name], spec) for spec in self._inputs}
        )

    def output(
        self, tensors: Tensors, contexts: Sequence[Any], parameters: msgspec.Struct
    ) -> list[Prediction]:
        """Makes the outputs lists of numbers, for each instance an object with all of them."""
        rows = len(contexts)
        dealt = all(tensor.shape[:1] == (rows,) for tensor in tensors.values())
        # One alone has all that came out, as of a model that counts what it found.
        if not self._batched or (rows == 1 and not dealt):
            return [{name: tensor.tolist() for name, tensor in tensors.items()}]
        if not dealt:
            raise ArtifactError(f"max_batch: expected outputs of {rows} rows, got others")
        return [
            {name: tensor[row].tolist() for name, tensor in tensors.items()}
            for row in range(len(contexts))
        ]

    def _parsed(self, instance: Instance) -> Instance:
        """Reads an instance that came as JSON text, as SQL and files have it."""
        if isinstance(instance, Blob):
            instance = instance.data
        elif not isinstance(instance, str) or any(s.dtype == np.object_ for s in self._inputs):
            return instance
        json_bounds.refuse_costly(instance)
        try:
            return msgspec.json.decode(instance)
        except (ValueError, RecursionError):
            raise InvalidError("expected an instance in JSON, got another text") from None

    def _array(self, value: Any, spec: TensorSpec) -> NDArray[Any]:
        shape = spec.shape[1:] if self._batched else spec.shape
        wanted = TensorSpec(spec.name, spec.dtype, shape)
        rank = _rank(value)
        if rank != len(shape):  # looked at first: lists may be nested deeper than NumPy's can
            raise InvalidError(f"expected {wanted}, got an array of rank {rank}")
        try:
            array = from_json(value, spec.dtype)
        except ValueError as error:
            raise InvalidError(f"expected {wanted}, got {error}") from None
        dims = zip(shape, array.shape, strict=True)
        if any(want not in (None, got) for want, got in dims):
            got_shape = TensorSpec(spec.name, spec.dtype, array.shape)
            raise InvalidError(f"expected {wanted}, got {got_shape}")
        return array[None] if self._batched else array


def _rank(value: Any) -> int:
    """Returns how deep lists are nested, of their first values."""
    rank = 0
    while isinstance(value, list):
        value = value[0] if value else None
        rank += 1
    return rank


def create(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Settings,
) -> TensorTask:
    """Builds the task from an artifact; raises as `zeropoint.tasks.create` says."""
    read_tables(artifact.manifest, Tables)
    return TensorTask(inputs)


def schema(artifact: Artifact) -> Schema:
    """Returns what a caller sends and gets; the example is the known answer's own input."""
    array = {"type": ["array", "number", "boolean", "string"]}
    named = {"type": "object", "additionalProperties": array}
    example = msgspec.json.decode(artifact.fetch(artifact.manifest.check.file).read_bytes())
    return Schema(
        instance={"anyOf": [named, array]}, prediction=named, example=example, media_types=()
    )
