"""Figures of agreement: of classifiers, detectors, vectors and numbers."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeropoint.optimize.agreement import compare, drop, metric_of
from zeropoint.optimize.classes import auc

NAMES = "abcdefgh"


def told(*scores: float) -> dict[str, Any]:
    """Returns the prediction of a photo's classifier."""
    best = sorted(range(len(scores)), key=lambda index: -scores[index])
    top = [{"label": NAMES[i], "probability": scores[i], "index": i} for i in best]
    return {"label": top[0]["label"], "probability": top[0]["probability"], "top": top}


def row(label: str, second: float) -> dict[str, Any]:
    """Returns the prediction of a classifier of rows with the labels no and yes."""
    return {"label": label, "probability": 0.5, "probabilities": {"no": 1 - second, "yes": second}}


def photo(*found: tuple[str, float, tuple[int, int, int, int]]) -> dict[str, Any]:
    """Returns the prediction of a detector."""
    rows = [{"label": a, "score": b, "box": list(c), "index": 0} for a, b, c in found]
    return {"detections": rows, "width": 100, "height": 100}


def test_a_classifier_is_compared_by_its_best_labels() -> None:
    original = [told(0.6, 0.4, 0, 0, 0, 0), told(0.1, 0.2, 0.3, 0.2, 0.1, 0.1)]
    candidate = [told(0.6, 0.4, 0, 0, 0, 0), told(0.3, 0.2, 0.2, 0.1, 0.1, 0.1)]
    figures = compare("image-classification", original, candidate)
    assert figures["top-1 agreement"] == 0.5
    assert figures["top-5 agreement"] == 1.0
    assert figures["max error"] == pytest.approx(0.2)
    assert figures["mean error"] == pytest.approx(0.4 / 12)
    assert drop("top-1 agreement", figures) == 50.0


def test_labels_may_be_names_or_numbers_or_unknown() -> None:
    original = [told(0.9, 0.1, 0), told(0.9, 0.1, 0), told(0.9, 0.1, 0)]
    candidate = [told(0.9, 0.1, 0), told(0.1, 0.9, 0), told(0.1, 0.9, 0)]
    figures = compare("image-classification", original, candidate, ["a", 0, None])
    assert figures["accuracy"] == 0.5
    assert figures["accuracy of the original"] == 1.0
    assert drop("accuracy", figures) == 50.0
    assert metric_of("image-classification", ["a", 0, None], 3) == "top-1 agreement"
    assert metric_of("image-classification", ["a", 0, 1], 3) == "accuracy"


def test_two_classes_with_labels_have_an_auc() -> None:
    labels: list[str | int | None] = ["yes", "no", "yes", 0]
    original = [row("yes", 0.9), row("no", 0.1), row("yes", 0.8), row("no", 0.2)]
    candidate = [row("yes", 0.9), row("no", 0.1), row("no", 0.3), row("no", 0.3)]
    figures = compare("tabular-classification", original, candidate, labels)
    assert figures["AUC of the original"] == 1.0
    assert figures["AUC"] == pytest.approx(3.5 / 4)
    assert figures["accuracy"] == 0.75
    assert metric_of("tabular-classification", ["yes", "no"], 2) == "AUC"
    text = [told(0.2, 0.8), told(0.7, 0.3), told(0.4, 0.6), told(0.6, 0.4)]
    assert compare("text-classification", text, text, [1, 0, 1, 0])["AUC"] == 1.0


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
def test_the_auc_is_how_often_a_positive_is_above(rows: list[tuple[int, bool]]) -> None:
    scores, positive = (np.array(column) for column in zip(*rows, strict=True))
    pairs = [(a, b) for a in scores[positive] for b in scores[~positive]]
    wanted = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
    assert auc(scores.astype(float), positive) == pytest.approx(wanted)


def test_boxes_match_by_label_and_overlap() -> None:
    original = [photo(("cat", 0.9, (0, 0, 10, 10)), ("dog", 0.8, (50, 50, 60, 60))), photo()]
    moved = [photo(("cat", 0.7, (0, 0, 10, 8)), ("cat", 0.5, (0, 0, 10, 9))), photo()]
    figures = compare("object-detection", original, moved)
    assert figures["F1 of boxes"] == pytest.approx(2 / 4)
    assert figures["mean IoU"] == pytest.approx(0.8)
    assert figures["max error"] == pytest.approx(0.2)
    assert drop("F1 of boxes", figures) == pytest.approx(50.0)
    assert compare("object-detection", [photo()], [photo()])["F1 of boxes"] == 1.0


def test_vectors_are_compared_by_their_direction() -> None:
    original = [{"embedding": [1.0, 0.0]}, {"embedding": [0.0, 2.0]}]
    candidate = [{"embedding": [3.0, 0.0]}, {"embedding": [2.0, 0.0]}]
    figures = compare("text-embedding", original, candidate)
    assert figures == {"mean cosine": 0.5, "least cosine": 0.0}
    assert drop("mean cosine", figures) == 50.0


def test_numbers_are_compared_with_the_size_of_the_output() -> None:
    original = [{"value": 3.0, "unit": "m"}, {"value": -3.0, "unit": "m"}]
    candidate = [{"value": 3.0, "unit": "m"}, {"value": -3.3, "unit": "m"}]
    figures = compare("tabular-regression", original, candidate)
    assert figures["mean relative error"] == pytest.approx(0.05)
    assert figures["max relative error"] == pytest.approx(0.1)
    assert drop("mean relative error", figures) == pytest.approx(5.0)
    several = [{"values": {"x": 1.0, "y": 2.0}}]
    assert compare("tabular-regression", several, several)["max relative error"] == 0.0


def test_tensors_of_any_kind_are_compared() -> None:
    original = [{"y": [[1.0, 2.0], [3.0, 4.0]], "name": ["a"], "flag": [True], "none": []}]
    assert compare("tensor", original, original)["max relative error"] == 0.0
    other = [{**original[0], "name": ["b"]}]
    assert compare("tensor", original, other)["max relative error"] == 1.0
    with pytest.raises(ValueError, match="expected values of shape"):
        compare("tensor", original, [{**original[0], "y": [[1.0, 2.0]]}])


def test_a_number_that_is_none_is_an_error_unless_the_original_has_it_too() -> None:
    original = [{"y": [1.0, math.nan, math.inf]}]
    assert compare("tensor", original, original)["max relative error"] == 0.0
    figures = compare("tensor", original, [{"y": [math.nan, math.nan, math.inf]}])
    assert math.isnan(figures["mean relative error"])
    assert math.isnan(drop("mean relative error", figures))


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=8))
def test_a_model_agrees_with_itself(scores: list[list[float]]) -> None:
    told_twice = [told(*one) for one in scores]
    figures = compare("image-classification", told_twice, told_twice)
    assert figures == {"top-1 agreement": 1.0, "max error": 0.0, "mean error": 0.0}
