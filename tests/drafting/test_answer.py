"""What of an answer another machine may be expected to repeat."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeropoint.drafting import answer
from zeropoint.errors import ManifestError


def labelled(first: float, second: float) -> dict[str, Any]:
    probabilities = {"a": first, "b": second}
    return {"label": "a", "probability": first, "probabilities": probabilities}


def test_a_label_and_its_probability() -> None:
    found = answer.expect("tabular-classification", labelled(0.71234, 0.28766))
    assert found == {"label": "a", "probability": 0.7123, "tolerance": 0.001}


def test_a_label_is_left_out_where_another_is_as_probable() -> None:
    found = answer.expect("tabular-classification", labelled(0.5004, 0.4996))
    assert found == {"probability": 0.5004, "tolerance": 0.001}


def test_boxes_are_told_without_their_corners() -> None:
    box = {"label": "cat", "score": 0.87654, "box": [1.0, 2.0, 3.0, 4.0], "index": 3}
    found = answer.expect("object-detection", {"detections": [box], "width": 9, "height": 9})
    assert found == {"detections": [{"label": "cat", "score": 0.877}], "tolerance": 0.02}


def test_what_is_no_number_is_left_out() -> None:
    found = answer.expect("tensor", {"a": [1.0, math.nan], "b": [2.0], "c": None})
    assert found == {"b": [2.0], "tolerance": 0.002}


def test_of_many_numbers_the_fewest_are_told() -> None:
    found = answer.expect("tensor", {"a": [1.0] * 9_000, "b": [1.0] * 3_000})
    assert found.keys() == {"b", "tolerance"}


@pytest.mark.parametrize("value", [[math.inf], None, [0.5] * 20_001])
def test_nothing_that_can_be_repeated_is_told(value: Any) -> None:
    with pytest.raises(ManifestError, match="--input"):
        answer.expect("tensor", {"y": value})


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_is_expected_within_its_tolerance(value: float) -> None:
    found = answer.expect("tabular-regression", {"value": value, "unit": "m"})
    assert abs(found["value"] - value) <= 0.1 * found["tolerance"]
    assert found["tolerance"] > 0.0
