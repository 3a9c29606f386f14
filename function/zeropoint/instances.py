"""What a protocol hands to a task: a JSON value, or bytes with what is known of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Blob(NamedTuple):
    """Bytes as they came, and the media type that the caller gave them, in lower case."""

    data: bytes
    media_type: str = ""


class Column(NamedTuple):
    """A column of a table: its different values, and for each row the place of its own.

    ``codes`` is an int array of shape (rows,). A value that is missing is None.
    """

    values: list[Any]
    codes: NDArray[np.integer[Any]]

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "Column":
        """Returns rows as a column.

        Raises:
            TypeError: a row's value cannot be a key, as a list.
        """
        keys = list(zip(map(type, rows), rows, strict=True))  # as 1 and true are equal
        known = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        codes = np.fromiter(map(known.__getitem__, keys), np.int64, len(keys))
        return cls([value for _, value in known], codes)

    def rows(self) -> list[Any]:
        """Returns each row's value."""
        return [self.values[code] for code in self.codes.tolist()]


class _Null:
    """The one value of its kind, as None may be an instance that a caller sent."""


# An instance that is none, as SQL's NULL: its prediction is None.
NULL = _Null()

# A Blob, or a JSON value: what a task takes is its own to say.
Instance = Any
