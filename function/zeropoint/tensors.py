"""What a forward pass takes and gives: named arrays, and the specification of each."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from zeropoint.errors import InvalidError

Tensors = dict[str, NDArray[Any]]

# What lists in JSON may hold, for each kind of dtype.
_HELD: dict[str, set[type]] = {"b": {bool}, "f": {float, int}, "i": {int}, "u": {int}, "O": {str}}


class TensorSpec(NamedTuple):
    """An input or output of a model; a dimension is a number, or None where it varies."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    pixels: bool = False  # whether a forward pass takes it as uint8, before its normalisation

    def __str__(self) -> str:
        dims = ", ".join("?" if dim is None else str(dim) for dim in self.shape)
        return f"{self.name}: {self.dtype}[{dims}]"


class Pixels(msgspec.Struct, frozen=True):
    """How pixels are normalised: x = (pixel - mean) / std, with a value for each channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels_first: bool

    @classmethod
    def from_json(cls, text: str) -> "Pixels":
        """Reads what `to_json` gave.

        Raises:
            ValueError: it is something else.
        """
        return msgspec.json.decode(text, type=cls)

    def to_json(self) -> str:
        """Returns it as a text."""
        return msgspec.json.encode(self).decode()

    def of(self, normalised: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Returns the pixels that were normalised; where they were none, the nearest.

        Args:
            normalised: float32 array of shape (n, 3, H, W) or (n, H, W, 3).
        """
        shape = (1, 3, 1, 1) if self.channels_first else (1, 1, 1, 3)
        mean, std = (np.array(one, np.float32).reshape(shape) for one in (self.mean, self.std))
        near = np.fmax(np.fmin(np.rint(normalised * std + mean), 255), 0)  # also of what is NaN
        found: NDArray[np.uint8] = near.astype(np.uint8)
        return found


def refuse_misfits(tensors: Tensors, inputs: Sequence[TensorSpec]) -> None:
    """Refuses arrays that are not of the names, dtypes and shapes of a model's inputs.

    Raises:
        InvalidError: they are not.
    """
    if tensors.keys() != {spec.name for spec in inputs}:
        raise InvalidError(f"expected the inputs {'; '.join(map(str, inputs))}, got other names")
    for spec in inputs:
        tensor = tensors[spec.name]
        dims = zip(spec.shape, tensor.shape, strict=False)
        if (
            tensor.dtype != spec.dtype
            or tensor.ndim != len(spec.shape)
            or any(wanted not in (None, got) for wanted, got in dims)
        ):
            got = TensorSpec(spec.name, tensor.dtype, tensor.shape)
            raise InvalidError(f"expected the input {spec}, got {got}")


def join(items: Sequence[Tensors], padding: Mapping[str, float]) -> Tensors:
    """Joins arrays of several items along their first axis; one alone is passed on, no copy.

    Args:
        items: Arrays by name.
        padding: For each array whose later axes may differ from item to item, what fills up the
            shorter ones.
    """
    if len(items) == 1:
        return items[0]
    joined = {}
    for name in items[0]:
        arrays = [one[name] for one in items]
        if name in padding and len({array.shape[1:] for array in arrays}) > 1:
            arrays = _filled(arrays, padding[name])
        joined[name] = np.concatenate(arrays)
    return joined


def split(joined: Tensors, counts: Sequence[int]) -> list[Tensors]:
    """Parts arrays along their first axis, into as many rows each; they are views.

    Args:
        joined: Arrays by name, each with as many rows as the counts' sum.
        counts: Of the rows of each part.
    """
    return [
        {name: array[stop - count : stop] for name, array in joined.items()}
        for count, stop in zip(counts, accumulate(counts), strict=True)
    ]


def _filled(arrays: Sequence[NDArray[Any]], value: float) -> list[NDArray[Any]]:
    longest = tuple(max(dims) for dims in zip(*(array.shape[1:] for array in arrays), strict=True))
    filled = []
    for array in arrays:
        wide = np.full((len(array), *longest), value, array.dtype)
        wide[tuple(map(slice, array.shape))] = array
        filled.append(wide)
    return filled


def from_json(value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Makes a number or text, or lists of them, an array; a value is kept, or refused.

    Args:
        value: As JSON has it: ``[[1, 2], [3, 4]]``.
        dtype: Numbers of any kind, bool, or object for texts.

    Raises:
        ValueError: a ragged list, or a value that the dtype cannot hold; its text says which, in
            words that follow "got".
    """
    lists = [value if isinstance(value, list) else [value]]  # those of one depth
    shape: list[int] = []
    while True:
        lengths = set(map(len, lists))
        if len(lengths) > 1:
            raise ValueError("a ragged list")
        shape += lengths
        # Looked at before NumPy does, which makes one long text among numbers a text of each.
        types = set(map(type, chain.from_iterable(lists)))
        if types != {list}:
            break
        lists = list(chain.from_iterable(lists))
    if list in types:
        raise ValueError("a ragged list")
    if not types <= _HELD[dtype.kind]:
        raise ValueError("values of another type")
    try:
        with np.errstate(over="raise"):
            read = np.float64 if dtype.kind == "f" else dtype
            array = np.fromiter(chain.from_iterable(lists), read, math.prod(shape))
            array = array.astype(dtype, copy=False)
    except (OverflowError, FloatingPointError):
        raise ValueError("a number out of range") from None
    return array.reshape(shape if isinstance(value, list) else ())
