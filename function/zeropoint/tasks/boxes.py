"""The manifest's [boxes] table: what four numbers say of a box; and how boxes overlap."""

from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from zeropoint.tasks import anchors
from zeropoint.tasks.anchors import Anchors

Positive = Annotated[float, Meta(gt=0.0, le=1e6)]
Unit = Literal["pixels", "fractions"]


class AnchorBoxes(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="anchors"
):
    """SSD: how far a box's centre and size are from its anchor's."""

    anchors: Anchors
    scale: tuple[Positive, Positive, Positive, Positive] = (10.0, 10.0, 5.0, 5.0)
    order: Literal["yx", "xy"] = "yx"  # y, x, height, width; or x, y, width, height


class CentreBoxes(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="centre"
):
    """YOLO: the centre's x and y, width and height."""

    unit: Unit  # pixels of the model's input, or shares of it
    order: Literal["yx", "xy"] = "xy"


class CornerBoxes(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="corners"
):
    """The first and the last x and y."""

    unit: Unit
    order: Literal["yx", "xy"] = "xy"


Boxes = AnchorBoxes | CentreBoxes | CornerBoxes


class Decoder:
    """Makes a model's raw boxes corners.

    Args:
        table: The manifest's [boxes].
        width: Of the model's input, in pixels.
        height: Likewise.
    """

    def __init__(self, table: Boxes, width: int, height: int) -> None:
        self._table = table
        self._swapped = table.order == "yx"
        self._anchors: NDArray[np.float64] | None = None
        self._size = np.ones(4)
        if isinstance(table, AnchorBoxes):
            self._anchors = anchors.generate(table.anchors, width, height)
            self._scale = np.array(table.scale)
        elif table.unit == "pixels":
            self._size = np.array([width, height, width, height], np.float64)

    def corners(self, raw: NDArray[np.floating], rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Decodes some of a photo's boxes.

        Args:
            raw: float array of shape (k, 4), as the model gave them.
            rows: Which of the model's boxes they are: int array of shape (k,).

        Returns:
            float64 array of shape (k, 4): x_min, y_min, x_max, y_max in shares of the input. What
            the model gave as no number, or too large, is infinite or NaN here too.
        """
        boxes = raw.astype(np.float64)
        with np.errstate(all="ignore"):
            if self._anchors is not None:
                boxes /= self._scale
            if self._swapped:
                boxes = boxes[:, [1, 0, 3, 2]]
            if self._anchors is not None:
                near = self._anchors[rows]
                boxes[:, :2] = boxes[:, :2] * near[:, 2:] + near[:, :2]
                boxes[:, 2:] = np.exp(boxes[:, 2:]) * near[:, 2:]
            if not isinstance(self._table, CornerBoxes):
                half = boxes[:, 2:] / 2
                boxes = np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])
            return np.asarray(boxes / self._size)


def overlaps(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the intersection over union of one box (4,) and others (k, 4), none empty."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.prod(np.maximum(sides, 0.0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(common / (areas + np.prod(box[2:] - box[:2]) - common))


def suppress(
    boxes: NDArray[np.float64], classes: NDArray[np.intp], iou_threshold: float, count: int
) -> list[int]:
    """Non-maximum suppression, class by class: drops a box that overlaps a better one of its class.

    Args:
        boxes: float64 array of shape (k, 4), best first: x_min, y_min, x_max, y_max; none empty.
        classes: int array of shape (k,).
        iou_threshold: Intersection over union above which two boxes are of one thing.
        count: Most boxes that are kept.

    Returns:
        The rows that are kept, best first. The work is at most ``count`` by k.
    """
    left = np.arange(len(boxes))
    kept: list[int] = []
    while left.size and len(kept) < count:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        same = overlaps(boxes[best], boxes[left]) > iou_threshold
        left = left[~(same & (classes[left] == classes[best]))]
    return kept
