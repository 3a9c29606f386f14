"""The wire format of protobuf 3, as far as an ONNX file has to be looked at before it is loaded.

The message layout is that of onnx.proto (ONNX 1.x).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import overload

_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}  # wire types of a fixed length
_BLOCK_BYTES = 1 << 12
_SEARCHED_BYTES = 1 << 20
_METADATA_PROPS = 14  # ModelProto.metadata_props, each a key and a value
# Message: the fields of it that lead to nodes and tensors, and the message each of them is.
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


class View:
    """A file's bytes, read where they are looked at.

    Not mapped into memory: a page that is gone, as the file was written over, ends the process.

    Args:
        file: Its descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._size = os.fstat(file).st_size
        self._at, self._block = 0, b""

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, place: int) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> bytes: ...

    def __getitem__(self, place: int | slice) -> int | bytes:
        if isinstance(place, slice):
            return os.pread(self._file, place.stop - place.start, place.start)
        if not 0 <= place - self._at < len(self._block):
            self._at, self._block = place, os.pread(self._file, _BLOCK_BYTES, place)
        return self._block[place - self._at]

    def has(self, text: bytes) -> bool:
        """Tells whether a text occurs."""
        at, before = 0, b""
        while block := os.pread(self._file, _SEARCHED_BYTES, at):
            if text in before + block[: len(text)] or text in block:
                return True
            at, before = at + len(block), block[-len(text) :]
        return False


@contextmanager
def view(path: Path) -> Iterator[View]:
    """Opens a file to be looked at."""
    with path.open("rb") as file:
        yield View(file.fileno())


def metadata(path: Path) -> dict[str, str]:
    """Returns an ONNX file's metadata; nothing of it, if it is no such file."""
    found = {}
    try:
        with view(path) as data:
            for field, start, end in fields(data, 0, len(data)):
                if field == _METADATA_PROPS:
                    entry = {key: data[at:to] for key, at, to in fields(data, start, end)}
                    found[entry.get(1, b"").decode()] = entry.get(2, b"").decode()
    except (OSError, ValueError, IndexError):
        return {}
    return found


def messages(
    data: View, wanted: str, message: str = "Model", start: int = 0, end: int = -1
) -> Iterator[tuple[int, int]]:
    """Yields where the messages of one kind lie in an ONNX file: first byte, end.

    Args:
        data: The file.
        wanted: ``Function``, ``Node`` or ``Tensor``.
        message: What lies between ``start`` and ``end``; all of it is a model.
        start: Its first byte.
        end: Behind its last one.

    Raises:
        ValueError: not a message of protobuf 3.
        IndexError: cut short.
        RecursionError: nested too deep.
    """
    end = len(data) if end < 0 else end
    if message == wanted:
        yield start, end
    leads = _LEADS.get(message, {})
    for field, at, to in fields(data, start, end):
        if field in leads:
            yield from messages(data, wanted, leads[field], at, to)


def fields(data: View, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yields the length-delimited fields of a message: number, first byte, end.

    Raises:
        ValueError: not a message of protobuf 3.
        IndexError: cut short.
    """
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
            if wire not in _FIXED_BYTES:
                raise ValueError("not a wire type of protobuf 3")
            start += _FIXED_BYTES[wire]


def _varint(data: View, at: int) -> tuple[int, int]:
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
