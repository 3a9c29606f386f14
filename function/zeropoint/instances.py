"""What a protocol hands to a task: a JSON value, or bytes with what is known of them."""

from typing import Any, NamedTuple


class Blob(NamedTuple):
    """Bytes as they came, and the media type that the caller gave them, in lower case."""

    data: bytes
    media_type: str = ""


class _Null:
    """The one value of its kind, as None may be an instance that a caller sent."""


# An instance that is none, as SQL's NULL: its prediction is None.
NULL = _Null()

# A Blob, or a JSON value: what a task takes is its own to say.
Instance = Any
