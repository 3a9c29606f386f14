"""The wire format of protobuf 3, as far as an ONNX file has to be looked at before it is loaded."""

import mmap
from collections.abc import Iterator
from pathlib import Path

_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}  # wire types of a fixed length
_METADATA_PROPS = 14  # ModelProto.metadata_props, each a key and a value


def metadata(path: Path) -> dict[str, str]:
    """Returns an ONNX file's metadata; nothing of it, if it is no such file."""
    found = {}
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            for field, start, end in fields(data, 0, len(data)):
                if field == _METADATA_PROPS:
                    entry = {key: data[at:to] for key, at, to in fields(data, start, end)}
                    found[entry.get(1, b"").decode()] = entry.get(2, b"").decode()
    except (OSError, ValueError, IndexError):
        return {}
    return found


def fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
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
