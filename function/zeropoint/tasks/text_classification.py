"""Text classification: a text in, its most probable labels out."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from zeropoint.artifact import Artifact
from zeropoint.instances import Instance
from zeropoint.manifest import File, read_tables
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Schema
from zeropoint.tasks.labels import Labels, Output, prediction_schema
from zeropoint.tasks.labels import Parameters as Parameters
from zeropoint.tasks.text import (
    EXAMPLE,
    MEDIA_TYPES,
    TEXT_SCHEMA,
    TOKENS_SCHEMA,
    TextInput,
    TextTable,
)
from zeropoint.tensors import Tensors, TensorSpec


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's tables for this task."""

    text: TextTable
    labels: File
    output: Output


class TextClassification:
    """Steps 1 and 3 of a text classifier.

    Args:
        text: Step 1.
        labels: Step 3.
    """

    parameters = Parameters
    takes_files = False

    def __init__(self, text: TextInput, labels: Labels) -> None:
        self.padding = text.padding
        self._text = text
        self._labels = labels

    def prepare(self, instance: Instance) -> Prepared:
        """Makes a text the model's input, as `TextInput.prepare` says."""
        return Prepared(*self._text.prepare(instance))

    def output(
        self, tensors: Tensors, contexts: Sequence[Any], parameters: msgspec.Struct
    ) -> list[Prediction]:
        """Names the most probable labels of each text.

        Args:
            tensors: Scores, a float array of shape (n, labels).
            contexts: For each text a list of its one `Count`.
            parameters: `Parameters`.

        Returns:
            For each text its ``label`` and ``probability``, the ``top`` k with their index, how
            many ``tokens`` were used and whether it was ``truncated``.

        Raises:
            InvalidError: ``top_k`` is over the number of labels.
        """
        told = self._labels.tell(tensors, len(contexts), cast(Parameters, parameters).top_k)
        return [
            {**one, "tokens": count.tokens, "truncated": count.truncated}
            for one, (count,) in zip(told, contexts, strict=True)
        ]


def create(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Settings,
) -> TextClassification:
    """Builds the task from an artifact; raises as `zeropoint.tasks.create` says."""
    tables = read_tables(artifact.manifest, Tables)
    labels = Labels(artifact, tables.labels, tables.output, outputs)
    return TextClassification(TextInput(tables.text, artifact, inputs), labels)


def schema(artifact: Artifact) -> Schema:
    """Returns what a caller sends and gets."""
    prediction = prediction_schema(tokens=TOKENS_SCHEMA, truncated={"type": "boolean"})
    return Schema(TEXT_SCHEMA, prediction, EXAMPLE, MEDIA_TYPES)
