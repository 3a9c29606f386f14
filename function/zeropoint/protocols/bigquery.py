"""BigQuery remote functions: ``{"calls": [[…], …]}`` → ``{"replies": […]}``.

One call is one row. Of one argument the value is the instance, of several their list; a row whose
arguments are all NULL is answered with NULL. The function's user-defined context may name the
``model`` and give ``parameters``, both as text. BigQuery repeats a request that is answered with
408, 429, 500, 503 or 504, and ends the query at any other error, so a bad row must not be one of
those (https://cloud.google.com/bigquery/docs/remote-functions).
"""

from typing import Any

import msgspec

from zeropoint.errors import MalformedError, UnsupportedMediaError, ZeropointError
from zeropoint.instances import NULL, Instance
from zeropoint.model import Answer
from zeropoint.protocols import Body, Call, read_body, refuse_many, strict_json
from zeropoint.protocols.description import Description, Offer, any_of, object_of
from zeropoint.settings import Settings
from zeropoint.wsgi import Request


class Document(msgspec.Struct, rename="camel"):
    """The body of a request, as far as it is used."""

    calls: list[list[Any]]
    user_defined_context: dict[str, str] = {}


def decode(request: Request, settings: Settings) -> Call:
    """Reads a request.

    Raises:
        UnsupportedMediaError: it is not JSON.
        MalformedError: it is not such a document.
        BodyTooLargeError: it is over ``ZEROPOINT_MAX_BODY_BYTES``, or its calls are over
            ``ZEROPOINT_MAX_INSTANCES``.
    """
    if not strict_json.is_json(request.media_type):
        raise UnsupportedMediaError("expected the media type application/json, got another")
    document = strict_json.decode(read_body(request, settings), Document)
    refuse_many(document.calls, settings)
    context = document.user_defined_context
    parameters = strict_json.decode(context.get("parameters", "{}").encode(), dict[str, Any])
    instances = [_instance(arguments) for arguments in document.calls]
    return Call(instances, parameters, model=context.get("model", ""))


def encode(answer: Answer, call: Call) -> Body:
    """Writes one reply for each call, in order."""
    return Body(strict_json.encode({"replies": answer.predictions}))


def refuse(error: ZeropointError) -> Body:
    """Writes a refusal; BigQuery shows its text to whoever runs the query."""
    return Body(strict_json.encode({"errorMessage": f"{error.code}: {error.message}"}))


def openapi(offer: Offer) -> Description:
    """Describes the three."""
    null = {"type": "null"}
    instance = any_of([*(model.schema.instance for model in offer.all_models), null])
    row = any_of(
        [
            {"type": "array", "items": instance, "minItems": 1, "maxItems": 1},
            {"type": "array", "minItems": 2},
        ]
    )
    context = {
        "type": "object",
        "properties": {
            "model": {"enum": [model.name for model in offer.all_models]},
            "parameters": {"type": "string", "contentMediaType": strict_json.MEDIA_TYPE},
        },
        "additionalProperties": {"type": "string"},
    }
    calls = {"type": "array", "items": row, "maxItems": offer.max_instances}
    schema = {**object_of(calls=calls, userDefinedContext=context), "required": ["calls"]}
    examples = {
        model.name: {
            "value": {
                "calls": [[model.schema.example]],
                "userDefinedContext": {"model": model.name},
            }
        }
        for model in offer.all_models
    }
    reply = any_of([*(model.schema.prediction for model in offer.all_models), null])
    answer = object_of(replies={"type": "array", "items": reply})
    return Description(
        {strict_json.MEDIA_TYPE: {"schema": schema, "examples": examples}},
        {strict_json.MEDIA_TYPE: {"schema": answer}},
        object_of(errorMessage={"type": "string"}),
        names_model=True,
    )


def _instance(arguments: list[Any]) -> Instance:
    if not arguments:
        raise MalformedError("expected at least one argument in each call, got none")
    if all(argument is None for argument in arguments):
        return NULL
    return arguments[0] if len(arguments) == 1 else arguments
