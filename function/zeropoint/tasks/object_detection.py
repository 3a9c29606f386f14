"""Object detection: a photo in, boxes in its own pixels out, each with a label and a score."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from zeropoint.artifact import Artifact
from zeropoint.instances import Instance
from zeropoint.manifest import File, read_tables
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Schema, anchors
from zeropoint.tasks.boxes import AnchorBoxes, Boxes, Decoder, suppress
from zeropoint.tasks.heads import Count, Head, Output, Share
from zeropoint.tasks.image import (
    FILE_SCHEMA,
    MEDIA_TYPES,
    SMALL_EXAMPLE,
    ImageInput,
    ImageTable,
    View,
)
from zeropoint.tasks.labels import read_labels
from zeropoint.tensors import Tensors, TensorSpec

# Only so many boxes, the best, are compared with each other: what bounds a photo's work.
_CANDIDATES = 2000


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's tables for this task."""

    image: ImageTable
    labels: File
    output: Output
    boxes: Boxes


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may vary: the lowest score, and how many are told; else the manifest's."""

    threshold: Share | None = None
    max_detections: Count | None = None


class ObjectDetection:
    """Steps 1 and 3 of a detector.

    Args:
        image: Step 1.
        head: What takes boxes and scores out of the model's outputs.
        decoder: What makes the model's boxes corners.
        labels: A label for each class.
        output: The manifest's [output].
    """

    parameters = Parameters
    takes_files = True
    padding: Mapping[str, float] = {}

    def __init__(
        self, image: ImageInput, head: Head, decoder: Decoder, labels: list[str], output: Output
    ) -> None:
        self._image = image
        self._head = head
        self._decoder = decoder
        self._labels = labels
        self._output = output

    def prepare(self, instance: Instance) -> Prepared:
        """Makes the bytes of an image file the model's input, as `ImageInput.prepare_view` says.

        The context is the photo's `View`.
        """
        tensor, view = self._image.prepare_view(instance)
        return Prepared({self._image.name: tensor}, view)

    def output(
        self, tensors: Tensors, contexts: Sequence[Any], parameters: msgspec.Struct
    ) -> list[Prediction]:
        """Finds the boxes of each photo.

        Args:
            tensors: Raw boxes and scores, as [output] says.
            contexts: The `View` of each photo.
            parameters: `Parameters`.

        Returns:
            For each photo its ``width`` and ``height`` in pixels, and its ``detections``, best
            first: ``label``, ``score``, ``box`` [x_min, y_min, x_max, y_max] in pixels, ``index``.
        """
        raw, scores = self._head.part(tensors, len(contexts))
        classes = scores.argmax(axis=2)
        best = scores.max(axis=2, initial=-np.inf)
        rows = zip(raw, best, classes, contexts, strict=True)
        return [self._prediction(*row, cast(Parameters, parameters)) for row in rows]

    def _prediction(
        self,
        raw: NDArray[Any],
        scores: NDArray[np.float32],
        classes: NDArray[np.intp],
        view: View,
        told: Parameters,
    ) -> Prediction:
        """Tells of one photo's boxes (k, 4), scores (k,) and classes (k,) those worth telling."""
        threshold = self._output.threshold if told.threshold is None else told.threshold
        # In float64, as a score is told: in float32 the threshold would be rounded.
        (rows,) = np.nonzero((scores.astype(np.float64) >= threshold) & np.isfinite(scores))
        rows = rows[np.argsort(-scores[rows], kind="stable")[:_CANDIDATES]]
        rows, boxes = _placed(rows, self._decoder.corners(raw[rows], rows), view)
        count = told.max_detections or self._output.max_detections
        kept = suppress(boxes, classes[rows], self._output.iou_threshold, count)
        detections = [
            {
                "label": self._labels[classes[row]],
                "score": float(scores[row]),
                "box": box.tolist(),
                "index": int(classes[row]),
            }
            for row, box in zip(rows[kept], boxes[kept], strict=True)
        ]
        return {"detections": detections, "width": view.width, "height": view.height}


def _placed(
    rows: NDArray[np.intp], corners: NDArray[np.float64], view: View
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Takes boxes from shares of the model's input to pixels within the photo.

    Those that are not there, outside of the photo or without a number, are left out.
    """
    left, top, right, bottom = view.box
    size = np.array([right - left, bottom - top] * 2)
    with np.errstate(all="ignore"):
        pixels = corners * size + np.array([left, top] * 2)
    # Hundredths of a pixel, and in this order: no box becomes empty after it was looked at.
    boxes = np.clip(pixels, 0.0, np.array([view.width, view.height] * 2, np.float64)).round(2)
    there = np.isfinite(pixels).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return rows[there], boxes[there]


def create(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Settings,
) -> ObjectDetection:
    """Builds the task from an artifact; raises as `zeropoint.tasks.create` says."""
    manifest = artifact.manifest
    tables = read_tables(manifest, Tables)
    image = ImageInput(tables.image, inputs, settings.max_pixels, manifest.name)
    labels = read_labels(artifact, tables.labels)
    count = None
    if isinstance(tables.boxes, AnchorBoxes):
        count = anchors.count(tables.boxes.anchors, image.width, image.height)
    head = Head(tables.output, len(labels), count, outputs, manifest.name)
    decoder = Decoder(tables.boxes, image.width, image.height)
    return ObjectDetection(image, head, decoder, labels, tables.output)


def schema(artifact: Artifact) -> Schema:
    """Returns what a caller sends and gets."""
    pixel = {"type": "number", "minimum": 0}
    detection = {
        "type": "object",
        "properties": {
            "label": {"type": "string"},
            "score": {"type": "number"},
            "box": {
                "type": "array",
                "items": pixel,
                "minItems": 4,
                "maxItems": 4,
                "description": "x_min, y_min, x_max, y_max in pixels of the upright photo",
            },
            "index": {"type": "integer", "minimum": 0},
        },
        "required": ["label", "score", "box", "index"],
    }
    side = {"type": "integer", "minimum": 1}
    prediction = {
        "type": "object",
        "properties": {
            "detections": {"type": "array", "items": detection},
            "width": side,
            "height": side,
        },
        "required": ["detections", "width", "height"],
    }
    return Schema(FILE_SCHEMA, prediction, SMALL_EXAMPLE, MEDIA_TYPES)
