"""The routes, in one table, and how an error becomes an answer, in one function."""

import math
import re
from typing import TYPE_CHECKING, Any

from zeropoint import (
    __version__,
    callers,
    handlers,
    handlers_events,
    handlers_openai,
    handlers_v2,
    logs,
    one_url,
    page,
    responses,
)
from zeropoint.errors import (
    MethodNotAllowedError,
    ModelUnavailableError,
    OverloadedError,
    ServerError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedMediaError,
    ZeropointError,
)
from zeropoint.keys import Key
from zeropoint.logs import log
from zeropoint.protocols import (
    Body,
    Protocol,
    bigquery,
    native,
    open_inference,
    openai_chat,
    openai_completions,
    openai_embeddings,
)
from zeropoint.route import Route, Routes, gives
from zeropoint.serving import Serving
from zeropoint.settings import Settings
from zeropoint.wsgi import Request, Response

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

_OUR_FAULT = "an error of this server, which its log tells"
_REQUEST_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


class App:
    """The function behind every route.

    Args:
        serving: What the handlers share.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._metrics = serving.metrics
        routes = table(serving.settings)
        self._by_path = {route.path: route for route in routes if route.method == "POST"}
        self._match = Routes(routes).match
        self._protocols = {route.path.rstrip("/"): route.protocol for route in routes}
        api_key = serving.settings.api_key
        self._key = Key(api_key) if api_key else None
        closed = {route.path for route in routes if not route.is_open}
        self._open = {route.path.rstrip("/") for route in routes if route.path not in closed}
        self._has_page = serving.settings.page
        # Those whose path tells the model.
        self._crowded = {
            route
            for route in routes
            if route.handler in (handlers.predict, handlers_v2.infer)
            and route is not ROOT
            and route.protocol is not bigquery
        }

    def start(self) -> None:
        """Begins to load the default model; called where requests will be served."""
        self._serving.catalog.start()

    @property
    def loading(self) -> bool:
        """Whether a model is being loaded, which no process can end in order."""
        return self._serving.catalog.loading

    def take(self, event: "CloudEvent") -> None:
        """Answers an event that the framework has read; it raises only if it has to come again."""
        handlers_events.take(self._serving, event)

    def __call__(self, request: Request) -> Response:
        """Answers one request; it never raises."""
        logs.follow(request.header("traceparent"), request.header("x-cloud-trace-context"))
        callers.follow(request.caller)
        self._metrics.began()
        route: Route | None = None
        try:
            if self._key:
                self.admit(
                    request.method,
                    request.path,
                    request.header("authorization"),
                    request.header("x-api-key"),
                    request.header("accept"),
                )
            route, arguments = self._match(request.method, request.path)
            if request.header("content-encoding", "identity").lower() != "identity":
                raise UnsupportedMediaError("expected a body without a content encoding, got one")
            if route is ROOT:
                route = self._by_path[one_url.path_of(request, self._serving.settings)]
            response = route.handler(self._serving, request, route.protocol, **arguments)
        except Exception as error:
            protocol = route.protocol if route else self.shape_of(request.path)
            response = self.refuse(error, protocol)
        finally:
            request.close()
        self._metrics.ended(route.path if route else "none", response.status)
        return _having_id(response, request.header("x-request-id"))

    def admit(
        self, method: str, path: str, authorization: str, api_key: str, accept: str = ""
    ) -> None:
        """Refuses a request that does not bring the key, where one is asked for.

        Args:
            method: Of the request.
            path: Of the request, with its leading slash.
            authorization: Its header Authorization; empty: it has none.
            api_key: Its header X-API-Key; empty: it has none.
            accept: Its header Accept; empty: it has none.

        Raises:
            UnauthorizedError: the route is none of health or of the page, and neither header has
                the key.
        """
        if self._key is None or path.rstrip("/") in self._open:
            return
        if self._has_page and page.wanted(method, path, accept):
            return
        if not self._key.opens(authorization, api_key):
            raise UnauthorizedError(
                "expected the function's key, as Authorization: Bearer … or X-API-Key: …"
            )

    def refuse_crowd(self, method: str, path: str, request_id: str, full: bool) -> Response | None:
        """Answers a request whose model has too many, before anything is made of its body.

        Under a load of many times what can be answered, most requests end here: in the thread
        that read them, for less than it takes to hand one to another. Events do not: they may
        have their result already.

        Args:
            method: Of the request.
            path: Of the request, with its leading slash.
            request_id: Its header X-Request-Id.
            full: Whether all threads that could answer it have work.

        Returns:
            The refusal; None: it is to be answered as any other.
        """
        try:
            route, arguments = self._match(method, path)
            if route not in self._crowded:
                return None
            if full:
                raise OverloadedError("expected fewer requests at once")
            self._serving.refuse_crowd(arguments.get("model", ""))
        except OverloadedError as error:
            self._metrics.began()
            response = self.refuse(error, route.protocol)
            self._metrics.ended(route.path, response.status)
            return _having_id(response, request_id)
        except ZeropointError:
            pass
        return None

    def shape_of(self, path: str) -> Protocol:
        """Returns the protocol in whose shape a path is refused that met no route.

        Vertex AI's routes, which the settings name, may begin as others do.
        """
        return self._protocols.get(path.rstrip("/")) or shape_of(path)

    def refuse(self, error: Exception, protocol: Protocol = native) -> Response:
        """Makes any error an answer: the one place where errors become HTTP.

        An error that is not of Zeropoint's own is our fault: logged with its trace, told without
        detail.
        """
        if not isinstance(error, ZeropointError) or error.status == 500:
            told = error if isinstance(error, ZeropointError) else type(error).__name__
            log.error("internal error: %s", told, exc_info=logs.wordless(error))
            error = ServerError(_OUR_FAULT)
        elif error.status > 500:
            log.warning("refused: %s", error)
        self._metrics.refused(error.code)
        headers = {}
        if isinstance(error, UnavailableError):
            headers["Retry-After"] = str(math.ceil(error.retry_after_s))
        if isinstance(error, MethodNotAllowedError):
            headers["Allow"] = ", ".join(error.allow)
        if isinstance(error, UnauthorizedError):
            headers["WWW-Authenticate"] = "Bearer"
        return responses.of_body(protocol.refuse(error), error.status, headers)


def _having_id(response: Response, request_id: str) -> Response:
    """Returns a response with the request's own id, if it has one that may go into a log."""
    if _REQUEST_ID.fullmatch(request_id):
        return response.having("X-Request-Id", request_id)
    return response


