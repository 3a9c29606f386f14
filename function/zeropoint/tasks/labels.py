"""Scores to labels: the [output] table and step 3 of every task that names classes."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from zeropoint.artifact import Artifact
from zeropoint.errors import ArtifactError, InvalidError, ManifestError
from zeropoint.manifest import File
from zeropoint.tasks.activations import Activation, activate
from zeropoint.tensors import Tensors, TensorSpec


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [output] table: what makes the model's scores probabilities, and how many are told."""

    activation: Activation
    top_k: Annotated[int, Meta(ge=1)] = 5


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may vary. ``top_k``: how many labels are told, by default the manifest's."""

    top_k: Annotated[int, Meta(ge=1)] | None = None


def read_labels(artifact: Artifact, file: File) -> list[str]:
    """Returns the lines of an artifact's labels' file.

    Raises:
        ManifestError: it has none, or is not UTF-8.
        ArtifactError: it is missing, or its digest differs.
    """
    place = f"{artifact.manifest.name}: expected {file.path}"
    try:
        labels = artifact.fetch(file).read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ManifestError(f"{place} in UTF-8, got other bytes") from None
    if not labels:
        raise ManifestError(f"{place} with a label for each line, got an empty file")
    return labels


class Labels:
    """Step 3 for every task whose model has a score for each label.

    Args:
        artifact: Has the labels' file, a label for each line.
        file: Which it is.
        output: The manifest's [output].
        outputs: The model's outputs: one, of floats, of shape (n, labels).

    Raises:
        ManifestError: the labels do not fit the output.
        ArtifactError: their file is missing, or its digest differs.
    """

    def __init__(
        self, artifact: Artifact, file: File, output: Output, outputs: Sequence[TensorSpec]
    ) -> None:
        name = artifact.manifest.name
        self._labels = read_labels(artifact, file)
        count = len(self._labels)
        fits = len(outputs) == 1 and outputs[0].dtype.kind == "f" and len(outputs[0].shape) == 2
        if not fits or outputs[0].shape[1] not in (None, count):
            raise ManifestError(
                f"{name}: expected one output float[?, {count}], a score for each line"
                f" of {file.path}, got {'; '.join(map(str, outputs))}"
            )
        self._name = outputs[0].name
        self._output = output

    def tell(self, tensors: Tensors, count: int, top_k: int | None) -> list[dict[str, Any]]:
        """Names the most probable labels of each row.

        Args:
            tensors: Scores, a float array of shape (n, labels).
            count: The rows that were asked for: n.
            top_k: How many labels are told; None: what the manifest says.

        Returns:
            For each row its ``label`` and ``probability``, and the ``top`` k with their index.

        Raises:
            InvalidError: ``top_k`` is over the number of labels.
        """
        scores = tensors[self._name]
        if scores.shape != (count, len(self._labels)):
            raise ArtifactError(
                f"expected scores of shape ({count}, {len(self._labels)}), got {scores.shape}"
            )
        top_k = top_k or min(self._output.top_k, len(self._labels))
        if top_k > len(self._labels):
            raise InvalidError(f"expected top_k of at most {len(self._labels)}, got more")
        probabilities = activate(scores, self._output.activation)
        return [self._told(*row, top_k) for row in zip(scores, probabilities, strict=True)]

    def _told(
        self, scores: NDArray[Any], probabilities: NDArray[Any], top_k: int
    ) -> dict[str, Any]:
        # Scores still differ where probabilities have become 1 or 0. Of equals, the first label.
        best = np.argsort(-scores, kind="stable")[:top_k]
        top = [
            {
                "label": self._labels[index],
                "probability": float(probabilities[index]),
                "index": int(index),
            }
            for index in best
        ]
        return {"label": top[0]["label"], "probability": top[0]["probability"], "top": top}


def prediction_schema(**others: Any) -> dict[str, Any]:
    """Returns what `Labels.tell` gives for a row, as JSON Schema.

    Args:
        others: The schemas of what a task adds.
    """
    named = {"label": {"type": "string"}, "probability": {"type": ["number", "null"]}}
    top = {
        "type": "object",
        "properties": {**named, "index": {"type": "integer", "minimum": 0}},
        "required": ["label", "probability", "index"],
    }
    told = {**named, "top": {"type": "array", "items": top, "minItems": 1}, **others}
    return {"type": "object", "properties": told, "required": list(told)}
