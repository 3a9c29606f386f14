"""The function as functions-framework loads it: ``predict(request)`` for every path and method.

functions-framework imports this in a parent that forks its server's workers. Nothing is loaded
here; a forked worker begins to load as it begins to serve, and a server that does not fork at
its first request.
"""

import os
import sys

import flask
from cloudevents.http import CloudEvent
from flask import Request, Response
from werkzeug.exceptions import HTTPException

from zeropoint import logs, settings
from zeropoint.app import App, shape_of
from zeropoint.errors import SettingsError
from zeropoint.logs import log
from zeropoint.timing import ColdStart

_EX_CONFIG = 78  # of sysexits.h


def _create() -> App:
    cold_start = ColdStart()
    logs.setup(settings.Settings())
    try:
        chosen = settings.from_environment()
        logs.setup(chosen)
        if chosen.logging == "cloud":
            from zeropoint import cloud_logs

            cloud_logs.attach(chosen)
        for name in settings.unknown():
            log.warning("%s is no setting of Zeropoint (zeropoint settings lists them)", name)
        return App(chosen, cold_start)
    except SettingsError as error:
        log.critical("%s", error)
        sys.exit(_EX_CONFIG)


def _adopt(framework: flask.Flask) -> None:
    """Gives the framework's own refusals, as of /favicon.ico, the shape of their path."""
    framework.register_error_handler(HTTPException, _refuse)
    framework.register_error_handler(500, _refuse)


def _refuse(error: Exception) -> Response:
    return app.refuse(error, shape_of(flask.request.path))


app = _create()
os.register_at_fork(after_in_child=app.start)
if flask.has_app_context():
    _adopt(flask.current_app._get_current_object())  # type: ignore[attr-defined]


def predict(request: Request) -> Response:
    """Answers one HTTP request."""
    return app(request)


def on_event(event: CloudEvent) -> None:
    """Answers one CloudEvent, for ``--signature-type cloudevent``.

    An error that it raises makes the framework answer 500, and the platform deliver again.
    """
    app.take(event)
