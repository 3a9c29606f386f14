"""Rows all at once: a table's columns become what its rows become, one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.test_tabular import ROWS, VALUES, spec, table
from zeropoint.errors import InvalidError
from zeropoint.instances import Column

_LAYOUTS: list[list[Any]] = [
    [spec("x", "float32", None, 4)],
    [
        spec("age", "int64", None, 1),
        spec("height", "float64", None, 1),
        spec("colour", "object", None, 1),
        spec("member", "bool", None, 1),
    ],
]


@pytest.mark.parametrize("specs", _LAYOUTS, ids=["a matrix", "a column each"])
@settings(max_examples=300, deadline=None)
@given(rows=st.lists(VALUES, min_size=1, max_size=8))
def test_columns_are_read_as_their_rows_are(specs: list[Any], rows: list[dict[str, Any]]) -> None:
    reader = table(specs)
    try:
        wanted = [reader.prepare(row) for row in rows]
    except InvalidError:
        wanted = []
    try:
        columns = {one["name"]: Column.of([row[one["name"]] for row in rows]) for one in ROWS}
    except TypeError:  # a list or an object, which no feature takes
        assert not wanted
        return
    if not wanted:
        with pytest.raises(InvalidError):
            reader.prepare_columns(columns, len(rows))
        return
    found = reader.prepare_columns(columns, len(rows))
    for name, values in found.items():
        expected = np.concatenate([one[name] for one in wanted])
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected)


def test_a_column_that_is_absent_is_missing() -> None:
    reader = table(_LAYOUTS[0])
    columns = {"age": Column.of([30, 30]), "colour": Column.of(["red", "blue"])}
    found = reader.prepare_columns(columns, 2)["x"]
    np.testing.assert_array_equal(found, np.array([[30, 1.75, 0, 0], [30, 1.75, 1, 0]], "f4"))
    with pytest.raises(InvalidError, match="got another one"):
        reader.prepare_columns({**columns, "shoes": Column.of([1, 2])}, 2)


@given(st.lists(st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", 1.0])))
def test_a_column_gives_its_rows_back(rows: list[Any]) -> None:
    assert list(map(repr, Column.of(rows).rows())) == list(map(repr, rows))
