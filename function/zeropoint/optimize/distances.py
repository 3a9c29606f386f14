"""How far apart the numbers of two models are: vectors, and values of any shape."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeropoint.tasks import Prediction

COSINE = "mean cosine"
RELATIVE = "mean relative error"
_LEAST = 1e-12


def cosines(original: Sequence[Prediction], candidate: Sequence[Prediction]) -> dict[str, float]:
    """Compares the directions of vectors."""
    found = np.array([_cosine(*pair) for pair in zip(original, candidate, strict=True)])
    return {COSINE: float(found.mean()), "least cosine": float(found.min())}


def relative(original: Sequence[Prediction], candidate: Sequence[Prediction]) -> dict[str, float]:
    """Compares numbers: an output's error is relative to how large the output is over all."""
    errors: list[NDArray[np.float64]] = []
    known, got = (list(map(_values, told)) for told in (original, candidate))
    for key in known[0]:
        pairs = [(a[key], b[key]) for a, b in zip(known, got, strict=True)]
        if np.asarray(pairs[0][0]).dtype.kind not in "fiub":  # texts: the same or not
            errors.append(np.array([a != b for a, b in pairs], np.float64))
            continue
        numbers = np.concatenate([np.ravel(np.asarray(a, np.float64)) for a, _ in pairs])
        numbers = numbers[np.isfinite(numbers)]
        size = float(np.sqrt(np.mean(numbers**2))) if numbers.size else 0.0
        roots = np.array([_root_mean_square(apart(a, b)) for a, b in pairs])
        errors.append(roots / max(size, _LEAST))
    together = np.concatenate(errors)
    return {RELATIVE: float(together.mean()), "max relative error": float(together.max())}


def _values(prediction: Prediction) -> dict[str, Any]:
    """Returns a prediction's values by name; of a regressor's all but the unit."""
    if "values" in prediction and isinstance(prediction["values"], dict):
        return dict(prediction["values"])
    if "value" in prediction and not isinstance(prediction["value"], list):
        return {"value": prediction["value"]}
    return dict(prediction)


def _root_mean_square(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(errors**2))) if errors.size else 0.0


def apart(original: Any, candidate: Any) -> NDArray[np.float64]:
    """Returns absolute differences, 0 where both are the same infinity or no number.

    Raises:
        ValueError: arrays of different shapes.
    """
    a, b = np.asarray(original, np.float64), np.asarray(candidate, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"expected values of shape {a.shape}, got {b.shape}")
    with np.errstate(invalid="ignore"):
        return np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b)).ravel()


def _cosine(original: Prediction, candidate: Prediction) -> float:
    a, b = (np.array(one["embedding"], np.float64) for one in (original, candidate))
    norms = max(float(np.linalg.norm(a) * np.linalg.norm(b)), _LEAST)
    return float(a @ b) / norms if a.any() or b.any() else 1.0
