"""Zeropoint's own protocol: a file or CSV as the body, files in a form, or Vertex AI's JSON.

``{"instances": [...], "parameters": {...}}`` →
``{"predictions": [...], "model": "…", "version": "…", "digest": "sha256:…"}``
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from zeropoint.errors import MalformedError, ZeropointError
from zeropoint.instances import Blob
from zeropoint.model import Answer
from zeropoint.protocols import (
    Body,
    Call,
    csv_rows,
    event_stream,
    read_body,
    refuse_many,
    strict_json,
)
from zeropoint.protocols.description import (
    DIGEST,
    Description,
    Media,
    Offer,
    Served,
    any_of,
    object_of,
    told,
)
from zeropoint.settings import Settings
from zeropoint.wsgi import Request

if TYPE_CHECKING:
    from zeropoint.stream import Stream

_FORM = "multipart/form-data"


class Document(msgspec.Struct):
    """The JSON body of a request."""

    instances: list[Any]
    parameters: dict[str, Any] = {}


def decode(request: Request, settings: Settings) -> Call:
    """Reads a request: JSON, a form with files, CSV, or any other media type as one file.

    Parameters stand in the query, ``?top_k=3``, or in the JSON.

    Raises:
        MalformedError: the body is empty or cannot be parsed.
        BodyTooLargeError: the body is over ``ZEROPOINT_MAX_BODY_BYTES``, or its instances, a
            form's files or the rows of CSV are over ``ZEROPOINT_MAX_INSTANCES``.
    """
    media_type = request.media_type
    body = read_body(request, settings)
    if media_type == _FORM:
        from zeropoint.protocols import form  # and Werkzeug's parser: not on the way to others

        files = form.decode(body, request.content_type, settings.max_instances)
        return Call(files, _query(request))
    if strict_json.is_json(media_type):
        document = strict_json.decode(body, Document)
        refuse_many(document.instances, settings)
        parameters = _query(request)
        if parameters.keys() & document.parameters.keys():
            raise MalformedError("expected a parameter in the query or in the JSON, got it in both")
        return Call(document.instances, {**parameters, **document.parameters})
    if media_type == csv_rows.MEDIA_TYPE:
        return Call(csv_rows.decode(body, settings.max_instances), _query(request))
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


def events(stream: "Stream") -> Iterator[bytes]:
    """Writes a text as it comes: an event for each piece, and one that tells what is known then."""
    for piece in stream:
        yield event_stream.event(strict_json.encode({"text": piece}))
    manifest = stream.model.manifest
    document = {
        "text": "",
        "finish_reason": stream.finish_reason,
        "prompt_tokens": stream.prompt_tokens,
        "completion_tokens": stream.completion_tokens,
        "model": manifest.name,
        "version": manifest.version,
        "digest": stream.model.digest,
    }
    yield event_stream.event(strict_json.encode(document))


def refuse(error: ZeropointError) -> Body:
    """Writes a refusal in the one error shape."""
    document = {"code": error.code, "message": error.message, "retryable": error.retryable}
    return Body(strict_json.encode({"error": document}))


def openapi(offer: Offer) -> Description:
    """Describes the three."""
    answer = {strict_json.MEDIA_TYPE: {"schema": any_of(map(_answer, offer.models))}}
    if any(model.task == "text-generation" for model in offer.models):
        answer[event_stream.MEDIA_TYPE] = {"schema": {"type": "string"}}
    error = object_of(
        code={"enum": [class_.code for class_ in told()]},
        message={"type": "string"},
        retryable={"type": "boolean"},
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for model in offer.models:
        for name, schema in model.parameters["properties"].items():
            found.setdefault(name, []).append(schema)
    parameters = [
        {"name": name, "in": "query", "schema": any_of(schemas)} for name, schemas in found.items()
    ]
    return Description(_request(offer), answer, object_of(error=error), parameters)


def _request(offer: Offer) -> Media:
    documents: dict[str, Any] = {"schema": any_of(_document(one, offer) for one in offer.models)}
    request = {strict_json.MEDIA_TYPE: documents}
    documents["examples"] = {
        model.name: {"value": {"instances": [model.schema.example]}} for model in offer.models
    }
    for model in offer.models:
        for media_type in model.schema.media_types:
            request.setdefault(media_type, {"schema": {}})
        for media_type in model.schema.media_types[:1]:
            examples = request[media_type].setdefault("examples", {})
            examples[model.name] = _file_example(media_type, model.schema.example)
    if len(request) > 1:
        file = {"type": "string", "contentMediaType": "application/octet-stream"}
        schema = {
            "type": "object",
            "description": "One or more files, under any names, answered in their order",
            "additionalProperties": file,
            "minProperties": 1,
        }
        request[_FORM] = {"schema": schema}
    return request


def _document(model: Served, offer: Offer) -> dict[str, Any]:
    items = {"type": "array", "items": model.schema.instance, "maxItems": offer.max_instances}
    schema = object_of(instances=items, parameters=model.parameters)
    return {"title": model.name, **schema, "required": ["instances"]}


def _answer(model: Served) -> dict[str, Any]:
    return object_of(
        predictions={"type": "array", "items": model.schema.prediction},
        model={"const": model.name},
        version={"type": "string"},
        digest=DIGEST,
    )


def _file_example(media_type: str, example: Any) -> dict[str, Any]:
    """Returns an instance as it stands alone in a body; bytes are a data: URI, not JSON."""
    if isinstance(example, dict) and example.keys() == {"b64"}:
        return {"externalValue": f"data:{media_type};base64,{example['b64']}"}
    if isinstance(example, dict) and media_type == csv_rows.MEDIA_TYPE:
        example = csv_rows.encode(example)
    return {"value": example}


def _query(request: Request) -> dict[str, Any]:
    """Returns the query's parameters: as JSON where they are, else as text."""
    found: dict[str, Any] = {}
    for key, text in request.query():
        if key in found:
            raise MalformedError("expected each parameter of the query once, got one again")
        try:
            found[key] = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            found[key] = text
    return found
