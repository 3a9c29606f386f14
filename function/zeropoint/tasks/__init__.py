"""A task is a kind of model: it knows how to prepare its inputs and what its outputs mean.

A new task is one module with a ``create`` and one row in `TASKS`; it is imported when the first
model of its kind is loaded.
"""

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from zeropoint.artifact import Artifact
from zeropoint.errors import ManifestError
from zeropoint.instances import Instance
from zeropoint.settings import Settings
from zeropoint.tensors import Tensors, TensorSpec

TASKS = {"image-classification": "zeropoint.tasks.image_classification"}

# What a prediction may hold: whatever JSON can say.
Prediction = Any


class Prepared(NamedTuple):
    """One instance, ready to execute: arrays whose first axis is 1, and what output must know."""

    tensors: Tensors
    context: Any = None


class Task(Protocol):
    """Step 1 and step 3 of an inference; step 2, the forward pass, is the session's."""

    # What a caller may vary, a struct that forbids unknown fields and has a default for each.
    parameters: type[msgspec.Struct]

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
            tensors: The session's outputs, their first axis as long as ``contexts``.
            contexts: What `prepare` said of each instance.
            parameters: Of the type `parameters`.

        Raises:
            InvalidError: a parameter does not fit this model.
        """


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
    name = artifact.manifest.task
    if name not in TASKS:
        raise ManifestError(
            f"{artifact.manifest.name}: expected a task of {', '.join(TASKS)}, got {name!r}"
        )
    task: Task = importlib.import_module(TASKS[name]).create(artifact, inputs, outputs, settings)
    return task
