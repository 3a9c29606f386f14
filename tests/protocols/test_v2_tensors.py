"""The tensors of the Open Inference Protocol, JSON and bytes to arrays and back."""

import contextlib
import json
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from zeropoint.errors import MalformedError
from zeropoint.protocols import v2_tensors

DTYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


def from_json(data: Any, datatype: str, shape: list[int]) -> NDArray[Any]:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return v2_tensors.from_json(msgspec.Raw(raw), datatype, shape)


def arrays(datatype: str, finite: bool) -> st.SearchStrategy[NDArray[Any]]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    if datatype == "BYTES":
        return hnp.arrays(np.object_, shapes, elements=st.text(), fill=st.nothing())
    dtype = np.dtype(DTYPES[datatype])
    elements = {"allow_nan": not finite, "allow_infinity": not finite} if dtype.kind == "f" else {}
    return hnp.arrays(dtype, shapes, elements=elements)


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    texts = one.dtype.kind == "O"
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and (one.tolist() == other.tolist() if texts else one.tobytes() == other.tobytes())
    )


@pytest.mark.parametrize("datatype", [*DTYPES, "BYTES"])
@given(st.data())
def test_an_array_comes_back_as_it_was_through_bytes(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype, finite=False))
    entry, sent = v2_tensors.to_output("x", array, binary=True)
    body = b"odd" + b"".join([sent])  # what stands before it is of any length
    view = memoryview(body)[3:]
    assert entry["parameters"]["binary_data_size"] == len(view)
    assert (entry["datatype"], entry["shape"]) == (datatype, list(array.shape))
    got = v2_tensors.from_bytes(view, datatype, array.shape)
    assert got.flags.aligned
    assert same(v2_tensors.to_texts(got) if datatype == "BYTES" else got, array)


@pytest.mark.parametrize("datatype", [*DTYPES, "BYTES"])
@given(st.data())
def test_an_array_comes_back_as_it_was_through_json(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype, finite=True))
    entry, sent = v2_tensors.to_output("x", array, binary=False)
    assert sent == b""
    assert same(from_json(msgspec.json.encode(entry["data"]), datatype, list(array.shape)), array)
    if array.size:  # an empty array's lists do not tell its shape
        nested = msgspec.json.encode(array.tolist())
        assert same(from_json(nested, datatype, list(array.shape)), array)


def test_an_aligned_array_is_not_copied() -> None:
    whole = np.arange(64, dtype=np.float32)
    got = v2_tensors.from_bytes(memoryview(whole.tobytes()), "FP32", [64])
    assert not got.flags.owndata
    assert same(got, whole)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("BOOL", [1]),
        ("BOOL", ["true"]),
        ("INT8", [True]),
        ("INT8", [128]),
        ("INT8", [-129]),
        ("UINT8", [-1]),
        ("UINT8", [256]),
        ("UINT64", [-1]),
        ("UINT64", [2**64]),
        ("INT64", [2**63]),
        ("INT64", [10**30]),
        ("INT32", [1.5]),
        ("INT32", ["1"]),
        ("INT32", [None]),
        ("INT32", [{}]),
        ("FP16", [65520]),
        ("FP32", [1e39]),
        ("FP32", [True]),
        ("FP32", [None]),
        ("FP32", ["1.0"]),
        ("FP32", b"[NaN]"),
        ("FP32", b"[Infinity]"),
        ("FP32", b"[1e999]"),
        ("FP32", ["x" * 1000]),
        ("BYTES", [1]),
        ("BYTES", [None]),
        ("BYTES", b'["\xff"]'),
        ("BYTES", b'["\\ud800"]'),
    ],
)
def test_a_value_that_the_datatype_cannot_hold_is_refused(datatype: str, data: Any) -> None:
    with pytest.raises(MalformedError) as refusal:
        from_json(data, datatype, [1])
    assert refusal.value.message.startswith(f"expected data of {datatype}")
    assert "xxx" not in refusal.value.message


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2], []),
        ([2], [0, 0, 0]),
        ([2], [[0, 0]]),
        ([2], 0),
        ([2], {}),
        ([2], "00"),
        ([2, 2], [0, 0, 0]),
        ([2, 2], [[0, 0], [0]]),
        ([2, 2], [[0, 0, 0, 0]]),
        ([2, 2], [[0, 0], 0]),
        ([2, 2], [[[0, 0], [0, 0]]]),
        ([0], [0]),
        ([0, 2], [[0, 0]]),
        ([], []),
        ([], [[0]]),
        ([1], b"[" * 1000),
        ([1], b"[" * 40 + b"]" * 40),
        ([1], b""),
    ],
)
def test_data_of_another_shape_is_refused(datatype: str, shape: list[int], data: Any) -> None:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    if datatype == "BYTES":
        text = text.replace(b"0", b'"a"')
    with pytest.raises(MalformedError):
        from_json(text, datatype, shape)


