"""What every answer of the function has in common."""

from collections.abc import Mapping
from typing import Any

from zeropoint.protocols import Body, strict_json
from zeropoint.wsgi import Response


def of_json(value: Any) -> Response:
    """Returns an answer whose body is a JSON value."""
    return of_body(Body(strict_json.encode(value)))


def of_body(body: Body, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns an answer with a protocol's body."""
    fields = {
        "Content-Type": body.media_type,
        "Content-Length": str(len(body.data)),
        "X-Content-Type-Options": "nosniff",
        **body.headers,
        **(headers or {}),
    }
    return Response(status, fields, body.data)
