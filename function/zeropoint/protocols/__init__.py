"""A protocol is how instances come in and predictions go out: one module each.

A new one is a module with `Protocol`'s three functions, and a row for each of its routes in
`zeropoint.app.ROUTES`. It knows nothing of tasks or ONNX Runtime.
"""

import typing
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zeropoint.errors import BodyTooLargeError, MalformedError, ZeropointError
from zeropoint.instances import Instance
from zeropoint.model import Answer
from zeropoint.protocols import strict_json
from zeropoint.settings import Settings
from zeropoint.tensors import Tensors
from zeropoint.wsgi import Request


class Call(NamedTuple):
    """What a request asks for: instances or, of the model itself, tensors."""

    instances: Sequence[Instance] = ()
    parameters: Mapping[str, Any] = {}
    tensors: Tensors | None = None
    model: str = ""  # named in the document, where the path names none
    context: Any = None  # what `encode` must know of the request


class Body(NamedTuple):
    """The body of a response, and the headers that belong to it."""

    data: bytes
    media_type: str = strict_json.MEDIA_TYPE
    headers: Mapping[str, str] = {}


class Protocol(typing.Protocol):
    """How instances come in and predictions go out."""

    def decode(self, request: Request, settings: Settings) -> Call:
        """Reads a request.

        Raises:
            ClientError: it cannot be parsed, or it is over a limit.
        """

    def encode(self, answer: Answer, call: Call) -> Body:
        """Writes the answer to a call."""

    def refuse(self, error: ZeropointError) -> Body:
        """Writes a refusal."""


def read_body(request: Request, settings: Settings) -> bytes:
    """Reads a request's whole body, never more than the limit and a byte.

    Raises:
        BodyTooLargeError: over ``ZEROPOINT_MAX_BODY_BYTES``, told before it is read where the
            caller gave its length.
        MalformedError: there is none.
    """
    limit = settings.max_body_bytes
    body = b"" if (request.content_length or 0) > limit else request.body(limit + 1)
    if (request.content_length or len(body)) > limit:
        raise BodyTooLargeError(f"expected a body of at most {limit} bytes, got more")
    if not body:
        raise MalformedError("expected a body, got none")
    return body


def refuse_many(instances: Sequence[Instance], settings: Settings) -> None:
    """Refuses instances of which there are too many, before anything is made of them.

    Raises:
        BodyTooLargeError: over ``ZEROPOINT_MAX_INSTANCES``.
    """
    if len(instances) > settings.max_instances:
        raise BodyTooLargeError(
            f"expected at most {settings.max_instances} instances, got {len(instances)}"
        )
