"""Refuses ONNX files that name other files: their digest would prove only a part of the model.

An initializer with external data carries the key ``location``. A file without those letters has
none, which one fast search proves; otherwise the protobuf is walked and its tensors are read.
The message layout is that of onnx.proto (ONNX 1.x).
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from zeropoint.errors import ArtifactError

_LENGTH_DELIMITED = 2
_EXTERNAL_DATA = 13  # TensorProto.external_data
_RAW = {1: 8, 5: 4}  # wire types of a fixed length: bytes
# Message: the fields of it that lead to tensors, and the message each of them is.
_LEADS = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
}


def refuse(path: Path) -> None:
    """Refuses a model whose tensors lie in other files.

    Raises:
        ArtifactError: the model has external data, or is no ONNX file.
    """
    if path.stat().st_size == 0:
        raise ArtifactError(f"{path.name}: expected an ONNX model, got an empty file")
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        if data.find(b"location") < 0:
            return
        try:
            external = _external(data, "Model", 0, len(data))
        except (IndexError, ValueError, RecursionError):
            raise ArtifactError(f"{path.name}: expected an ONNX model, got another file") from None
    if external:
        raise ArtifactError(
            f"{path.name}: expected one file with all weights inside, got external data;"
            " save the model again with its weights in it"
        )


def _external(data: mmap.mmap, message: str, start: int, end: int) -> bool:
    """Tells whether a message, or one below it, is a tensor with external data."""
    if message == "Tensor":
        return any(field == _EXTERNAL_DATA for field, _, _ in _fields(data, start, end))
    leads = _LEADS[message]
    return any(
        _external(data, leads[field], at, to)
        for field, at, to in _fields(data, start, end)
        if field in leads
    )


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yields the length-delimited fields of a message: number, first byte, end."""
    while start < end:
        key, start = _varint(data, start)
        wire = key & 7
        if wire == _LENGTH_DELIMITED:
            length, start = _varint(data, start)
            if start + length > end:
                raise ValueError("a field is longer than its message")
            yield key >> 3, start, start + length
            start += length
        elif wire == 0:
            _, start = _varint(data, start)
        else:
            if wire not in _RAW:
                raise ValueError("not a wire type of protobuf 3")
            start += _RAW[wire]


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")
