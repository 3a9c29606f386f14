"""``POST /``: what is in a request tells which route it is meant for."""

import msgspec
from msgspec import UNSET, Raw, UnsetType

from zeropoint.events import cloudevent, pubsub
from zeropoint.protocols import read_body, strict_json
from zeropoint.settings import Settings
from zeropoint.wsgi import Request

# Of the routes that are told apart.
PATHS = ("/predict", "/bigquery", "/events", "/pubsub")


class _Keys(msgspec.Struct):
    """The keys that tell documents apart; their values are not read here."""

    calls: Raw | UnsetType = UNSET
    message: Raw | UnsetType = UNSET
    subscription: Raw | UnsetType = UNSET


def path_of(request: Request, settings: Settings) -> str:
    """Returns the path of the route that a request sent to ``/`` is meant for.

    A CloudEvent is told by its headers, as is an unwrapped Pub/Sub message; a wrapped one by
    ``{"message": …, "subscription": …}``. ``{"calls": …}`` is BigQuery's, all else is native.

    Raises:
        BodyTooLargeError: the body is over ``ZEROPOINT_MAX_BODY_BYTES``.
    """
    headers = request.headers()
    if cloudevent.is_event(headers, request.media_type):
        return "/events"
    if pubsub.is_unwrapped(headers):
        return "/pubsub"
    if strict_json.is_json(request.media_type):
        try:
            keys = msgspec.json.decode(read_body(request, settings), type=_Keys)
        except (ValueError, RecursionError):
            return "/predict"  # which says what is wrong with it
        if keys.calls is not UNSET:
            return "/bigquery"
        if keys.message is not UNSET and keys.subscription is not UNSET:
            return "/pubsub"
    return "/predict"
