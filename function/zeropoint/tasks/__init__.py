"""A task is a kind of model: it knows how to prepare its inputs and what its outputs mean.

A new task is one module with ``create``, ``schema`` and ``Parameters``, and one row in `TASKS`; it
is imported when the first model of its kind is asked for.
"""

import importlib
import threading
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import msgspec

from zeropoint.artifact import Artifact
from zeropoint.errors import ManifestError
from zeropoint.instances import Column, Instance
from zeropoint.settings import Settings
from zeropoint.tensors import Tensors, TensorSpec

TASKS = {
    "image-classification": "zeropoint.tasks.image_classification",
    "object-detection": "zeropoint.tasks.object_detection",
    "tabular-classification": "zeropoint.tasks.tabular_classification",
    "tabular-regression": "zeropoint.tasks.tabular_regression",
    "text-classification": "zeropoint.tasks.text_classification",
    "text-embedding": "zeropoint.tasks.text_embedding",
    "text-generation": "zeropoint.tasks.text_generation",
    "tensor": "zeropoint.tasks.tensor",
}

# What a prediction may hold: whatever JSON can say.
Prediction = Any


class Prepared(NamedTuple):
    """One instance, ready to execute: its rows, mostly one, and what output must know of it.

    All arrays have the same first axis: the rows.
    """

    tensors: Tensors
    context: Any = None


class Schema(NamedTuple):
    """What callers of a model send and get, as JSON Schema, without loading it."""

    instance: dict[str, Any]
    prediction: dict[str, Any]
    example: Any  # an instance that is answered
    media_types: tuple[str, ...]  # of a body that is one instance, the example's first


class Task(Protocol):
    """Step 1 and step 3 of an inference; step 2, the forward pass, is the session's."""

    # Whether its instances are files, which JSON gives as base64 or as an object's name.
    takes_files: bool

    # What a caller may vary, a struct that forbids unknown fields and has a default for each.
    parameters: type[msgspec.Struct]

    # What fills up rows of different length that are joined in a forward pass, for each input
    # whose later axes may be filled; the rows of the others are of one shape.
    padding: Mapping[str, float]

    def prepare(self, instance: Instance) -> Prepared:
        """Makes one instance into tensors.

        Raises:
            ClientError: the instance is none that this model can take.
        """

    def output(
        self, tensors: Tensors, contexts: Sequence[Any], parameters: msgspec.Struct
    ) -> list[Prediction]:
        """Makes the outputs of a forward pass into one prediction for each instance.

        Args:
            tensors: The session's outputs, their first axis the rows of all these instances.
            contexts: What `prepare` said of each instance.
            parameters: Of the type `parameters`.

        Raises:
            InvalidError: a parameter does not fit this model.
        """


class TakesColumns(Protocol):
    """A task whose step 1 has a way for many rows at once, quicker than one by one."""

    def prepare_columns(self, columns: Mapping[str, Column], rows: int) -> Tensors:
        """Makes the rows of a table into tensors, their first axis the rows.

        Raises:
            InvalidError: some row is none that this model can take.
        """


def writes(task: Task) -> bool:
    """Tells whether a task's answer is a text that comes in pieces."""
    return hasattr(task, "begin")


def prefetch(artifact: Artifact) -> None:
    """Begins to import the module of an artifact's task, in a thread of its own."""
    if name := TASKS.get(artifact.manifest.task):
        threading.Thread(target=importlib.import_module, args=(name,), daemon=True).start()


def create(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Settings,
) -> Task:
    """Builds the task that an artifact's manifest names.

    Raises:
        ManifestError: no such task, or its tables do not fit the model's inputs and outputs.
        ArtifactError: a file of the task is missing, or its digest differs.
    """
    task: Task = _module(artifact).create(artifact, inputs, outputs, settings)
    return task


def schema(artifact: Artifact) -> Schema:
    """Returns what callers of an artifact's model send and get.

    Raises:
        ManifestError: no such task, or its tables are wrong.
        ArtifactError: a file of the task is missing, or its digest differs.
    """
    found: Schema = _module(artifact).schema(artifact)
    return found


def parameters(artifact: Artifact) -> type[msgspec.Struct]:
    """Returns what callers of an artifact's model may vary.

    Raises:
        ManifestError: no such task.
    """
    found: type[msgspec.Struct] = _module(artifact).Parameters
    return found


def _module(artifact: Artifact) -> ModuleType:
    name = artifact.manifest.task
    if name not in TASKS:
        raise ManifestError(
            f"{artifact.manifest.name}: expected a task of {', '.join(TASKS)}, got {name!r}"
        )
    return importlib.import_module(TASKS[name])
