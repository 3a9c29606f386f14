"""How much a candidate's predictions agree with the original's, and with labels."""

from collections.abc import Mapping, Sequence

from zeropoint.optimize import classes, detections, distances, perplexity
from zeropoint.optimize.classes import ACCURACY, AUC, OF_ORIGINAL, TOP_1, Label
from zeropoint.optimize.distances import COSINE, RELATIVE
from zeropoint.optimize.perplexity import PERPLEXITY
from zeropoint.tasks import Prediction

_METRICS = {
    "image-classification": TOP_1,
    "object-detection": detections.F1,
    "tabular-classification": TOP_1,
    "tabular-regression": RELATIVE,
    "tensor": RELATIVE,
    "text-classification": TOP_1,
    "text-embedding": COSINE,
    "text-generation": PERPLEXITY,
}

_DIGITS = 6  # of a drop: those behind come from fractions that bits cannot hold

Figures = dict[str, float]


def metric_of(
    task_name: str, labels: Sequence[Label | None] | None = None, class_count: int = 0
) -> str:
    """Returns the figure that a gate is about.

    Args:
        task_name: The model's.
        labels: Of the samples. If each has one, they are what counts, and not the original.
        class_count: How many the model knows.
    """
    metric = _METRICS[task_name]
    if metric != TOP_1 or not labels or None in labels:
        return metric
    return AUC if class_count == 2 and len(set(labels)) == 2 else ACCURACY


def compare(
    task_name: str,
    original: Sequence[Prediction],
    candidate: Sequence[Prediction],
    labels: Sequence[Label | None] | None = None,
) -> Figures:
    """Compares two models' predictions for the same instances.

    Args:
        task_name: Theirs.
        original: A prediction for each instance; a classifier's with as many labels as it tells.
        candidate: Likewise.
        labels: What is right for each instance, or None where nobody knows.

    Returns:
        Figures by name. NaN where a candidate has no number and the original has one.
    """
    metric = _METRICS[task_name]
    if metric == detections.F1:
        return detections.compare(original, candidate)
    if metric == COSINE:
        return distances.cosines(original, candidate)
    if metric == RELATIVE:
        return distances.relative(original, candidate)
    if metric == PERPLEXITY:
        return perplexity.compare(original, candidate)
    return classes.compare(original, candidate, labels or [None] * len(original))


def drop(metric: str, figures: Mapping[str, float]) -> float:
    """Returns how much worse than the original a candidate is, in points of a hundred.

    A hundredth of a share, of a cosine, of a relative error or of the original's perplexity is a
    point.
    """
    of_original = figures.get(metric + OF_ORIGINAL, 1.0)
    lost = of_original - figures[metric]
    if metric == RELATIVE:
        lost = figures[metric]
    elif metric == PERPLEXITY:  # the less, the better
        lost = -lost / of_original
    return round(100.0 * lost, _DIGITS)
