"""How much two classifiers agree with each other, and with labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeropoint.optimize.distances import apart
from zeropoint.tasks import Prediction

ACCURACY = "accuracy"
AUC = "AUC"
TOP_1 = "top-1 agreement"
TOP_5 = "top-5 agreement"
# Added to a figure's name for what the original has.
OF_ORIGINAL = " of the original"
_FIVE = 5

Label = str | int


def count(prediction: Prediction) -> int:
    """Returns how many classes a prediction tells; 0 if it is none of a classifier."""
    return len(_probabilities(prediction)) if isinstance(prediction, dict) else 0


def compare(
    original: Sequence[Prediction],
    candidate: Sequence[Prediction],
    labels: Sequence[Label | None],
) -> dict[str, float]:
    """Compares two classifiers' predictions, and each with the labels that are known."""
    pairs = list(zip(original, candidate, strict=True))
    figures = {TOP_1: float(np.mean([a["label"] == b["label"] for a, b in pairs]))}
    if count(original[0]) > _FIVE:
        figures[TOP_5] = float(np.mean([a["label"] in _best(b, _FIVE) for a, b in pairs]))
    errors = np.concatenate([_errors(a, b) for a, b in pairs])
    figures |= {"max error": float(errors.max()), "mean error": float(errors.mean())}
    known = [row for row, label in enumerate(labels) if label is not None]
    for ending, told in (("", candidate), (OF_ORIGINAL, original)):
        if known:
            right = [_is(told[row], labels[row]) for row in known]
            figures[ACCURACY + ending] = float(np.mean(right))
        if len(known) == len(labels) and count(original[0]) == 2:
            second = [list(_probabilities(one).items())[1] for one in _in_order(told)]
            positive = [label in (1, name) for label, (name, _) in zip(labels, second, strict=True)]
            if len(set(positive)) == 2:
                scores = np.array([score for _, score in second], np.float64)
                figures[AUC + ending] = auc(scores, np.array(positive))
    return figures


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Returns the area under the ROC curve: how often a positive has the higher score.

    Args:
        scores: (n,); equal ones count one half.
        positive: (n,), both kinds among them.
    """
    if np.isnan(scores).any():
        return float("nan")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    of_positives, of_others = int(positive.sum()), int((~positive).sum())
    least = of_positives * (of_positives + 1) / 2
    return float((ranks[positive].sum() - least) / (of_positives * of_others))


def _probabilities(prediction: dict[str, Any]) -> dict[str, float]:
    if "top" in prediction:
        return {one["label"]: one["probability"] for one in prediction["top"]}
    found: dict[str, float] = prediction.get("probabilities", {})
    return found


def _in_order(told: Sequence[Prediction]) -> list[Prediction]:
    """Returns predictions whose classes stand in the model's order, not the best first."""
    return [
        {"top": sorted(one["top"], key=lambda row: int(row["index"]))} if "top" in one else one
        for one in told
    ]


def _best(prediction: Prediction, count: int) -> list[str]:
    found = _probabilities(prediction)
    return sorted(found, key=lambda label: -found[label])[:count]


def _errors(original: Prediction, candidate: Prediction) -> NDArray[np.float64]:
    """Returns how far apart the probabilities of the labels that the original tells are."""
    known, got = _probabilities(original), _probabilities(candidate)
    return apart(list(known.values()), [got.get(label, 0.0) for label in known])


def _is(prediction: Prediction, label: Label | None) -> bool:
    if isinstance(label, str):
        return bool(prediction["label"] == label)
    if "top" in prediction:
        return bool(prediction["top"][0]["index"] == label)
    names = list(prediction["probabilities"])
    return prediction["label"] in names and names.index(prediction["label"]) == label
