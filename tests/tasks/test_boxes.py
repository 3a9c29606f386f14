"""Tests of a detector's boxes: anchors, the three formats, and non-maximum suppression."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zeropoint.tasks import anchors
from zeropoint.tasks.anchors import Anchors
from zeropoint.tasks.boxes import Boxes, Decoder, overlaps, suppress

SSD: dict[str, Any] = {
    "strides": [16, 32, 64, 128, 256, 512],
    "min_scale": 0.2,
    "max_scale": 0.95,
    "aspect_ratios": [1.0, 2.0, 0.5, 3.0, 0.3333],
    "reduce_boxes_in_lowest_layer": True,
}


def generated(width: int = 300, height: int = 300, **keys: Any) -> NDArray[np.float64]:
    """Makes anchors, and checks that they are as many as was said."""
    table = msgspec.convert(SSD | keys, Anchors)
    made = anchors.generate(table, width, height)
    assert made.shape == (anchors.count(table, width, height), 4)
    return made


def decoded(table: dict[str, Any], rows: list[list[float]]) -> list[list[float]]:
    """Returns the corners that a manifest's [boxes] makes of rows, for an input of 300 by 200."""
    boxes: Boxes = msgspec.convert(table, Boxes)
    raw = np.array(rows, np.float32)
    corners = Decoder(boxes, 300, 200).corners(raw, np.arange(len(rows)))
    return [[round(float(one), 6) for one in row] for row in corners]


# Anchors


def test_the_anchors_of_a_mobilenet_ssd_are_1917() -> None:
    made = generated()
    assert len(made) == 19 * 19 * 3 + (10 * 10 + 5 * 5 + 3 * 3 + 2 * 2 + 1) * 6 == 1917
    first, second, third = made[:3]
    assert first == pytest.approx([0.5 / 19, 0.5 / 19, 0.1, 0.1])
    assert second == pytest.approx([0.5 / 19, 0.5 / 19, 0.2 * 2**0.5, 0.2 / 2**0.5])
    assert third == pytest.approx([0.5 / 19, 0.5 / 19, 0.2 / 2**0.5, 0.2 * 2**0.5])
    assert made[3] == pytest.approx([1.5 / 19, 0.5 / 19, 0.1, 0.1])
    assert made[19 * 3] == pytest.approx([0.5 / 19, 1.5 / 19, 0.1, 0.1])
    assert made[19 * 19 * 3] == pytest.approx([0.05, 0.05, 0.35, 0.35])
    assert made[19 * 19 * 3 + 5] == pytest.approx([0.05, 0.05, *[(0.35 * 0.5) ** 0.5] * 2])
    assert made[-6] == pytest.approx([0.5, 0.5, 0.95, 0.95])
    assert made[-1] == pytest.approx([0.5, 0.5, *[0.95**0.5] * 2])


def test_layers_of_one_stride_share_their_cells() -> None:
    strides = [8, 16, 16]
    made = generated(
        128, 64, strides=strides, aspect_ratios=[1.0], reduce_boxes_in_lowest_layer=False
    )
    assert len(made) == 16 * 8 * 2 + 8 * 4 * (2 + 2)
    cells = made[16 * 8 * 2 :].reshape(4, 8, 4, 4)
    assert cells[0, 1, :, 0] == pytest.approx([1.5 / 8] * 4)
    assert cells[2, 0, :, 1] == pytest.approx([2.5 / 4] * 4)


def test_one_layer_has_the_scale_in_the_middle() -> None:
    keys: dict[str, Any] = {"strides": [300], "reduce_boxes_in_lowest_layer": False}
    made = generated(**keys, aspect_ratios=[1.0], interpolated_scale_aspect_ratio=0.0)
    assert made.tolist() == [[0.5, 0.5, 0.575, 0.575]]


@given(
    strides=st.lists(st.integers(1, 64), min_size=1, max_size=5),
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    reduced=st.booleans(),
    interpolated=st.sampled_from([0.0, 1.0]),
)
@settings(max_examples=50, deadline=None)
def test_anchors_are_counted_right_and_lie_on_the_photo(
    strides: list[int], size: tuple[int, int], reduced: bool, interpolated: float
) -> None:
    made = generated(
        *size,
        strides=strides,
        reduce_boxes_in_lowest_layer=reduced,
        interpolated_scale_aspect_ratio=interpolated,
    )
    assert ((made[:, :2] > 0) & (made[:, :2] < 1)).all()
    assert (made[:, 2:] > 0).all()


# Formats


def test_centres_in_pixels_become_corners_in_shares() -> None:
    table = {"format": "centre", "unit": "pixels"}
    assert decoded(table, [[150, 100, 30, 20]]) == [[0.45, 0.45, 0.55, 0.55]]


