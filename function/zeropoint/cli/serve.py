"""zeropoint serve: the function behind gunicorn, as functions-framework makes it an app."""

import os
from pathlib import Path
from typing import Any

import click
import flask
import functions_framework
from gunicorn.app.base import BaseApplication

import zeropoint
from zeropoint import settings

# Beside those that wait for a model: for health, metrics and refusals.
_SPARE_THREADS = 8


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port; by default AIP_HTTP_PORT, PORT or 8080."
)
def command(host: str, port: int | None) -> None:
    """Serve the models over HTTP, in one worker process with threads."""
    chosen = settings.from_environment()
    source = Path(zeropoint.__file__).with_name("function.py")
    # The framework writes these to the environment anyway; set, they are not asked for.
    os.environ.setdefault("FUNCTION_SIGNATURE_TYPE", "http")
    app: flask.Flask = functions_framework.create_app(  # type: ignore[no-untyped-call]
        target="predict", source=str(source)
    )
    threads = chosen.max_queue + _SPARE_THREADS
    port = port or chosen.aip_http_port or chosen.port
    click.echo(f"zeropoint {zeropoint.__version__} at http://{host}:{port}", err=True)
    _Server(app, {"bind": f"{host}:{port}", "threads": threads}).run()


class _Server(BaseApplication):
    """Gunicorn with its settings given here, none read from files or the environment."""

    def __init__(self, app: flask.Flask, options: dict[str, Any]) -> None:
        self._app = app
        self._options = {
            "workers": 1,
            "worker_class": "gthread",
            "timeout": 0,
            "loglevel": "error",
            "control_socket_disable": True,  # it would lie in the home folder
            **options,
        }
        super().__init__()

    def load_config(self) -> None:
        """Gives gunicorn its settings."""
        for key, value in self._options.items():
            self.cfg.set(key, value)

    def load(self) -> Any:
        """Returns the app; it was made before the fork, and holds no model yet."""
        return self._app
