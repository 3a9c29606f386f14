"""The instances in an event's data, or in an object: one file, one JSON document, or many rows."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from zeropoint.errors import BodyTooLargeError, InvalidError, MalformedError
from zeropoint.instances import Blob, Instance
from zeropoint.protocols import csv_rows, native, strict_json

_LINES = (".jsonl", ".ndjson")


class Payload(NamedTuple):
    """What is to be answered."""

    instances: Sequence[Instance]
    parameters: Mapping[str, Any] = {}


def of_message(data: bytes, media_type: str) -> Payload:
    """Returns what the data of a message or CloudEvent hold.

    A document of the native protocol, ``{"instances": [...]}``, holds many instances, other JSON
    is one, CSV has one in each row, and any other data are one, as a file. Data without a media
    type are JSON if they can be read as it.

    Args:
        data: As they came.
        media_type: What the sender calls them; empty if it does not say.

    Raises:
        ClientError: it is called JSON or CSV and is none, or not such a document.
    """
    if strict_json.is_json(media_type):
        return _of_json(strict_json.decode(data, object))
    if media_type == csv_rows.MEDIA_TYPE:
        return Payload(csv_rows.decode(data))
    if not media_type and data[:1] in (b"{", b"[", b'"'):
        with contextlib.suppress(MalformedError):
            return _of_json(strict_json.decode(data, object))
    return Payload([Blob(data, media_type)])


def of_object(name: str, data: bytes, takes_files: bool) -> Payload:
    """Returns what an object holds; its content type is not believed, its name's ending is.

    Args:
        name: The object's.
        data: Its bytes.
        takes_files: Whether the model's instances are files: then the object is one.

    Raises:
        ClientError: a line or the document cannot be read; the message names the line.
    """
    if takes_files:
        return Payload([Blob(data)])
    if name.endswith(_LINES):
        if data.count(b"\n") > csv_rows.MAX_VALUES:
            raise BodyTooLargeError(f"expected at most {csv_rows.MAX_VALUES} lines, got more")
        lines = [line for line in data.split(b"\n") if line.strip()]
        return Payload([_line(line, number) for number, line in enumerate(lines, 1)])
    if name.endswith(".csv"):
        return Payload(csv_rows.decode(data))
    if name.endswith(".json"):
        return _of_json(strict_json.decode(data, object))
    return Payload([Blob(data)])


def _of_json(value: Any) -> Payload:
    if isinstance(value, dict) and "instances" in value:
        try:
            document = msgspec.convert(value, native.Document)
        except msgspec.ValidationError as error:
            raise InvalidError(f"expected another document of instances: {error}") from None
        return Payload(document.instances, document.parameters)
    return Payload([value])


def _line(line: bytes, number: int) -> Any:
    try:
        return strict_json.decode(line, object)
    except MalformedError as error:
        raise error.within(f"line {number}") from None
