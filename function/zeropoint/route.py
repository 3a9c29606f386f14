"""A row of the table of routes, and what a handler says of its own answers."""

from collections.abc import Callable
from typing import Any, NamedTuple

from werkzeug.wrappers import Response

from zeropoint.errors import ZeropointError
from zeropoint.protocols import Protocol, native, strict_json

Handler = Callable[..., Response]


class Route(NamedTuple):
    """Who answers a method of a path, and in whose shape."""

    method: str
    path: str
    handler: Handler
    protocol: Protocol = native


class Given(NamedTuple):
    """What a handler answers, where no protocol encodes it."""

    type: Any  # one that msgspec knows
    media_type: str
    refusals: tuple[type[ZeropointError], ...]  # beside those that every route may give
    takes: tuple[str, ...]  # media types of a body, each of any content


GIVEN: dict[Handler, Given] = {}


def gives(
    type_: Any,
    *refusals: type[ZeropointError],
    media_type: str = strict_json.MEDIA_TYPE,
    takes: tuple[str, ...] = (),
) -> Callable[[Handler], Handler]:
    """Says what a handler takes, answers and may refuse, for `zeropoint.openapi`."""

    def keep(handler: Handler) -> Handler:
        GIVEN[handler] = Given(type_, media_type, refusals, takes)
        return handler

    return keep
