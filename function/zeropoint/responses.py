"""What every answer of the function has in common."""

from collections.abc import Mapping
from typing import Any

from zeropoint.protocols import Body, event_stream, strict_json
from zeropoint.wsgi import Events, Response


def of_json(value: Any) -> Response:
    """Returns an answer whose body is a JSON value."""
    return of_body(Body(strict_json.encode(value)))


def of_events(events: Events, headers: Mapping[str, str]) -> Response:
    """Returns an answer that comes in pieces: Server-Sent Events, as WHATWG's HTML has them.

    Args:
        events: Each whole, with its empty line.
        headers: Beside those of every such answer.
    """
    fields = {
        "Content-Type": event_stream.MEDIA_TYPE,
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",  # a proxy's that would gather pieces
        "X-Content-Type-Options": "nosniff",
        **headers,
    }
    return Response(200, fields, b"", events)


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
