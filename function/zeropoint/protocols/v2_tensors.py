"""The tensors of the Open Inference Protocol: JSON or bytes to arrays, and back.

Binary data is little-endian, row-major and without padding; a text or blob of ``BYTES`` has its
length before it, as uint32.
"""

import functools
import math
import re
import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from zeropoint.errors import MalformedError
from zeropoint.tensors import TensorSpec

BYTES = "BYTES"
_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    BYTES: np.dtype(np.object_),
}
DATATYPES = tuple(_DTYPES)
_DATATYPES = {dtype: name for name, dtype in _DTYPES.items()}
_JSON_TYPES: dict[str, Any] = {"b": bool, "i": int, "u": int, "f": int | float, "O": str}
_MAX_RANK = 32
MAX_TEXTS = 1 << 20  # each takes fifty bytes or more, and four as binary data
_OPENING = re.compile(rb"[\s\[]*")


class TensorMetadata(msgspec.Struct):
    """An input or output as the protocol writes it, -1 for a dimension that varies."""

    name: str
    datatype: str
    shape: list[int]


def describe(spec: TensorSpec) -> TensorMetadata:
    """Returns a specification as the protocol writes it."""
    shape = [-1 if dim is None else dim for dim in spec.shape]
    return TensorMetadata(spec.name, _DATATYPES[spec.dtype], shape)


def refuse_absurd(datatype: str, shape: Sequence[int], max_elements: int) -> None:
    """Refuses what no request can hold, before anything is allocated.

    Args:
        datatype: As the caller gave it.
        shape: None of it negative.
        max_elements: Most elements that a body can have. Dimensions of 0 do not count as such, so
            that no empty tensor has a model make a large one.

    Raises:
        MalformedError: an unknown datatype, or a shape of too many elements or dimensions.
    """
    if datatype not in _DTYPES:
        raise MalformedError(f"expected a datatype of {', '.join(DATATYPES)}, got another")
    if len(shape) > _MAX_RANK:
        raise MalformedError(f"expected at most {_MAX_RANK} dimensions, got {len(shape)}")
    if datatype == BYTES:
        max_elements = min(max_elements, MAX_TEXTS)
    if math.prod(dim or 1 for dim in shape) > max_elements:
        raise MalformedError(f"expected a shape of at most {max_elements} elements, got more")


def from_bytes(data: memoryview, datatype: str, shape: Sequence[int]) -> NDArray[Any]:
    """Makes binary data an array that looks at the same memory; BYTES, one of bytes objects.

    Args:
        data: All of the tensor, and no more.
        datatype: One that `refuse_absurd` let pass, as did the shape.
        shape: The array's.

    Raises:
        MalformedError: of another size, or not of the datatype.
    """
    dtype = _DTYPES[datatype]
    size = math.prod(shape)
    if datatype == BYTES:
        array = np.empty(size, object)
        array[:] = _split(data, size)
        return array.reshape(shape)
    if len(data) != size * dtype.itemsize:
        raise MalformedError(f"expected {size * dtype.itemsize} bytes, got {len(data)}")
    array = np.frombuffer(data, dtype)
    if datatype == "BOOL" and size and array.view(np.uint8).max() > 1:
        raise MalformedError("expected bytes of 0 and 1, got another")
    # Where the JSON before it ends is chance; ONNX Runtime's kernels may want whole addresses.
    return np.require(array, requirements="A").reshape(shape)


def from_json(data: msgspec.Raw, datatype: str, shape: Sequence[int]) -> NDArray[Any]:
    """Makes JSON an array; a value is kept, or refused, but floats are rounded to the datatype.

    Args:
        data: Numbers, booleans or texts, in one list or in lists nested as the shape is.
        datatype: One that `refuse_absurd` let pass, as did the shape.
        shape: The array's.

    Raises:
        MalformedError: another number of elements or another shape, or not of the datatype.
    """
    dtype = _DTYPES[datatype]
    opening = _OPENING.match(data)
    depth = opening[0].count(b"[") if opening else 0
    if depth not in (1, len(shape)):
        raise MalformedError("expected data in one list, or in lists nested as the shape is")
    try:
        value = _decoder(dtype.kind, depth).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedError(f"expected data of {datatype}: {error}") from None
    try:
        array = _array(value, dtype)
    except (OverflowError, FloatingPointError):
        raise MalformedError(f"expected data of {datatype}, got a number out of range") from None
    except ValueError:
        raise MalformedError("expected data of the shape, got a ragged list") from None
    if array.size != math.prod(shape) or (depth != 1 and array.shape != tuple(shape)):
        raise MalformedError(
            f"expected data of the shape {list(shape)}, got {array.size} elements"
            if depth == 1
            else f"expected data of the shape {list(shape)}, got {list(array.shape)}"
        )
    return array.reshape(shape)


def to_texts(array: NDArray[Any]) -> NDArray[Any]:
    """Makes an array of bytes objects one of texts, as models take them.

    Raises:
        MalformedError: not UTF-8.
    """
    texts = np.empty(array.size, object)
    try:
        texts[:] = [one.decode() if isinstance(one, bytes) else one for one in array.flat]
    except UnicodeDecodeError:
        raise MalformedError("expected texts in UTF-8, got bytes that are none") from None
    return texts.reshape(array.shape)


def to_output(name: str, array: NDArray[Any], binary: bool) -> tuple[dict[str, Any], Any]:
    """Writes a tensor: its entry in the JSON, and its binary data if that is wanted, else b""."""
    entry = msgspec.structs.asdict(describe(TensorSpec(name, array.dtype, array.shape)))
    if not binary:
        return {**entry, "data": array.ravel().tolist()}, b""
    data = _joined(array) if array.dtype.kind == "O" else np.ascontiguousarray(array)
    size_bytes = data.nbytes if isinstance(data, np.ndarray) else len(data)
    return {**entry, "parameters": {"binary_data_size": size_bytes}}, data


@functools.cache
def _decoder(kind: str, depth: int) -> msgspec.json.Decoder[Any]:
    type_ = _JSON_TYPES[kind]
    for _ in range(depth):
        type_ = list.__class_getitem__(type_)
    return msgspec.json.Decoder(type_)


def _array(value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind != "f":
        return np.array(value, dtype)
    with np.errstate(over="raise"):
        return np.array(value, np.float64).astype(dtype)


def _split(data: memoryview, count: int) -> list[bytes]:
    """Returns the elements of BYTES."""
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < count:
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        found.append(bytes(data[start:at]))
    if at != len(data) or len(found) != count:
        raise MalformedError(
            f"expected {count} elements, each after its length in 4 bytes, that fill the data"
        )
    return found


def _joined(array: NDArray[Any]) -> bytes:
    chunks: list[bytes] = []
    for one in array.flat:
        data = one.encode() if isinstance(one, str) else one
        chunks += (struct.pack("<I", len(data)), data)
    return b"".join(chunks)
