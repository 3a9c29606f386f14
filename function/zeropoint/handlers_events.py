"""The routes of events: what is acknowledged, and what has to come again."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from zeropoint import responses
from zeropoint.errors import ClientError, UnavailableError
from zeropoint.events import Event, cloudevent, pubsub
from zeropoint.events.delivery import Receipt
from zeropoint.protocols import Protocol, read_body
from zeropoint.route import gives
from zeropoint.serving import Serving
from zeropoint.wsgi import Request, Response

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent


@gives(Receipt, UnavailableError, takes=(cloudevent.MEDIA_TYPE, "*/*"))
def events(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Takes a CloudEvent: answers it, and writes the result to the sink."""
    return _taken(serving, request, cloudevent.decode)


@gives(Receipt, UnavailableError, takes=("application/json", "*/*"))
def messages(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Takes a Pub/Sub push message: answers it, and writes the result to the sink."""
    return _taken(serving, request, pubsub.decode)


def take(serving: Serving, event: "CloudEvent") -> Receipt:
    """Takes an event that the framework has read.

    Raises:
        UnavailableError: it has to come again.
    """
    from cloudevents.conversion import to_json  # here and below: not on the way to a photo's answer

    try:
        found = cloudevent.of_sdk(event)
    except ClientError as error:
        return serving.deliveries.refuse_body(error, to_json(event))
    return serving.deliveries.accept(found)


def _taken(
    serving: Serving, request: Request, decode: Callable[[dict[str, str], bytes], Event]
) -> Response:
    """Acknowledges a delivery once it is answered or its error is recorded.

    A refusal other than 503 would only be delivered again, so the error is recorded instead.
    """
    body = b""
    try:
        body = read_body(request, serving.settings)
        event = decode(request.headers(), body)
    except ClientError as error:
        return responses.of_json(serving.deliveries.refuse_body(error, body))
    return responses.of_json(serving.deliveries.accept(event))
