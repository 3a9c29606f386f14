"""Image classification: a photo in, its most probable labels out."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from zeropoint.artifact import Artifact
from zeropoint.errors import ArtifactError, InvalidError, ManifestError
from zeropoint.instances import Instance
from zeropoint.manifest import File, read_tables
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Schema
from zeropoint.tasks.image import FILE_SCHEMA, MEDIA_TYPES, SMALL_EXAMPLE, ImageInput, ImageTable
from zeropoint.tensors import Tensors, TensorSpec


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [output] table: what makes the model's scores probabilities, and how many are told."""

    activation: Literal["softmax", "sigmoid", "none"]
    top_k: Annotated[int, Meta(ge=1)] = 5


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's tables for this task."""

    image: ImageTable
    labels: File
    output: Output


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may vary. ``top_k``: how many labels are told, by default the manifest's."""

    top_k: Annotated[int, Meta(ge=1)] | None = None


class ImageClassification:
    """Steps 1 and 3 of an image classifier.

    Args:
        image: Step 1.
        output: The manifest's [output].
        labels: A label for each score.
        name: The model's output of scores.
    """

    parameters = Parameters
    takes_files = True

    def __init__(self, image: ImageInput, output: Output, labels: list[str], name: str) -> None:
        self._image = image
        self._output = output
        self._labels = labels
        self._name = name

    def prepare(self, instance: Instance) -> Prepared:
        """Makes the bytes of an image file the model's input, as `ImageInput.prepare` says."""
        return Prepared({self._image.name: self._image.prepare(instance)})

    def output(
        self, tensors: Tensors, contexts: Sequence[Any], parameters: msgspec.Struct
    ) -> list[Prediction]:
        """Names the most probable labels of each photo.

        Args:
            tensors: Scores, a float array of shape (n, classes).
            contexts: One for each photo, unused.
            parameters: `Parameters`.

        Returns:
            For each photo its ``label`` and ``probability``, and the ``top`` k with their index.

        Raises:
            InvalidError: ``top_k`` is over the number of labels.
        """
        scores = tensors[self._name]
        if scores.shape != (len(contexts), len(self._labels)):
            raise ArtifactError(
                f"expected scores of shape ({len(contexts)}, {len(self._labels)}),"
                f" got {scores.shape}"
            )
        top_k = cast(Parameters, parameters).top_k or min(self._output.top_k, len(self._labels))
        if top_k > len(self._labels):
            raise InvalidError(f"expected top_k of at most {len(self._labels)}, got more")
        probabilities = self._activate(scores)
        return [self._told(*row, top_k) for row in zip(scores, probabilities, strict=True)]

    def _activate(self, scores: NDArray[Any]) -> NDArray[Any]:
        if self._output.activation == "softmax":
            with np.errstate(over="ignore", invalid="ignore"):  # scores far apart, infinite or NaN
                powers = np.exp(scores - scores.max(axis=1, keepdims=True))
                return np.asarray(powers / powers.sum(axis=1, keepdims=True))
        if self._output.activation == "sigmoid":
            return np.asarray(0.5 * (np.tanh(0.5 * scores) + 1.0))  # never overflows
        return scores

    def _told(self, scores: NDArray[Any], probabilities: NDArray[Any], top_k: int) -> Prediction:
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


def create(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Settings,
) -> ImageClassification:
    """Builds the task from an artifact; raises as `zeropoint.tasks.create` says."""
    manifest = artifact.manifest
    tables = read_tables(manifest, Tables)
    image = ImageInput(tables.image, inputs, settings.max_pixels, manifest.name)
    try:
        labels = artifact.fetch(tables.labels).read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ManifestError(
            f"{manifest.name}: expected {tables.labels.path} in UTF-8, got other bytes"
        ) from None
    fits = len(outputs) == 1 and outputs[0].dtype.kind == "f" and len(outputs[0].shape) == 2
    if not fits or outputs[0].shape[1] not in (None, len(labels)):
        raise ManifestError(
            f"{manifest.name}: expected one output float[?, {len(labels)}], a score for each line"
            f" of {tables.labels.path}, got {'; '.join(map(str, outputs))}"
        )
    return ImageClassification(image, tables.output, labels, outputs[0].name)


def schema(artifact: Artifact) -> Schema:
    """Returns what a caller sends and gets."""
    label = {"type": "string"}
    probability = {"type": ["number", "null"]}
    named = {"label": label, "probability": probability}
    top = {
        "type": "object",
        "properties": {**named, "index": {"type": "integer", "minimum": 0}},
        "required": ["label", "probability", "index"],
    }
    prediction = {
        "type": "object",
        "properties": {**named, "top": {"type": "array", "items": top, "minItems": 1}},
        "required": ["label", "probability", "top"],
    }
    return Schema(FILE_SCHEMA, prediction, SMALL_EXAMPLE, MEDIA_TYPES)
