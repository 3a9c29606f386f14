"""The rows of [[features]]: what each type takes, and what it makes of it for each dtype."""

import math
from typing import Any

import jsonschema_rs
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeropoint.errors import InvalidError, ManifestError
from zeropoint.tasks.features import Feature, json_schema, reader

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
CASES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"type": "number"}, "float32"),
    ({"type": "number", "minimum": 0, "maximum": 1.5}, "float64"),
    ({"type": "integer"}, "int64"),
    ({"type": "integer", "minimum": 1}, "float32"),
    ({"type": "boolean"}, "bool"),
    ({"type": "category", "categories": ["a", "1"]}, "float32"),
    ({"type": "category", "categories": ["a", "1"]}, "object"),
    ({"type": "category", "categories": [0, 0.5, 1]}, "float32"),
)


def feature(**row: Any) -> Feature:
    return msgspec.convert({"name": "f", **row}, Feature)


def read(value: Any, dtype: str = "float32", **row: Any) -> Any:
    return reader(feature(**row), np.dtype(dtype), "m")(value)


@pytest.mark.parametrize(
    ("row", "dtype", "value", "kept"),
    [
        ({"type": "number"}, "float32", 1, 1.0),
        ({"type": "number"}, "float32", -1e-300, -1e-300),
        ({"type": "number", "minimum": 0, "maximum": 1}, "float32", 1, 1.0),
        ({"type": "number", "default": math.nan}, "float32", 2.5, 2.5),
        ({"type": "integer"}, "int64", -(2**63), -(2**63)),
        ({"type": "integer"}, "int64", 3.0, 3),
        ({"type": "integer"}, "float32", 3, 3.0),
        ({"type": "boolean"}, "float32", True, 1),
        ({"type": "boolean"}, "bool", 0, 0),
        ({"type": "boolean"}, "int64", 1.0, 1),
        ({"type": "boolean"}, "int64", "False", 0),
        ({"type": "boolean", "default": False}, "int64", None, 0),
        ({"type": "category", "categories": ["b", "a"]}, "int64", "a", 1),
        ({"type": "category", "categories": ["b", "a"], "codes": [5, 7]}, "int64", "a", 7),
        ({"type": "category", "categories": ["b", "a"]}, "object", "a", "a"),
        ({"type": "category", "categories": ["a", "1"]}, "object", 1, "1"),
        ({"type": "category", "categories": ["a", "1"]}, "float32", 1.0, 1),
        ({"type": "category", "categories": ["a", "1.50"]}, "float32", 1.5, 1),
        ({"type": "category", "categories": ["1.0", "1"]}, "float32", "1", 1),
        ({"type": "category", "categories": ["a", "1e3"]}, "float32", 1000, 1),
        ({"type": "category", "categories": ["a", "9" * 5000]}, "float32", "9" * 5000, 1),
        ({"type": "category", "categories": ["a", "b"], "codes": [7, 7]}, "float32", "b", 7),
        ({"type": "category", "categories": [2**53, 2**53 + 1]}, "int64", 2**53 + 1, 2**53 + 1),
        ({"type": "number", "minimum": -(10**400)}, "float32", 2.0, 2.0),
        ({"type": "category", "categories": ["true", "a"]}, "float32", True, 0),
        ({"type": "category", "categories": ["a", "b"], "default": "b"}, "int64", None, 1),
        ({"type": "category", "categories": [0, 0.5, 1]}, "float32", 0.5, 0.5),
        ({"type": "category", "categories": [0, 0.5, 1]}, "float32", 0.0, 0),
        ({"type": "integer", "default": 7}, "int32", None, 7),
    ],
)
def test_a_value_is_kept(row: dict[str, Any], dtype: str, value: Any, kept: Any) -> None:
    assert read(value, dtype, **row) == kept


@pytest.mark.parametrize("row", [{"type": "integer"}, {"type": "category", "categories": ["a"]}])
def test_missing_may_be_nan(row: dict[str, Any]) -> None:
    assert math.isnan(read(None, **row, default=math.nan))


