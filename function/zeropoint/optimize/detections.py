"""How much the boxes that two detectors find are the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zeropoint.tasks import Prediction
from zeropoint.tasks.boxes import overlaps

F1 = "F1 of boxes"
_SAME_IOU = 0.5


def compare(original: Sequence[Prediction], candidate: Sequence[Prediction]) -> dict[str, float]:
    """Compares the boxes that two detectors found in the same photos.

    Two boxes are the same if they have one label and overlap by half or more (intersection over
    union). Each has at most one partner, and the best scores choose first.

    Returns:
        The F1 of the candidate's boxes with the original's as the truth, 1 if neither found any;
        and of the boxes that are the same, their mean overlap and how far their scores are apart.
    """
    found = sum(len(one["detections"]) for one in original)
    found += sum(len(one["detections"]) for one in candidate)
    pairs = [
        pair
        for a, b in zip(original, candidate, strict=True)
        for pair in _matched(a["detections"], b["detections"])
    ]
    figures = {F1: 2.0 * len(pairs) / found if found else 1.0}
    if pairs:
        ious, errors = np.array(pairs).T
        figures |= {
            "mean IoU": float(ious.mean()),
            "max error": float(errors.max()),
            "mean error": float(errors.mean()),
        }
    return figures


def _matched(
    original: Sequence[dict[str, Any]], candidate: Sequence[dict[str, Any]]
) -> list[tuple[float, float]]:
    """Returns, for each pair of the same box, their IoU and the difference of their scores."""
    left = list(original)
    pairs = []
    for one in sorted(candidate, key=lambda box: -float(box["score"])):
        rivals = [other for other in left if other["label"] == one["label"]]
        if not rivals:
            continue
        boxes = np.array([other["box"] for other in rivals], np.float64)
        ious = overlaps(np.array(one["box"], np.float64), boxes)
        best = int(ious.argmax())
        if ious[best] >= _SAME_IOU:
            left.remove(rivals[best])
            pairs.append((float(ious[best]), abs(one["score"] - rivals[best]["score"])))
    return pairs
