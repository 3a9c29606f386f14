"""What every answer of the function has in common."""

from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

from zeropoint.protocols import Body, strict_json


def of_json(value: Any) -> Response:
    """Returns an answer whose body is a JSON value."""
    return of_body(Body(strict_json.encode(value)))


def of_body(body: Body, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns an answer with a protocol's body.

    It is an iterator, as functions-framework reads the whole request body, however large, before
    it sends a response that is none; on a refused body that reading would fail again.
    """
    fields = {
        "Content-Type": body.media_type,
        "Content-Length": str(len(body.data)),
        "X-Content-Type-Options": "nosniff",
        **body.headers,
        **(headers or {}),
    }
    return Response(iter([body.data]), status, list(fields.items()))