@pytest.mark.parametrize(
    ("row", "dtype", "value", "said"),
    [
        ({"type": "number"}, "float32", None, "expected a number, got none"),
        ({"type": "number"}, "float32", "1", "expected a number, got a text"),
        ({"type": "number"}, "float32", "NaN", "expected a number, got a text"),
        ({"type": "number"}, "float32", True, "expected a number, got true or false"),
        ({"type": "number"}, "float32", [1], "expected a number, got a list"),
        ({"type": "number"}, "float32", {}, "expected a number, got an object"),
        ({"type": "number"}, "float32", math.nan, "expected a number, got one out of range"),
        ({"type": "number"}, "float32", math.inf, "expected a number, got one out of range"),
        ({"type": "number"}, "float32", 1e39, "expected a number, got one out of range"),
        ({"type": "number"}, "float64", 10**400, "expected a number, got one out of range"),
        (
            {"type": "number", "minimum": 0, "maximum": 1},
            "float32",
            -0.1,
            "expected a number of at least 0 and at most 1, got one out of range",
        ),
        ({"type": "integer"}, "int64", 1.5, "expected an integer, got a fraction"),
        ({"type": "integer"}, "int64", 2**63, "expected an integer, got one out of range"),
        ({"type": "integer"}, "uint8", -1, "expected an integer, got one out of range"),
        ({"type": "boolean"}, "bool", 2, "expected true or false, got a number"),
        ({"type": "boolean"}, "bool", [], "expected true or false, got a list"),
        (
            {"type": "category", "categories": ["a", "b"]},
            "int64",
            "c",
            "one of a, b, got another value",
        ),
        (
            {"type": "category", "categories": ["a", "b"]},
            "int64",
            0,
            "one of a, b, got another value",
        ),
        ({"type": "category", "categories": [0, 1]}, "int64", True, "0, 1, got another value"),
        (
            {"type": "category", "categories": [0, 1]},
            "int64",
            "1",
            "one of 0, 1, got another value",
        ),
        ({"type": "category", "categories": ["a"]}, "int64", [["a"]], "one of a, got a list"),
        (
            {"type": "category", "categories": ["1.0", "1"]},
            "int64",
            1,
            "one of 1.0, 1, got another value",
        ),
    ],
)
def test_another_value_is_refused(row: dict[str, Any], dtype: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        read(value, dtype, **row)
    assert said in refusal.value.message


@given(value=JSON, case=st.sampled_from(CASES))
def test_any_value_is_kept_as_the_array_holds_it_or_refused(
    value: Any, case: tuple[dict[str, Any], str]
) -> None:
    row, dtype = case
    try:
        kept = read(value, dtype, **row)
    except InvalidError:
        return
    array = np.array([[kept]], dtype)
    assert array.dtype.kind == "O" or np.isfinite(array.astype(np.float64)).all()
    assert array.dtype.kind not in "iubO" or array[0, 0] == kept


@given(value=JSON, case=st.sampled_from(CASES))
def test_what_the_schema_allows_is_kept(value: Any, case: tuple[dict[str, Any], str]) -> None:
    row, dtype = case
    finite = not isinstance(value, int | float) or abs(value) < 1e15
    if finite and jsonschema_rs.is_valid(json_schema(feature(**row)), value):
        read(value, dtype, **row)


def test_the_schema_tells_a_default() -> None:
    row = feature(type="integer", minimum=1, default=3, description="rooms")
    assert json_schema(row) == {
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}],
        "default": 3,
        "description": "rooms",
    }
    assert "default" not in json_schema(feature(type="number", default=math.nan))


@pytest.mark.parametrize(
    "row",
    [
        {"type": "text"},
        {"type": "category"},
        {"type": "number", "categories": [1]},
        {"type": "category", "categories": ["a", "a"]},
        {"type": "category", "categories": [1, 1.0]},
        {"type": "category", "categories": ["a", 1]},
        {"type": "category", "categories": [True]},
        {"type": "category", "categories": [math.nan]},
        {"type": "category", "categories": ["a"], "codes": [1, 2]},
        {"type": "category", "categories": [3], "codes": [1]},
        {"type": "category", "categories": ["a"], "minimum": 1},
        {"type": "boolean", "maximum": 1},
        {"type": "number", "minimum": 2, "maximum": 1},
        {"type": "number", "minimum": math.nan},
        {"type": "number", "maximum": math.inf},
        {"type": "number", "name": ""},
        {"type": "number", "more": 1},
    ],
)
def test_a_row_that_contradicts_itself_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        feature(**row)


@pytest.mark.parametrize(
    ("row", "dtype"),
    [
        ({"type": "number"}, "int64"),
        ({"type": "number"}, "object"),
        ({"type": "integer"}, "bool"),
        ({"type": "boolean"}, "object"),
        ({"type": "category", "categories": [1, 2]}, "object"),
        ({"type": "category", "categories": [1, 2.5]}, "int64"),
        ({"type": "category", "categories": ["a"], "codes": [300]}, "uint8"),
        ({"type": "category", "categories": ["a"], "codes": [1e30]}, "int64"),
        ({"type": "category", "categories": [0, 1e39]}, "float32"),
        ({"type": "category", "categories": [0, 10**400]}, "float32"),
        ({"type": "category", "categories": [0, 2**70]}, "int64"),
        ({"type": "category", "categories": [2**24, 2**24 + 1]}, "float32"),
        ({"type": "category", "categories": ["a", "b"], "codes": [0.1, 0.10000000001]}, "float32"),
        ({"type": "category", "categories": ["a"], "codes": [1]}, "object"),
        ({"type": "category", "categories": ["a"], "default": "b"}, "int64"),
        ({"type": "number", "default": "1"}, "float32"),
        ({"type": "number", "default": True}, "float32"),
        ({"type": "number", "default": 2, "maximum": 1}, "float32"),
        ({"type": "integer", "default": math.nan}, "int64"),
        ({"type": "integer", "default": 1.5}, "float32"),
    ],
)
def test_an_input_that_cannot_hold_the_type_is_refused(row: dict[str, Any], dtype: str) -> None:
    with pytest.raises(ManifestError, match=r"^m: "):
        read(None, dtype, **row)
