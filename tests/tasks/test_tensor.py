"""The task tensor: any model's own inputs and outputs, as lists of numbers."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from zeropoint.errors import ArtifactError, InvalidError
from zeropoint.instances import Blob
from zeropoint.tasks.tensor import Parameters, TensorTask
from zeropoint.tensors import TensorSpec, from_json

FLOAT = np.dtype(np.float32)
TEXT = np.dtype(np.object_)


def task(*specs: TensorSpec) -> TensorTask:
    return TensorTask(specs)


def spec(dtype: Any = np.float32, *shape: int | None, name: str = "x") -> TensorSpec:
    return TensorSpec(name, np.dtype(dtype), shape)


@pytest.mark.parametrize("first", [None, 1])
def test_the_first_dimension_counts_instances(first: int | None) -> None:
    prepared = task(spec(np.float32, first, 2)).prepare([1, 2.5])
    np.testing.assert_array_equal(prepared.tensors["x"], np.array([[1, 2.5]], np.float32))


def test_a_fixed_first_dimension_is_the_models_own() -> None:
    found = task(spec(np.float32, 3, 2)).prepare([[1, 2], [3, 4], [5, 6]])
    assert found.tensors["x"].shape == (3, 2)


def test_several_inputs_are_named() -> None:
    both = task(spec(np.float32, None, 2, name="a"), spec(np.int64, None, name="b"))
    found = both.prepare({"a": [1, 2], "b": 3}).tensors
    assert found["a"].tolist() == [[1.0, 2.0]]
    assert found["b"].tolist() == [3]


@pytest.mark.parametrize("instance", [[1], {"a": [1, 2]}, {"a": [1, 2], "b": 3, "c": 4}, None])
def test_missing_and_unknown_inputs_are_refused(instance: Any) -> None:
    both = task(spec(np.float32, None, 2, name="a"), spec(np.int64, None, name="b"))
    with pytest.raises(InvalidError, match="an object with the keys a, b"):
        both.prepare(instance)


@pytest.mark.parametrize(
    ("dtype", "shape", "value", "got"),
    [
        (np.float32, (None, 2), [1], r"x: float32\[1\]"),
        (np.float32, (None, 2), [[1, 2]], "an array of rank 2"),
        (np.float32, (None, 2), 1, "an array of rank 0"),
        (np.float32, (None, None, None), [[1], [1, 2]], "a ragged list"),
        (np.float32, (None, 1), ["1"], "values of another type"),
        (np.float32, (None, 1), [None], "values of another type"),
        (np.float32, (None, 1), [{}], "values of another type"),
        (np.float32, (None, 1), [1e300], "a number out of range"),
        (np.float32, (None, 1), [True], "values of another type"),
        (np.int64, (None, 1), [1.5], "values of another type"),
        (np.int64, (None, 1), [2**63], "a number out of range"),
        (np.int64, (None, 1), [2**70], "a number out of range"),
        (np.uint8, (None, 1), [256], "a number out of range"),
        (np.uint8, (None, 1), [-1], "a number out of range"),
        (np.bool_, (None, 1), [1], "values of another type"),
        (np.object_, (None, 1), [1], "values of another type"),
        (np.float16, (None, 1), [1e6], "a number out of range"),
    ],
)
def test_a_value_that_the_input_cannot_hold_is_refused(
    dtype: Any, shape: tuple[int | None, ...], value: Any, got: str
) -> None:
    with pytest.raises(InvalidError, match=rf"^expected x: .*, got {got}"):
        task(spec(dtype, *shape)).prepare(value)


@pytest.mark.parametrize("depth", [3, 33, 65, 980, *range(985, 1000), 9999])
def test_lists_of_any_depth_are_refused_in_our_words(depth: int) -> None:
    with pytest.raises(InvalidError, match=r"^expected (x: .*, got an array of rank|an instance)"):
        task(spec(np.float32, None, None)).prepare("[" * depth + "1" + "]" * depth)


@pytest.mark.parametrize("instance", ["[1, 2.5]", Blob(b"[1, 2.5]"), '{"x": [1, 2.5]}'])
def test_an_instance_may_be_json_text(instance: Any) -> None:
    prepared = task(spec(np.float32, None, 2)).prepare(instance)
    assert prepared.tensors["x"].tolist() == [[1.0, 2.5]]


@pytest.mark.parametrize("instance", ["no JSON", Blob(b"\xff"), "[" * 9999])
def test_text_that_is_not_json_is_refused(instance: Any) -> None:
    with pytest.raises(InvalidError, match="expected an instance in JSON"):
        task(spec(np.float32, None, 2)).prepare(instance)


def test_one_long_text_among_numbers_costs_no_memory() -> None:
    tracemalloc.start()
    with pytest.raises(ValueError, match="values of another type"):
        from_json(["x" * 100_000] + [0] * 2000, FLOAT)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_texts_are_kept(tmp_path: Any) -> None:
    assert task(spec(np.object_, None, 2)).prepare(["a", "ä"]).tensors["x"].tolist() == [["a", "ä"]]


def test_an_empty_list_is_an_empty_array() -> None:
    assert task(spec(np.int64, None, None)).prepare([]).tensors["x"].shape == (1, 0)


def test_outputs_are_told_by_instance() -> None:
    tensors = {"y": np.array([[1.0], [2.0]], FLOAT), "z": np.array([3, 4])}
    assert task(spec(np.float32, None)).output(tensors, [None, None], Parameters()) == [
        {"y": [1.0], "z": 3},
        {"y": [2.0], "z": 4},
    ]


def test_outputs_of_a_fixed_batch_are_told_whole() -> None:
    tensors = {"y": np.array([[1.0], [2.0]], FLOAT)}
    found = task(spec(np.float32, 2)).output(tensors, [None], Parameters())
    assert found == [{"y": [[1.0], [2.0]]}]


NUMBERS = st.sampled_from(
    ["float32", "float64", "int8", "int32", "int64", "uint8", "uint64", "bool"]
)


@given(
    NUMBERS.flatmap(
        lambda dtype: npst.arrays(
            np.dtype(dtype),
            npst.array_shapes(max_dims=3, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False} if "float" in dtype else None,
        )
    )
)
def test_any_array_comes_back_from_its_lists(array: Any) -> None:
    found = from_json(array.tolist(), array.dtype)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from([np.float32, np.int64, np.uint8, np.bool_, np.object_]),
)
def test_any_value_is_kept_or_refused(value: Any, dtype: Any) -> None:
    said = ""
    try:
        assert from_json(value, np.dtype(dtype)).dtype == dtype
    except ValueError as error:
        said = str(error)
    assert said in ("", "a ragged list", "values of another type", "a number out of range")


def test_one_instance_has_all_that_a_model_found_and_several_need_a_row_each() -> None:
    found = {"boxes": np.zeros((3, 4), np.float32)}
    batched = task(spec(np.float32, None, 2))
    (alone,) = batched.output(found, [None], Parameters())
    assert alone == {"boxes": [[0.0] * 4] * 3}
    assert len(batched.output(found, [None] * 3, Parameters())) == 3
    with pytest.raises(ArtifactError, match="outputs of 2 rows"):
        batched.output(found, [None] * 2, Parameters())
