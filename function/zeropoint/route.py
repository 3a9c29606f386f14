"""A row of the table of routes, how one is found, and what a handler says of its own answers."""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from zeropoint.errors import MethodNotAllowedError, RouteNotFoundError, ZeropointError
from zeropoint.protocols import Protocol, native, strict_json
from zeropoint.wsgi import Response

Handler = Callable[..., Response]
_ARGUMENT = re.compile(r"<(\w+)>")


class Route(NamedTuple):
    """Who answers a method of a path, and in whose shape."""

    method: str
    path: str
    handler: Handler
    protocol: Protocol = native
    is_open: bool = False  # to all, also where the settings have a key


class Routes:
    """Finds routes by method and path; ``<name>`` in a path is one part of it, an argument.

    Args:
        routes: Of two with the same method and path the first is found.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        patterns: dict[str, dict[str, Route]] = {}
        for route in routes:
            paths = patterns if "<" in route.path else self._exact
            paths.setdefault(route.path.rstrip("/"), {}).setdefault(route.method, route)
        self._patterns = [
            (re.compile(_ARGUMENT.sub(r"(?P<\1>[^/]+)", re.escape(path))), methods)
            for path, methods in patterns.items()
        ]

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Returns the route of a request, and its path's arguments; HEAD is answered as GET.

        Raises:
            RouteNotFoundError: no route has the path.
            MethodNotAllowedError: one has it, with other methods.
        """
        methods, arguments = self._found(path.rstrip("/"))
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = sorted({*methods, "HEAD"} if "GET" in methods else methods)
            raise MethodNotAllowedError(
                f"expected the method {' or '.join(allowed)}", tuple(allowed)
            )
        return route, arguments

    def _found(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        if methods := self._exact.get(path):
            return methods, {}
        for pattern, methods in self._patterns:
            if found := pattern.fullmatch(path):
                return methods, found.groupdict()
        raise RouteNotFoundError("expected a route of this server (GET / lists them)")


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