def test_centres_in_shares_become_corners_in_shares() -> None:
    table = {"format": "centre", "unit": "fractions"}
    assert decoded(table, [[0.5, 0.25, 0.5, 0.5]]) == [[0.25, 0.0, 0.75, 0.5]]


@pytest.mark.parametrize(("order", "row"), [("xy", [30, 40, 60, 100]), ("yx", [40, 30, 100, 60])])
def test_corners_may_be_in_either_order(order: str, row: list[float]) -> None:
    table = {"format": "corners", "unit": "pixels", "order": order}
    assert decoded(table, [row]) == [[0.1, 0.2, 0.2, 0.5]]


def test_an_anchor_is_moved_and_scaled() -> None:
    one: dict[str, Any] = {
        "strides": [300],
        "min_scale": 0.4,
        "max_scale": 0.4,
        "aspect_ratios": [1.0],
    }
    one["interpolated_scale_aspect_ratio"] = 0.0
    table = {"format": "anchors", "anchors": one}
    log2 = float(np.log(2.0))
    assert decoded(table, [[0, 0, 0, 0]]) == [[0.3, 0.3, 0.7, 0.7]]
    # A tenth of its height down, half of its width left; twice as wide, half as high.
    moved = decoded(table, [[1, -5, -5 * log2, 5 * log2]])
    assert moved == [pytest.approx([-0.1, 0.44, 0.7, 0.64])]
    other = table | {"order": "xy", "scale": [1.0, 1.0, 1.0, 1.0]}
    assert decoded(other, [[-0.5, 0.1, log2, -log2]]) == moved


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_what_is_no_number_is_decoded_without_a_warning(value: float) -> None:
    for table in (
        {"format": "corners", "unit": "pixels"},
        {"format": "centre", "unit": "fractions"},
        {"format": "anchors", "anchors": SSD},
    ):
        assert len(decoded(table, [[value] * 4])) == 1


@pytest.mark.parametrize(
    "table",
    [
        {"format": "yolo"},
        {"unit": "pixels"},
        {"format": "centre"},
        {"format": "centre", "unit": "inches"},
        {"format": "corners", "unit": "pixels", "order": "xyxy"},
        {"format": "corners", "unit": "pixels", "anchors": SSD},
        {"format": "anchors"},
        {"format": "anchors", "anchors": SSD, "scale": [0.0, 1.0, 1.0, 1.0]},
        {"format": "anchors", "anchors": SSD | {"strides": []}},
        {"format": "anchors", "anchors": SSD | {"strides": [0]}},
        {"format": "anchors", "anchors": SSD | {"aspect_ratios": [0.0]}},
    ],
)
def test_a_table_with_other_keys_or_values_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, Boxes)


# Suppression


def test_overlap_is_the_intersection_over_the_union() -> None:
    box = np.array([0.0, 0.0, 2.0, 2.0])
    others = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [0, 0, 1, 1], [2, 0, 4, 2], [5, 5, 6, 6.0]])
    assert overlaps(box, others).tolist() == pytest.approx([1, 1 / 3, 1 / 4, 0, 0])


def reference(
    boxes: list[list[float]], classes: list[int], threshold: float, count: int
) -> list[int]:
    """Non-maximum suppression, pair by pair."""
    kept: list[int] = []
    for row, (x_min, y_min, x_max, y_max) in enumerate(boxes):
        for better in kept:
            left, top, right, bottom = boxes[better]
            width = min(x_max, right) - max(x_min, left)
            height = min(y_max, bottom) - max(y_min, top)
            common = max(width, 0.0) * max(height, 0.0)
            areas = (x_max - x_min) * (y_max - y_min) + (right - left) * (bottom - top)
            if classes[row] == classes[better] and common / (areas - common) > threshold:
                break
        else:
            kept.append(row)
    return kept[:count]


@st.composite
def some_boxes(draw: st.DrawFn) -> list[list[float]]:
    """Draws boxes on a small grid, so that many overlap and some are equal."""
    corner, side = st.integers(0, 12), st.integers(1, 8)
    rows = draw(st.lists(st.tuples(corner, corner, side, side), max_size=40))
    return [[float(x), float(y), float(x + w), float(y + h)] for x, y, w, h in rows]


@given(
    boxes=some_boxes(),
    classes=st.lists(st.integers(0, 2), min_size=40, max_size=40),
    threshold=st.floats(0, 1),
    count=st.integers(1, 40),
)
@settings(max_examples=300, deadline=None)
def test_suppression_keeps_what_the_textbook_keeps(
    boxes: list[list[float]], classes: list[int], threshold: float, count: int
) -> None:
    array = np.array(boxes, np.float64).reshape(-1, 4)
    kinds = np.array(classes[: len(boxes)], np.intp)
    assert suppress(array, kinds, threshold, count) == reference(boxes, classes, threshold, count)
