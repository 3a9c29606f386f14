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
