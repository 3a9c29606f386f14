"""Zeropoint's own protocol: a file as the body, files in a form, or JSON in Vertex AI's shape.

``{"instances": [...], "parameters": {...}}`` →
``{"predictions": [...], "model": "…", "version": "…", "digest": "sha256:…"}``
"""

import io
from typing import IO, Any, cast

import msgspec
from flask import Request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser

from zeropoint.errors import BodyTooLargeError, MalformedError, ZeropointError
from zeropoint.instances import Blob
from zeropoint.model import Answer
from zeropoint.protocols import Body, Call, read_body, strict_json
from zeropoint.settings import Settings

_Files = list[tuple[str, FileStorage]]
_FORM = "multipart/form-data"


class Document(msgspec.Struct):
    """The JSON body of a request."""

    instances: list[Any]
    parameters: dict[str, Any] = {}


def decode(request: Request, settings: Settings) -> Call:
    """Reads a request: JSON, a form with files, or any other media type as one file.

    Parameters of a file or a form stand in the query: ``?top_k=3``.

    Raises:
        MalformedError: the body is empty or cannot be parsed.
        BodyTooLargeError: the body is over ``ZEROPOINT_MAX_BODY_BYTES``.
    """
    media_type = request.mimetype
    body = read_body(request, settings)
    if media_type == _FORM:
        boundary = request.mimetype_params.get("boundary", "")
        return Call(_files(body, boundary, settings.max_instances), _query(request))
    if strict_json.is_json(media_type):
        document = strict_json.decode(body, Document)
        return Call(document.instances, document.parameters)
    return Call([Blob(body, media_type)], _query(request))


def encode(answer: Answer, call: Call) -> Body:
    """Writes the predictions, and which model made them."""
    manifest = answer.model.manifest
    document = {
        "predictions": answer.predictions,
        "model": manifest.name,
        "version": manifest.version,
        "digest": answer.model.digest,
    }
    return Body(strict_json.encode(document))


def refuse(error: ZeropointError) -> Body:
    """Writes a refusal in the one error shape."""
    told = {"code": error.code, "message": error.message, "retryable": error.retryable}
    return Body(strict_json.encode({"error": told}))


def _files(body: bytes, boundary: str, max_parts: int) -> list[Blob]:
    """Returns the files of a form in the order in which they were sent."""
    if not boundary:
        raise MalformedError("expected a boundary in the content type of a form, got none")
    parser = MultiPartParser(
        stream_factory=_in_memory,
        max_form_memory_size=len(body),
        max_form_parts=max_parts,
        cls=cast(Any, list),  # keeps the order across names, which a MultiDict does not
    )
    try:
        _, parsed = parser.parse(io.BytesIO(body), boundary.encode("ascii"), len(body))
    except RequestEntityTooLarge:
        raise BodyTooLargeError(f"expected at most {max_parts} parts in a form, got more") from None
    except ValueError:
        raise MalformedError("expected a form of multipart/form-data, got a broken one") from None
    files = cast(_Files, parsed)
    if not files:
        raise MalformedError("expected a form with at least one file, got none")
    return [Blob(file.read(), file.mimetype) for _, file in files]


def _in_memory(
    total_content_length: int | None,
    content_type: str | None,
    filename: str | None,
    content_length: int | None = None,
) -> IO[bytes]:
    """Keeps a form's file in memory: the body's size is bounded, and a disk may be read-only."""
    return io.BytesIO()


def _query(request: Request) -> dict[str, Any]:
    """Returns the query's parameters: as JSON where they are, else as text."""
    found: dict[str, Any] = {}
    for key, text in request.args.items():
        try:
            found[key] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            found[key] = text
    return found
