"""The routes, in one table, and how an error becomes an answer, in one function."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from flask import Request, Response
from werkzeug import exceptions
from werkzeug.routing import Map, RequestRedirect, Rule

from zeropoint import __version__, logs
from zeropoint.artifact import open_repository
from zeropoint.catalog import Catalog
from zeropoint.errors import (
    MalformedError,
    MethodNotAllowedError,
    ModelUnavailableError,
    RouteNotFoundError,
    ServerError,
    UnavailableError,
    UnsupportedMediaError,
    ZeropointError,
)
from zeropoint.logs import log
from zeropoint.model import Answer
from zeropoint.protocols import Protocol, native, strict_json
from zeropoint.settings import Settings
from zeropoint.timing import ColdStart, Timings


class App:
    """The function behind every route.

    Args:
        settings: Where the models are, and the limits.
        cold_start: When the process began.
    """

    def __init__(self, settings: Settings, cold_start: ColdStart) -> None:
        self.settings = settings
        self.catalog = Catalog(open_repository(settings), settings)
        self._cold_start = cold_start
        self._map = Map(
            [Rule(r.path, endpoint=r, methods=[r.method]) for r in ROUTES],
            strict_slashes=False,
            merge_slashes=False,
            redirect_defaults=False,
        )

    def start(self) -> None:
        """Begins to load the default model; called where requests will be served."""
        self.catalog.start()

    def __call__(self, request: Request) -> Response:
        """Answers one request; it never raises."""
        logs.follow(
            request.headers.get("traceparent", ""), request.headers.get("x-cloud-trace-context", "")
        )
        protocol: Protocol = native
        try:
            route: Route
            route, arguments = self._map.bind_to_environ(request.environ).match()
            protocol = route.protocol
            if request.content_encoding not in (None, "identity"):
                raise UnsupportedMediaError("expected a body without a content encoding, got one")
            return route.handler(self, request, protocol, **arguments)
        except Exception as error:
            return refusal(error, protocol)

    def cold_start_header(self, answer: Answer) -> str:
        """Returns and logs how the model was loaded, if this is its first answer.

        The first answer of the process also tells how the process began.
        """
        model = answer.model
        if not model.first_answer.acquire(blocking=False):
            return ""
        phases = Timings()
        first = self._cold_start.is_first()
        if first:
            phases["process"] = self._cold_start.process_s
        phases.update(model.load_timings)
        phases["first"] = sum(answer.timings.values())
        if first:
            phases["total"] = self._cold_start.total_s()
        fields = {
            "model": model.manifest.name,
            "digest": model.digest,
            "cold_start_ms": phases.ms(),
        }
        log.info("cold start", extra={"fields": fields})
        return phases.header("cold-")


def predict(app: App, request: Request, protocol: Protocol, model: str = "") -> Response:
    """Answers instances with predictions."""
    call = protocol.decode(request, app.settings)
    timings = Timings()
    with timings.measure("queue"):
        loaded = app.catalog.get(model, app.settings.timeout_s)
    answer = loaded.predict(call.instances, call.parameters)
    timings.update(answer.timings)
    told = [timings.header(), app.cold_start_header(answer)]
    return _respond(
        protocol.encode(answer),
        headers={"X-Model-Digest": loaded.digest, "Server-Timing": ", ".join(filter(None, told))},
    )


def alive(app: App, request: Request, protocol: Protocol) -> Response:
    """Tells that the process answers; loads nothing."""
    return _respond({"alive": True})


def ready(app: App, request: Request, protocol: Protocol) -> Response:
    """Tells whether the default model gave its known answer; begins its load, never waits."""
    state = app.catalog.start()
    if state != "ready":
        raise ModelUnavailableError(f"expected a default model that is ready, got one {state}")
    model = app.catalog.get("", 0.0)
    return _respond({"ready": True, "model": model.manifest.name, "digest": model.digest})


def models(app: App, request: Request, protocol: Protocol) -> Response:
    """Lists the repository's models; loads none."""
    return _respond({"models": [_listed(app, name) for name in app.catalog.names()]})


def describe(app: App, request: Request, protocol: Protocol, model: str) -> Response:
    """Describes one model; loads nothing."""
    manifest = app.catalog.manifest(model)
    loaded = app.catalog.loaded(model)
    return _respond(
        {
            **_listed(app, model),
            "version": manifest.version,
            "task": manifest.task,
            "license": manifest.license,
            "digest": f"sha256:{manifest.file.sha256}",
            "inputs": [str(spec) for spec in loaded.inputs] if loaded else None,
            "outputs": [str(spec) for spec in loaded.outputs] if loaded else None,
        }
    )


def index(app: App, request: Request, protocol: Protocol) -> Response:
    """Describes the function."""
    return _respond(
        {
            "name": "zeropoint",
            "version": __version__,
            "routes": [f"{route.method} {route.path}" for route in ROUTES],
        }
    )


class Route(NamedTuple):
    """A row of the table: who answers, and in whose shape."""

    method: str
    path: str
    handler: Callable[..., Response]
    protocol: Protocol = native


ROUTES = (
    Route("GET", "/", index),
    Route("POST", "/", predict),
    Route("POST", "/predict", predict),
    Route("POST", "/predict/<model>", predict),
    Route("GET", "/livez", alive),
    Route("GET", "/readyz", ready),
    Route("GET", "/models", models),
    Route("GET", "/models/<model>", describe),
)


_OUR_FAULT = "an error of this server, which its log tells"


def refusal(error: Exception, protocol: Protocol = native) -> Response:
    """Makes any error an answer: the one place where errors become HTTP.

    An error that is not of Zeropoint's own is our fault: logged with its trace, told without
    detail.
    """
    if isinstance(error, exceptions.HTTPException):
        error = _own(error)
    if not isinstance(error, ZeropointError):
        log.exception("internal error", exc_info=error)
        error = ServerError(_OUR_FAULT)
    elif error.status == 500:
        log.error("internal error: %s", error.message, exc_info=error)
        error = ServerError(_OUR_FAULT)
    elif error.status > 500:
        log.warning("refused: %s", error.message)
    headers = {}
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allow)
    return _respond(protocol.refuse(error), error.status, headers)


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


def _respond(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = strict_json.encode(value) + b"\n"
    # An iterator, as functions-framework reads the whole request body, however large, before it
    # sends a response that is none; on a refused body that reading would fail again.
    response = Response(iter([body]), status, headers, mimetype=strict_json.MEDIA_TYPE)
    response.content_length = len(body)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _listed(app: App, name: str) -> dict[str, Any]:
    """Returns one line of the list of models."""
    return {"name": name, "state": app.catalog.state(name)}
