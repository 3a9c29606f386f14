"""The known answer: what the model says today of an input, as far as a machine may repeat it."""

import math
from collections.abc import Iterator
from typing import Any

from zeropoint.errors import ManifestError
from zeropoint.tasks import Prediction

_FEW_NUMBERS = 2_000  # of a key in a manifest, which people read
_MOST_NUMBERS = 20_000  # of the only one
# By task, how far another processor may be from what this one said; of a photo also what decoders
# and resizes of another version of Pillow make of it.
_TOLERANCES = {
    "image-classification": 0.02,
    "object-detection": 0.02,
    "tabular-classification": 0.001,
    "text-classification": 0.005,
}
_RELATIVE = 0.001  # of the largest number, where numbers may be of any size


def expect(task: str, prediction: Prediction) -> dict[str, Any]:
    """Returns what [check] expects.

    Args:
        task: The manifest's.
        prediction: The model's answer.

    Raises:
        ManifestError: nothing in the answer can be repeated.
    """
    told = _told(task, prediction)
    tolerance = _TOLERANCES.get(task) or _tolerance(told)
    if _is_tie(prediction, tolerance):
        told.pop("label", None)
    digits = max(0, 1 - math.floor(math.log10(tolerance)))
    counts = {key: _count(value) for key, value in told.items() if _is_finite(value)}
    least = min(counts.values(), default=0)
    most = _FEW_NUMBERS if least <= _FEW_NUMBERS else min(least, _MOST_NUMBERS)
    found = {key: _rounded(told[key], digits) for key, count in counts.items() if count <= most}
    if task == "text-generation":
        return found
    if not found:
        raise ManifestError(
            "expected an answer to the known answer's input whose numbers are finite and at most"
            f" {_MOST_NUMBERS}, got another: give an input of another kind or size with --input,"
            " or take another --task"
        )
    return {**found, "tolerance": tolerance}


def _told(task: str, prediction: Any) -> dict[str, Any]:
    """Returns what of a prediction says enough."""
    if task == "object-detection":
        kept = [{"label": one["label"], "score": one["score"]} for one in prediction["detections"]]
        return {"detections": kept}
    keys = {
        "image-classification": ("label", "probability"),
        "tabular-classification": ("label", "probability"),
        "text-classification": ("label", "probability", "tokens"),
        "tabular-regression": ("value", "values"),
        "text-embedding": ("tokens", "embedding"),
        "text-generation": ("text", "finish_reason"),
    }.get(task, tuple(prediction))
    return {key: prediction[key] for key in keys if key in prediction}


def _tolerance(told: dict[str, Any]) -> float:
    """Returns a round share of the largest number."""
    largest = max((abs(one) for one in _leaves(told) if isinstance(one, float)), default=1.0)
    if not 0.0 < largest < math.inf:
        return _RELATIVE
    return float(f"{largest * _RELATIVE:.0e}") or _RELATIVE


def _is_tie(prediction: Any, tolerance: float) -> bool:
    """Tells whether the two best labels are so near that another machine may swap them."""
    if not isinstance(prediction, dict):
        return False
    rows = prediction.get("probabilities", prediction.get("top"))
    if isinstance(rows, dict):
        values = sorted(rows.values(), reverse=True)
    elif isinstance(rows, list):
        values = [row["probability"] for row in rows if isinstance(row, dict)]
    else:
        return False
    return len(values) > 1 and abs(values[0] - values[1]) < 2 * tolerance


def _is_finite(value: Any) -> bool:
    return all(
        one is not None and not (isinstance(one, float) and not math.isfinite(one))
        for one in _leaves(value)
    )


def _count(value: Any) -> int:
    return sum(1 for _ in _leaves(value))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _leaves(one)
    else:
        yield value


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one, digits) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one, digits) for one in value]
    return round(value, digits) if isinstance(value, float) else value
