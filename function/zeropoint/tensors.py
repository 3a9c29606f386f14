"""What a forward pass takes and gives: named arrays, and the specification of each."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]


class TensorSpec(NamedTuple):
    """An input or output of a model; a dimension is a number, or None where it varies."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        dims = ", ".join("?" if dim is None else str(dim) for dim in self.shape)
        return f"{self.name}: {self.dtype}[{dims}]"


def from_json(value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Makes a number or text, or lists of them, an array; a value is kept, or refused.

    Args:
        value: As JSON has it: ``[[1, 2], [3, 4]]``.
        dtype: Numbers of any kind, bool, or object for texts.

    Raises:
        ValueError: a ragged list, or a value that the dtype cannot hold; its text says which, in
            words that follow "got".
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError("a ragged list") from None
    if array.size == 0 and array.dtype.kind == "f":
        return array.astype(dtype)
    kinds = {"b": "b", "f": "fiu", "i": "iu", "u": "iu", "O": "U"}[dtype.kind]
    if dtype.kind in "iu" and array.dtype.kind in "fO":
        # NumPy has no integers that hold numbers below 0 and above 2**63 at once.
        exact = np.asarray(value, np.object_)
        if all(isinstance(one, int) for one in exact.flat):
            array, kinds = exact, "O"
    if array.dtype.kind not in kinds:
        raise ValueError("values of another type")
    if dtype.kind in "iu":
        range_ = np.iinfo(dtype)
        if array.min() < range_.min or array.max() > range_.max:
            raise ValueError("a number out of range")
    try:
        with np.errstate(over="raise"):
            return array.astype(dtype)
    except FloatingPointError:
        raise ValueError("a number out of range") from None
