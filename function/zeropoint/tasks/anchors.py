"""The manifest's [boxes.anchors] table: the boxes that an SSD model corrects instead of guessing.

The keys are those of MediaPipe's SsdAnchorsCalculator, and so is the order of the anchors.
"""

import itertools
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Stride = Annotated[int, Meta(ge=1, le=8192)]
Positive = Annotated[float, Meta(gt=0.0, le=100.0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]


class Anchors(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The [boxes.anchors] table: a grid of anchors for each layer, sizes in shares of the input."""

    strides: Annotated[list[Stride], Meta(min_length=1, max_length=64)]  # pixels, of each layer
    min_scale: Positive  # of the first layer; those between lie at even distances
    max_scale: Positive  # of the last layer
    aspect_ratios: Annotated[list[Positive], Meta(max_length=64)]  # width by height
    # One more anchor has this ratio, and a scale between its layer's and the next; 0: none has.
    interpolated_scale_aspect_ratio: Annotated[float, Meta(ge=0.0, le=100.0)] = 1.0
    reduce_boxes_in_lowest_layer: bool = False  # to three: the first layer has most cells
    anchor_offset_x: Fraction = 0.5  # of a cell
    anchor_offset_y: Fraction = 0.5


def count(table: Anchors, width: int, height: int) -> int:
    """Returns how many anchors `generate` makes, without making them."""
    sizes = _sizes(table)
    return sum(
        -(-width // stride) * -(-height // stride) * len(layer)
        for stride, layer in zip(table.strides, sizes, strict=True)
    )


def generate(table: Anchors, width: int, height: int) -> NDArray[np.float64]:
    """Makes the anchors of a model.

    Args:
        table: The manifest's [boxes.anchors].
        width: Of the model's input, in pixels.
        height: Likewise.

    Returns:
        float64 array of shape (anchors, 4): the centre's x and y, width and height, in shares of
        the input. By layer, row, column and ratio; layers of one stride share their cells.
    """
    grids = []
    layers = zip(table.strides, _sizes(table), strict=True)
    for stride, group in itertools.groupby(layers, key=lambda layer: layer[0]):
        columns, rows = -(-width // stride), -(-height // stride)
        sizes = np.array([size for _, layer in group for size in layer], np.float64)
        grid = np.empty((rows, columns, len(sizes), 4))
        grid[..., 0] = ((np.arange(columns) + table.anchor_offset_x) / columns)[None, :, None]
        grid[..., 1] = ((np.arange(rows) + table.anchor_offset_y) / rows)[:, None, None]
        grid[..., 2:] = sizes
        grids.append(grid.reshape(-1, 4))
    return np.concatenate(grids)


def _sizes(table: Anchors) -> list[list[tuple[float, float]]]:
    """Returns for each layer the width and height of the anchors of one cell."""
    scales = _scales(table)
    interpolated = table.interpolated_scale_aspect_ratio
    layers = []
    for number, scale in enumerate(scales):
        shapes = [(scale, ratio) for ratio in table.aspect_ratios]
        if number == 0 and table.reduce_boxes_in_lowest_layer:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        elif interpolated:
            following = scales[number + 1] if number + 1 < len(scales) else 1.0
            shapes.append(((scale * following) ** 0.5, interpolated))
        layers.append([(size * ratio**0.5, size / ratio**0.5) for size, ratio in shapes])
    return layers


def _scales(table: Anchors) -> list[float]:
    if len(table.strides) == 1:
        return [(table.min_scale + table.max_scale) / 2]
    scales: list[float] = np.linspace(table.min_scale, table.max_scale, len(table.strides)).tolist()
    return scales