def test_one_number_is_a_tensor_without_dimensions() -> None:
    assert from_json(b" 5", "INT32", []).shape == ()
    assert from_json(b" [5]", "INT32", []).shape == ()


@pytest.mark.parametrize(
    ("datatype", "shape"),
    [
        ("FP32", [2**62, 4]),
        ("FP32", [2**62, 2**62]),
        ("FP32", [1001]),
        ("FP32", [0, 1001]),
        ("FP32", [2**62, 0]),
        ("FP32", [1] * 33),
        ("FP8", [1]),
        ("fp32", [1]),
        ("BF16", [1]),
        ("", []),
    ],
)
def test_an_absurd_tensor_is_refused(datatype: str, shape: list[int]) -> None:
    with pytest.raises(MalformedError):
        v2_tensors.refuse_absurd(datatype, shape, 1000)


def test_a_tensor_within_the_limit_passes() -> None:
    for shape in ([], [0], [1000], [10, 100], [0, 1000], [1] * 32):
        v2_tensors.refuse_absurd("FP32", shape, 1000)


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", [2], b"\0" * 7),
        ("FP32", [2], b"\0" * 9),
        ("FP32", [], b""),
        ("INT8", [0], b"\0"),
        ("BOOL", [2], b"\0\2"),
        ("BYTES", [1], b""),
        ("BYTES", [1], b"\0\0\0"),
        ("BYTES", [1], struct.pack("<I", 2) + b"a"),
        ("BYTES", [1], struct.pack("<I", 1) + b"ab"),
        ("BYTES", [1], struct.pack("<I", 2**32 - 1)),
        ("BYTES", [2], struct.pack("<I", 0)),
        ("BYTES", [1], struct.pack("<II", 0, 0)),
        ("BYTES", [0], struct.pack("<I", 0)),
    ],
)
def test_bytes_of_another_size_are_refused(datatype: str, shape: list[int], data: bytes) -> None:
    with pytest.raises(MalformedError):
        v2_tensors.from_bytes(memoryview(data), datatype, shape)


def test_bytes_that_are_no_text_are_refused_as_texts() -> None:
    with pytest.raises(MalformedError, match="UTF-8"):
        v2_tensors.to_texts(np.array([b"a", b"\xff"], object))


@given(st.binary(max_size=40), st.sampled_from([*DTYPES, "BYTES"]), st.integers(0, 5))
def test_any_bytes_are_an_array_or_refused(data: bytes, datatype: str, size: int) -> None:
    with contextlib.suppress(MalformedError):
        assert v2_tensors.from_bytes(memoryview(data), datatype, [size]).shape == (size,)


@given(st.binary(max_size=40), st.sampled_from([*DTYPES, "BYTES"]), st.integers(0, 5))
def test_any_text_is_an_array_or_refused(data: bytes, datatype: str, size: int) -> None:
    with contextlib.suppress(MalformedError):
        assert from_json(data, datatype, [size]).shape == (size,)
