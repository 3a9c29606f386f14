"""The routes, in one table, and how an error becomes an answer, in one function."""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from flask import Request, Response
from werkzeug import exceptions
from werkzeug.routing import Map, RequestRedirect, Rule

from zeropoint import __version__, handlers, logs, responses
from zeropoint.errors import (
    MalformedError,
    MethodNotAllowedError,
    RouteNotFoundError,
    ServerError,
    UnavailableError,
    UnsupportedMediaError,
    ZeropointError,
)
from zeropoint.logs import log
from zeropoint.protocols import Protocol, native
from zeropoint.serving import Serving
from zeropoint.settings import Settings
from zeropoint.timing import ColdStart

_OUR_FAULT = "an error of this server, which its log tells"
_REQUEST_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


class App:
    """The function behind every route.

    Args:
        settings: Where the models are, and the limits.
        cold_start: When the process began.
    """

    def __init__(self, settings: Settings, cold_start: ColdStart) -> None:
        self._serving = Serving(settings, cold_start)
        self._metrics = self._serving.metrics
        self._map = Map(
            [Rule(route.path, endpoint=route, methods=[route.method]) for route in ROUTES],
            strict_slashes=False,
            merge_slashes=False,
            redirect_defaults=False,
        )

    def start(self) -> None:
        """Begins to load the default model; called where requests will be served."""
        self._serving.catalog.start()

    def __call__(self, request: Request) -> Response:
        """Answers one request; it never raises."""
        headers = request.headers
        logs.follow(headers.get("traceparent", ""), headers.get("x-cloud-trace-context", ""))
        self._metrics.began()
        route = Route("", "none", handlers.predict, _shape_of(request.path))
        try:
            route, arguments = self._map.bind_to_environ(request.environ).match()
            if request.content_encoding not in (None, "identity"):
                raise UnsupportedMediaError("expected a body without a content encoding, got one")
            response: Response = route.handler(self._serving, request, route.protocol, **arguments)
        except Exception as error:
            response = self.refuse(error, route.protocol)
        self._metrics.ended(route.path, response.status_code)
        request_id = headers.get("x-request-id", "")
        if _REQUEST_ID.fullmatch(request_id):
            response.headers["X-Request-Id"] = request_id
        return response

    def refuse(self, error: Exception, protocol: Protocol = native) -> Response:
        """Makes any error an answer: the one place where errors become HTTP.

        An error that is not of Zeropoint's own is our fault: logged with its trace, told without
        detail.
        """
        if isinstance(error, exceptions.HTTPException):
            error = _own(error)
        if not isinstance(error, ZeropointError) or error.status == 500:
            log.error("internal error: %s", error, exc_info=error)
            error = ServerError(_OUR_FAULT)
        elif error.status > 500:
            log.warning("refused: %s", error.message)
        self._metrics.refused(error.code)
        headers = {}
        if isinstance(error, UnavailableError):
            headers["Retry-After"] = str(math.ceil(error.retry_after_s))
        if isinstance(error, MethodNotAllowedError):
            headers["Allow"] = ", ".join(error.allow)
        return responses.of_body(protocol.refuse(error), error.status, headers)


class Route(NamedTuple):
    """A row of the table: who answers, and in whose shape."""

    method: str
    path: str
    handler: Callable[..., Response]
    protocol: Protocol = native


def index(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Describes the function."""
    routes = [f"{route.method} {route.path}" for route in ROUTES]
    return responses.of_json({"name": "zeropoint", "version": __version__, "routes": routes})


ROUTES = (
    Route("GET", "/", index),
    Route("POST", "/", handlers.predict),
    Route("POST", "/predict", handlers.predict),
    Route("POST", "/predict/<model>", handlers.predict),
    Route("GET", "/livez", handlers.alive),
    Route("GET", "/readyz", handlers.ready),
    Route("GET", "/models", handlers.models),
    Route("GET", "/models/<model>", handlers.describe),
    Route("GET", "/metrics", handlers.metrics),
)


# The first part of a path: whose shape a refusal has where no route of it was met.
_SHAPES = {route.path.split("/")[1]: route.protocol for route in ROUTES}


def _shape_of(path: str) -> Protocol:
    return _SHAPES.get(path.split("/")[1] if "/" in path else "", native)


def _own(error: exceptions.HTTPException) -> ZeropointError:
    """Returns our error for one of Werkzeug's, whose text may hold parts of the request."""
    if isinstance(error, exceptions.MethodNotAllowed):
        methods = tuple(sorted(error.valid_methods or ()))
        return MethodNotAllowedError(f"expected the method {' or '.join(methods)}", methods)
    if isinstance(error, exceptions.NotFound | RequestRedirect):
        return RouteNotFoundError("expected a route of this server (GET / lists them)")
    if error.code is not None and 400 <= error.code < 500:
        return MalformedError("expected a whole HTTP request, got a broken one")
    return ServerError(_OUR_FAULT)