@gives(handlers.Index)
def index(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Describes the function; a browser gets the page instead."""
    if serving.settings.page and page.wanted("GET", "/", request.header("accept")):
        return page.html(request)
    routes = [f"{route.method} {route.path}" for route in table(serving.settings)]
    return responses.of_json(
        handlers.Index("zeropoint", __version__, serving.settings.commit, routes)
    ).having("Vary", "Accept")


@gives(dict[str, Any], ModelUnavailableError)
def document(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Describes every route as OpenAPI 3.1 has it; loads no model."""
    from zeropoint import openapi  # not on the way to the first prediction

    return responses.of_body(Body(openapi.body(table(serving.settings), serving)))


# What is sent to / is meant for another row: `one_url` tells which.
ROOT = Route("POST", "/", handlers.predict)

_V2_MODEL = "/v2/models/<model>"
_V2_VERSION = f"{_V2_MODEL}/versions/<version>"

ROUTES = (
    Route("GET", "/", index),
    ROOT,
    Route("POST", "/predict", handlers.predict),
    Route("POST", "/predict/<model>", handlers.predict),
    Route("GET", "/livez", handlers.alive, is_open=True),
    Route("GET", "/readyz", handlers.ready, is_open=True),
    Route("GET", "/models", handlers.models),
    Route("GET", "/models/<model>", handlers.describe),
    Route("GET", "/metrics", handlers.metrics),
    Route("GET", "/openapi.json", document),
    Route("POST", "/bigquery", handlers.predict, bigquery),
    Route("POST", "/events", handlers_events.events),
    Route("POST", "/pubsub", handlers_events.messages),
    Route("GET", "/v2", handlers_v2.server, open_inference),
    Route("GET", "/v2/health/live", handlers_v2.live, open_inference, is_open=True),
    Route("GET", "/v2/health/ready", handlers.ready, open_inference, is_open=True),
    Route("GET", _V2_MODEL, handlers_v2.describe, open_inference),
    Route("GET", f"{_V2_MODEL}/ready", handlers_v2.ready, open_inference),
    Route("POST", f"{_V2_MODEL}/infer", handlers_v2.infer, open_inference),
    Route("GET", _V2_VERSION, handlers_v2.describe, open_inference),
    Route("GET", f"{_V2_VERSION}/ready", handlers_v2.ready, open_inference),
    Route("POST", f"{_V2_VERSION}/infer", handlers_v2.infer, open_inference),
    Route("POST", "/v1/chat/completions", handlers_openai.chat, openai_chat),
    Route("POST", "/v1/completions", handlers_openai.complete, openai_completions),
    Route("POST", "/v1/embeddings", handlers_openai.embed, openai_embeddings),
    Route("GET", "/v1/models", handlers_openai.models, openai_chat),
    Route("GET", "/v1/models/<model>", handlers_openai.describe, openai_chat),
)

PAGE = (
    Route("GET", "/page/style.css", page.style, is_open=True),
    Route("GET", "/page/script.js", page.script, is_open=True),
    Route("GET", "/page/chat.js", page.chat, is_open=True),
)

# The first part of a path: whose shape a refusal has where no route of it was met.
_SHAPES = {route.path.split("/")[1]: route.protocol for route in ROUTES}


def shape_of(path: str) -> Protocol:
    """Returns the protocol in whose shape a path is refused that met no route."""
    return _SHAPES.get(path.split("/")[1] if "/" in path else "", native)


def table(settings: Settings) -> list[Route]:
    """Returns all routes: those of `ROUTES`, and where it says so those that Vertex AI wants."""
    found = [*ROUTES, *PAGE] if settings.page else [*ROUTES]
    if settings.aip_health_route:
        found.append(Route("GET", settings.aip_health_route, handlers.ready, is_open=True))
    if settings.aip_predict_route:
        found.append(Route("POST", settings.aip_predict_route, handlers.predict))
    return found
