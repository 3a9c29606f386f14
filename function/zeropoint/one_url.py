"""``POST /``: what is in a request tells which route it is meant for."""

import msgspec
from flask import Request
from msgspec import UNSET, Raw, UnsetType

from zeropoint.protocols import read_body, strict_json
from zeropoint.settings import Settings

# Of the routes that are told apart.
PATHS = ("/predict", "/bigquery")


class _Keys(msgspec.Struct):
    """The keys that tell documents apart; their values are not read here."""

    calls: Raw | UnsetType = UNSET


def path_of(request: Request, settings: Settings) -> str:
    """Returns the path of the route that a request sent to ``/`` is meant for.

    ``{"calls": …}`` is BigQuery's, all else is native.

    Raises:
        BodyTooLargeError: the body is over ``ZEROPOINT_MAX_BODY_BYTES``.
    """
    if strict_json.is_json(request.mimetype):
        try:
            keys = msgspec.json.decode(read_body(request, settings), type=_Keys)
        except msgspec.DecodeError:
            return "/predict"  # which says what is wrong with it
        if keys.calls is not UNSET:
            return "/bigquery"
    return "/predict"
