"""The function as functions-framework loads it: ``predict(request)`` for every path and method.

functions-framework imports this in a parent that forks its server's workers. Nothing is loaded
here; a forked worker begins to load as it begins to serve, and a server that does not fork at
its first request.
"""

import os
import sys
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from zeropoint import logs, settings
from zeropoint.app import App, shape_of
from zeropoint.errors import SettingsError
from zeropoint.logs import log
from zeropoint.timing import ColdStart

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

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


def _adopt() -> None:
    """Gives the framework's own refusals, as of /favicon.ico, the shape of their path."""
    import flask

    def refuse(error: Exception) -> Response:
        return app.refuse(error, shape_of(flask.request.path))

    if flask.has_app_context():
        for kind in (HTTPException, 500):
            flask.current_app.register_error_handler(kind, refuse)


app = _create()
os.register_at_fork(after_in_child=app.start)
if "flask" in sys.modules:  # which zeropoint serve is quicker without
    _adopt()


def predict(request: Request) -> Response:
    """Answers one HTTP request."""
    return app(request)


def on_event(event: "CloudEvent") -> None:
    """Answers one CloudEvent, for ``--signature-type cloudevent``.

    An error that it raises makes the framework answer 500, and the platform deliver again.
    """
    app.take(event)
