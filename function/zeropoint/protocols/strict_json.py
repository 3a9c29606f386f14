"""JSON as RFC 8259 has it: no NaN, no endless nesting, and out of our hands nothing else."""

from typing import TypeVar

import msgspec

from zeropoint import json_bounds
from zeropoint.errors import MalformedError

MAX_DEPTH = 64
MEDIA_TYPE = "application/json"
_Type = TypeVar("_Type")

_encoder = msgspec.json.Encoder(enc_hook=str)
encode = _encoder.encode
encode_lines = _encoder.encode_lines


def decode(body: bytes, type_: type[_Type]) -> _Type:
    """Reads a JSON document.

    Args:
        body: UTF-8.
        type_: What it must be.

    Raises:
        MalformedError: not JSON, nested too deeply, or not of the type.
        BodyTooLargeError: more values than `json_bounds` lets pass.
    """
    json_bounds.refuse_costly(body)
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look into the texts that it skips
        value = msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        raise MalformedError(f"expected another JSON document: {error}") from None
    except RecursionError:
        raise MalformedError(f"expected JSON nested at most {MAX_DEPTH} deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedError("expected JSON in UTF-8, got bytes that are none") from None
    # Fewer brackets than that cannot nest deeper, so most documents are not looked at again.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and json_bounds.depth(body) > MAX_DEPTH:
        raise MalformedError(f"expected JSON nested at most {MAX_DEPTH} deep")
    return value


def is_json(media_type: str) -> bool:
    """Tells whether a media type, in lower case and without parameters, is JSON."""
    return media_type == MEDIA_TYPE or media_type.endswith("+json")
