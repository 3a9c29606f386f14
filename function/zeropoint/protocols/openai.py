"""What the routes below /v1 have in common: they take and give what OpenAI's API does.

Each is a module of its own: `openai_chat`, `openai_completions` and `openai_embeddings`. A field
that asks for what is not served is refused, so that no answer differs from what was asked; one
that nobody here knows is ignored, as clients send many (https://platform.openai.com/docs/api-reference).
"""

import os
import re
import time
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from zeropoint.errors import (
    InvalidError,
    MalformedError,
    ModelNotFoundError,
    UnsupportedMediaError,
    ZeropointError,
)
from zeropoint.model import Model
from zeropoint.protocols import Body, Call, Protocol, event_stream, read_body, strict_json
from zeropoint.protocols.description import Description, object_of
from zeropoint.settings import Settings
from zeropoint.wsgi import Request

if typing.TYPE_CHECKING:
    from zeropoint.stream import Stream

GENERATION, EMBEDDING = "text-generation", "text-embedding"  # the tasks that these routes ask
DONE = event_stream.event(b"[DONE]")

# JSON Schema of what `head` and `usage` give.
_COUNT = {"type": "integer", "minimum": 0}
HEAD: dict[str, Any] = {
    "id": {"type": "string"},
    "object": {"type": "string"},
    "created": _COUNT,
    "model": {"type": "string"},
    "system_fingerprint": {"type": "string"},
}
USAGE = object_of(prompt_tokens=_COUNT, completion_tokens=_COUNT, total_tokens=_COUNT)

# Of a status; any other is the request's fault, or ours.
_TYPES = {401: "authentication_error", 429: "rate_limit_exceeded"}
_PLACE = re.compile(r"(?:parameters\.)?(\w+)(?:\.\w+)*: ")
_PATH = re.compile(r"`\$\.(\w+)")  # as msgspec tells it
_FINGERPRINT_DIGITS = 10
_Document = typing.TypeVar("_Document", bound=msgspec.Struct)


class StreamOptions(msgspec.Struct):
    """How a text is streamed."""

    include_usage: bool | None = None


class Writing(msgspec.Struct, kw_only=True):
    """What a request for a text may hold, whatever it is made from."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class How(NamedTuple):
    """How an answer is wanted."""

    stream: bool = False
    usage: bool = False  # at a stream's end
    base64: bool = False  # of vectors


class WritingProtocol(Protocol, typing.Protocol):
    """A protocol that also tells a text as it comes."""

    def events(self, stream: "Stream", call: Call) -> Iterator[bytes]:
        """Yields what the caller gets, as Server-Sent Events."""


# Fields of a request for a text that are not served, each with the values that ask for nothing.
UNSERVED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
}
_PARAMETERS = ("temperature", "top_p", "top_k", "repetition_penalty", "seed", "max_tokens")


def read(
    request: Request,
    settings: Settings,
    type_: type[_Document],
    unserved: Mapping[str, tuple[Any, ...]],
) -> _Document:
    """Reads a request's document.

    Args:
        request: The request.
        settings: The limits.
        type_: What the document must be.
        unserved: Fields, each with the values that ask for nothing.

    Raises:
        UnsupportedMediaError: it is not JSON.
        MalformedError: it is not such a document.
        BodyTooLargeError: it is over ``ZEROPOINT_MAX_BODY_BYTES``.
        InvalidError: it asks for what is not served.
    """
    if not strict_json.is_json(request.media_type):
        raise UnsupportedMediaError("expected the media type application/json, got another")
    fields = strict_json.decode(read_body(request, settings), dict[str, Any])
    try:
        document = msgspec.convert(fields, type_)
    except msgspec.ValidationError as error:
        raise MalformedError(f"expected another JSON document: {error}") from None
    for name, nothing in unserved.items():
        if name in fields and fields[name] not in nothing:
            known = " or ".join(
                ["none", *(strict_json.encode(one).decode() for one in nothing[1:])]
            )
            raise InvalidError(f"{name}: expected {known}, as no other is served here")
    return document


def parameters(document: Writing) -> dict[str, Any]:
    """Returns what a request varies, in the task's words.

    Raises:
        InvalidError: a stop is empty.
    """
    stops = [document.stop] if isinstance(document.stop, str) else document.stop or []
    if "" in stops:
        raise InvalidError("stop: expected a text or a list of texts, none of them empty")
    found = {name: getattr(document, name) for name in _PARAMETERS}
    return {name: value for name, value in found.items() if value is not None} | {"stop": stops}


def how(document: Writing) -> How:
    """Returns how a text is wanted."""
    options = document.stream_options or StreamOptions()
    return How(bool(document.stream), bool(options.include_usage))


def head(model: Model, kind: str, id_: str) -> dict[str, Any]:
    """Returns what every document of an answer begins with.

    Args:
        model: Who answers.
        kind: What the document is.
        id_: How the answer's name begins.
    """
    digits = model.digest.partition(":")[2][:_FINGERPRINT_DIGITS]
    return {
        "id": f"{id_}-{os.urandom(12).hex()}",
        "object": kind,
        "created": int(time.time()),
        "model": model.manifest.name,
        "system_fingerprint": f"fp_{digits}",
    }


def finish(reason: str | None) -> str:
    """Returns why a text ended, in OpenAI's words: a deadline is a limit of the length, too."""
    return "stop" if reason == "stop" else "length"


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Returns how many tokens were read and written."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def event(document: Mapping[str, Any]) -> bytes:
    """Returns a document as one Server-Sent Event."""
    return event_stream.event(strict_json.encode(document))


def refuse(error: ZeropointError) -> Body:
    """Writes a refusal in OpenAI's shape, which names the field that it is about."""
    message = error.message
    place = _PLACE.match(message) or _PATH.search(message)
    document = {
        "message": message.removeprefix("parameters."),
        "type": _TYPES.get(
            error.status, "server_error" if error.status >= 500 else "invalid_request_error"
        ),
        "param": "model" if isinstance(error, ModelNotFoundError) else place and place[1],
        "code": error.code,
    }
    return Body(strict_json.encode({"error": document}))


def described(
    request: dict[str, Any], answer: dict[str, Any], examples: dict[str, Any], streams: bool
) -> Description:
    """Describes a route.

    Args:
        request: JSON Schema of a document.
        answer: JSON Schema of its answer.
        examples: Of documents, by the model's name.
        streams: Whether the answer may come in events.
    """
    text, nothing = {"type": "string"}, {"type": ["string", "null"]}
    error = object_of(message=text, type=text, param=nothing, code=text)
    events: dict[str, Any] = {event_stream.MEDIA_TYPE: {"schema": {}}} if streams else {}
    media = {"schema": request, **({"examples": examples} if examples else {})}
    return Description(
        {strict_json.MEDIA_TYPE: media},
        {strict_json.MEDIA_TYPE: {"schema": answer}, **events},
        object_of(error=error),
        names_model=True,
    )
