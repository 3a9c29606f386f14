"""What a protocol hands to a task: a JSON value, or bytes with what is known of them."""

import binascii
from typing import Any, NamedTuple

from zeropoint.errors import MalformedError


class Blob(NamedTuple):
    """Bytes as they came, and the media type that the caller gave them, in lower case."""

    data: bytes
    media_type: str = ""


# A Blob, or a JSON value: what a task takes is its own to say.
Instance = Any


def from_json(value: Any) -> Instance:
    """Returns the instance that a JSON value stands for: ``{"b64": "…"}`` stands for bytes.

    Raises:
        MalformedError: ``b64`` is not standard base64.
    """
    if isinstance(value, dict) and value.keys() == {"b64"}:
        text = value["b64"]
        if not isinstance(text, str):
            raise MalformedError("expected a string of base64 under b64, got another JSON type")
        try:
            return Blob(binascii.a2b_base64(text.encode("ascii"), strict_mode=True))
        except ValueError:
            raise MalformedError(
                "expected standard base64 under b64 (no line breaks, no data: prefix),"
                " got other characters or a wrong length"
            ) from None
    return value
