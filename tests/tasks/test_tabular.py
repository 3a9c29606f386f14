"""Rows of a table: by name, by order, as text, and the model's one input or many."""

import json
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeropoint.errors import ClientError, InvalidError, ManifestError
from zeropoint.instances import Blob
from zeropoint.tasks.features import Feature
from zeropoint.tasks.tabular import TabularInput
from zeropoint.tensors import TensorSpec

ROWS: list[dict[str, Any]] = [
    {"name": "age", "type": "integer", "minimum": 0},
    {"name": "height", "type": "number", "default": 1.75},
    {"name": "colour", "type": "category", "categories": ["red", "blue"]},
    {"name": "member", "type": "boolean", "default": False},
]
GOOD = {"age": 30, "height": 1.5, "colour": "blue", "member": True}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
VALUES = st.fixed_dictionaries(
    {
        "age": st.integers(-1, 10**20) | JSON,
        "height": st.floats(allow_nan=False, width=32) | st.none() | JSON,
        "colour": st.sampled_from(["red", "blue", "green", 0]) | JSON,
        "member": st.booleans() | st.none() | JSON,
    }
)


def table(specs: Sequence[TensorSpec], rows: Sequence[dict[str, Any]] = ROWS) -> TabularInput:
    return TabularInput(tuple(msgspec.convert(rows, list[Feature])), specs, "m")


def spec(name: str = "x", dtype: str = "float32", *shape: int | None) -> TensorSpec:
    return TensorSpec(name, np.dtype(dtype), shape)


MATRIX = table([spec("x", "float32", None, 4)])
COLUMNS = table(
    [
        spec("member", "bool", None, 1),
        spec("colour", "object", None, 1),
        spec("height", "float64", None, 1),
        spec("age", "int64", None, None),
    ]
)


@pytest.mark.parametrize(
    "instance",
    [
        GOOD,
        dict(reversed(GOOD.items())),
        list(GOOD.values()),
        json.dumps(GOOD),
        json.dumps(list(GOOD.values())),
        Blob(json.dumps(GOOD).encode()),
        Blob(json.dumps(GOOD).encode(), "application/json"),
    ],
)
def test_a_row_is_an_object_or_a_list_or_its_json(instance: Any) -> None:
    (found,) = MATRIX.prepare(instance).values()
    assert found.dtype == np.float32
    assert found.tolist() == [[30, 1.5, 1, 1]]


def test_columns_have_an_input_each() -> None:
    found = COLUMNS.prepare(GOOD)
    assert {name: (str(one.dtype), one.tolist()) for name, one in found.items()} == {
        "age": ("int64", [[30]]),
        "height": ("float64", [[1.5]]),
        "colour": ("object", [["blue"]]),
        "member": ("bool", [[True]]),
    }


@pytest.mark.parametrize(
    "instance",
    [
        {"age": 1, "colour": "red"},
        {"age": 1, "height": None, "colour": "red", "member": None},
        [1, None, "red", None],
    ],
)
def test_what_is_absent_or_null_has_its_default(instance: Any) -> None:
    assert MATRIX.prepare(instance)["x"].tolist() == [[1, 1.75, 0, 0]]


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        ({**GOOD, "age": None}, "feature age: expected an integer of at least 0, got none"),
        ({"age": 1}, "feature colour: expected one of red, blue, got none"),
        ({**GOOD, "age": -1}, "feature age: expected an integer of at least 0, got one out of"),
        ([1, 2, 3, 4], "feature colour: expected one of red, blue, got another value"),
        ({**GOOD, "secret": 1}, "no other features than age, height, colour, member, got another"),
        ({}, "feature age: expected an integer of at least 0, got none"),
        ([1, 2, "red"], "expected a row of 4 values, got 3"),
        ([], "expected a row of 4 values, got 0"),
        (1, "expected a row as an object or a list, got another value"),
        (None, "expected a row as an object or a list"),
        ('"text"', "expected a row as an object or a list"),
        ("secret", "expected a row in JSON, got another text"),
        (Blob(b"\xff"), "expected a row in JSON, got another text"),
        ("[" * 9999, "expected a row as an object or a list of plain values, got another value"),
        ("[[" + "],[" * 9 + "]]", "expected a row as an object or a list of plain values"),
        ('{"age": {}}', "expected a row as an object or a list of plain values"),
        ('{"age": NaN}', "expected a row in JSON, got another text"),
    ],
)
def test_another_row_is_refused_and_its_feature_named(instance: Any, said: str) -> None:
    for one in (MATRIX, COLUMNS):
        with pytest.raises(InvalidError) as refusal:
            one.prepare(instance)
        assert said in refusal.value.message
        assert "secret" not in refusal.value.message


