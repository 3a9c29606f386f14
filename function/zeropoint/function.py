"""The function as functions-framework loads it: ``predict(request)`` for every path and method.

functions-framework imports this in a parent that forks its server's workers. Nothing is loaded
here; a forked worker begins to load as it begins to serve, and a server that does not fork at
its first request.
"""

import contextlib
import gc
import math
import os
from typing import TYPE_CHECKING

from zeropoint.app import App
from zeropoint.errors import (
    MalformedError,
    MethodNotAllowedError,
    RouteNotFoundError,
    ServerError,
    UnauthorizedError,
    ZeropointError,
)
from zeropoint.start import start
from zeropoint.wsgi import Request, Response

if TYPE_CHECKING:
    import flask
    import werkzeug
    from cloudevents.http import CloudEvent
    from werkzeug.exceptions import HTTPException


def _adopt() -> None:
    """Gives the framework's own refusals, as of /favicon.ico, the shape of their path."""
    import flask
    from werkzeug.exceptions import HTTPException

    def refuse(error: Exception) -> "werkzeug.Response":
        own = _own(error) if isinstance(error, HTTPException) else error
        return _framework(app.refuse(own, app.shape_of(flask.request.path)))

    if flask.has_app_context():
        for kind in (HTTPException, 500):
            flask.current_app.register_error_handler(kind, refuse)


def _own(error: "HTTPException") -> ZeropointError:
    """Returns our error for one of the framework's, whose text may hold parts of the request."""
    raised = getattr(error, "original_exception", None)
    if isinstance(raised, UnauthorizedError):
        return raised
    if error.code == 405:
        allowed = tuple(sorted(getattr(error, "valid_methods", None) or ()))
        return MethodNotAllowedError(f"expected the method {' or '.join(allowed)}", allowed)
    if error.code == 404:
        return RouteNotFoundError("expected a route of this server (GET / lists them)")
    if error.code is not None and 400 <= error.code < 500:
        return MalformedError("expected a whole HTTP request, got a broken one")
    return ServerError("an error of this server, which its log tells")


def _framework(response: Response) -> "werkzeug.Response":
    """Returns a response as the framework has it.

    It is an iterator, as functions-framework reads the whole request body, however large, before
    it sends a response that is none; on a refused body that reading would fail again.
    """
    from werkzeug import Response as Streamed

    headers = list(response.headers.items())
    body = response.events if response.events is not None else iter([response.body])
    return Streamed(body, response.status, headers)


def _bound_gunicorn(drain_s: float) -> None:
    """Sets what functions-framework lets nobody set: it reads neither options nor a file.

    At SIGTERM gunicorn would wait for 30 s, and its control socket, for a tool that nobody runs
    here, would lie in the home folder.
    """
    with contextlib.suppress(ImportError):  # the framework then serves by Flask
        from gunicorn import config

        config.GracefulTimeout.default = math.ceil(drain_s)
        config.ControlSocketDisable.default = True


serving = start(load=False)
app = App(serving)
_bound_gunicorn(serving.settings.drain_s)
gc.freeze()  # what was imported is shared by the forked workers, untouched
os.register_at_fork(after_in_child=app.start)
_adopt()


def predict(request: "flask.Request") -> "werkzeug.Response":
    """Answers one HTTP request."""
    return _framework(app(Request(request.environ)))


def on_event(event: "CloudEvent") -> None:
    """Answers one CloudEvent, for ``--signature-type cloudevent``.

    An error that it raises makes the framework answer 500, and the platform deliver again.
    """
    import flask

    headers = flask.request.headers
    # Whatever its path is: the framework has made it an event, so it asks for no health.
    app.admit("POST", "/", headers.get("authorization", ""), headers.get("x-api-key", ""))
    app.take(event)
