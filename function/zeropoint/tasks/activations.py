"""What makes a model's scores probabilities."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Activation = Literal["softmax", "sigmoid", "none"]


def activate(scores: NDArray[Any], activation: Activation) -> NDArray[Any]:
    """Returns scores after their activation; what is infinite or NaN raises and warns of nothing.

    Args:
        scores: Float array of shape (..., classes).
        activation: ``softmax`` is over the last axis.

    Returns:
        An array of that shape, of float32 or wider.
    """
    scores = scores.astype(np.result_type(scores.dtype, np.float32), copy=False)
    if activation == "softmax":
        with np.errstate(all="ignore"):
            powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
    if activation == "sigmoid":
        return np.asarray(0.5 * (np.tanh(0.5 * scores) + 1.0))  # never overflows
    return scores
