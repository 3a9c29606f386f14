"""Rows on their way: who they are, and what is asked of the model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from zeropoint.instances import Column


class Stored(NamedTuple):
    """An instance that is a file, read where it is answered."""

    uri: str  # a path, or gs://bucket/name


class Chunk(NamedTuple):
    """Rows that are answered together.

    ``instances`` has for each row a JSON value, a `Stored` or, of a row that cannot be read, the
    error; of a table it may be empty, and ``columns`` has all its rows.
    """

    ids: Sequence[str]
    instances: Sequence[Any] = ()
    columns: dict[str, Column] | None = None

    def only(self, places: Sequence[int]) -> "Chunk":
        """Returns some of its rows, by their places."""
        columns = self.columns and {
            name: column._replace(codes=column.codes[list(places)])
            for name, column in self.columns.items()
        }
        instances = [self.instances[place] for place in places] if self.instances else ()
        return Chunk([self.ids[place] for place in places], instances, columns)

    def as_columns(self) -> dict[str, Column] | None:
        """Returns its rows as a table; None where they are none."""
        if self.columns is not None:
            return self.columns
        if not all(isinstance(one, dict) for one in self.instances):
            return None
        names = dict.fromkeys(name for one in self.instances for name in one)
        try:
            return {name: Column.of([one.get(name) for one in self.instances]) for name in names}
        except TypeError:  # lists and objects
            return None

    def each(self) -> Sequence[Any]:
        """Returns an instance for each row, of a table an object with its columns by name."""
        if self.columns is None:
            return self.instances
        if not self.columns:  # of a table that has its ids and nothing else
            return [{} for _ in self.ids]
        names = list(self.columns)
        values = [column.rows() for column in self.columns.values()]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
