"""Image classification: a photo in, its most probable labels out."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from zeropoint.artifact import Artifact
from zeropoint.instances import Instance
from zeropoint.manifest import File, read_tables
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Schema
from zeropoint.tasks.image import FILE_SCHEMA, MEDIA_TYPES, SMALL_EXAMPLE, ImageInput, ImageTable
from zeropoint.tasks.labels import Labels, Output, prediction_schema
from zeropoint.tasks.labels import Parameters as Parameters
from zeropoint.tensors import Tensors, TensorSpec


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's tables for this task."""

    image: ImageTable
    labels: File
    output: Output


class ImageClassification:
    """Steps 1 and 3 of an image classifier.

    Args:
        image: Step 1.
        labels: Step 3.
    """

    parameters = Parameters
    takes_files = True
    padding: Mapping[str, float] = {}

    def __init__(self, image: ImageInput, labels: Labels) -> None:
        self._image = image
        self._labels = labels

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
        return self._labels.tell(tensors, len(contexts), cast(Parameters, parameters).top_k)


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
    return ImageClassification(image, Labels(artifact, tables.labels, tables.output, outputs))


def schema(artifact: Artifact) -> Schema:
    """Returns what a caller sends and gets."""
    return Schema(FILE_SCHEMA, prediction_schema(), SMALL_EXAMPLE, MEDIA_TYPES)