def test_nested_values_in_a_text_are_not_kept() -> None:
    text = "[" + "[]," * 300_000 + "1]"
    tracemalloc.start()
    with pytest.raises(InvalidError, match="of plain values"):
        MATRIX.prepare(text)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < 4 * len(text)


@pytest.mark.parametrize("number", ["1", "-0.0", "1e3", "9007199254740993", "36893488147419103232"])
def test_a_number_in_a_text_is_what_it_is_in_an_object(number: str) -> None:
    one = table([spec("x", "float64", None, 1)], [{"name": "a", "type": "number"}])
    as_text, as_value = one.prepare(f"[{number}]"), one.prepare(json.loads(f"[{number}]"))
    assert repr(as_text) == repr(as_value)


def test_a_message_names_only_some_of_many_features() -> None:
    rows = [{"name": f"f{number}", "type": "number"} for number in range(500)]
    with pytest.raises(InvalidError, match=r"than f0, .*, f19, …, got another one$"):
        table([spec("x", "float32", None, 500)], rows).prepare({"nope": 1})


@given(instance=JSON | VALUES | VALUES.map(json.dumps))
def test_any_value_is_a_row_or_refused(instance: Any) -> None:
    for one in (MATRIX, COLUMNS):
        try:
            found = one.prepare(instance)
        except ClientError:
            continue
        assert {array.shape[0] for array in found.values()} == {1}


@given(values=VALUES, order=st.permutations(list(GOOD)))
def test_objects_in_any_order_and_lists_agree(values: dict[str, Any], order: list[str]) -> None:
    answers = []
    for instance in (values, {name: values[name] for name in order}, [values[one] for one in GOOD]):
        try:
            answers.append(repr(MATRIX.prepare(instance)))
        except InvalidError as error:
            answers.append(error.message)
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    "specs",
    [
        [],
        [spec("x", "float32", None, 3)],
        [spec("x", "float32", None)],
        [spec("x", "float32", 2, 4)],
        [spec("x", "float32", None, 4, 1)],
        [spec("x", "float32", None, 4), spec("y", "float32", None, 4)],
        [spec("age", "int64", None, 1), spec("height", "float32", None, 1)],
        [spec(name, "float32", None, 1) for name in ("age", "height", "colour", "other")],
        [spec(name, "float32", None, 2) for name in GOOD],
        [spec(name, "float32", None) for name in GOOD],
    ],
)
def test_inputs_that_do_not_fit_are_refused(specs: list[TensorSpec]) -> None:
    with pytest.raises(ManifestError, match=r"^m: expected one input \[\?, 4\] or an input"):
        table(specs)


def test_an_input_of_another_type_is_refused_with_the_features_name() -> None:
    with pytest.raises(ManifestError, match="m: the feature height: expected an input for the"):
        table([spec("x", "int64", None, 4)])


def test_a_feature_twice_is_refused() -> None:
    with pytest.raises(ManifestError, match="expected features of different names"):
        table([spec("x", "float32", None, 2)], [{"name": "a", "type": "number"}] * 2)


@pytest.mark.parametrize("shape", [(None, 4), (1, 4), (None, None)])
def test_a_dimension_may_vary(shape: tuple[int | None, ...]) -> None:
    assert table([spec("x", "float32", *shape)]).prepare(GOOD)["x"].shape == (1, 4)


def test_a_thousand_rows_are_prepared_at_once() -> None:
    rows = [{"name": f"f{number}", "type": "number"} for number in range(20)]
    many = table([spec("x", "float32", None, 20)], rows)
    row = {f"f{number}": number / 7 for number in range(20)}
    start_s = time.perf_counter()
    for _ in range(1000):
        many.prepare(row)
    assert time.perf_counter() - start_s < 0.2  # some 8 ms alone on a server's processor
