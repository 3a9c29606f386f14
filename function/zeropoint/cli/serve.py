"""zeropoint serve: the function, served over HTTP."""

import click

import zeropoint
from zeropoint import activation
from zeropoint.cli import options
from zeropoint.serving import Serving


@click.command(
    "serve",
    epilog=options.examples(
        "zeropoint serve",
        "zeropoint serve --port 9000",
        "ZEROPOINT_MODELS=models/ zeropoint serve",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port; by default AIP_HTTP_PORT, PORT or 8080."
)
@click.pass_obj
def command(serving: Serving, host: str, port: int | None) -> None:
    """Serve the models over HTTP, in one process with threads.

    A socket that systemd passes is served instead of an address (zeropoint install-edge).
    """
    from zeropoint.app import App
    from zeropoint.server import serve

    settings = serving.settings
    port = port or settings.aip_http_port or settings.port
    passed = activation.passed()
    place = f"{activation.place(passed)}, passed by systemd" if passed else f"{host}:{port}"
    click.echo(f"zeropoint {zeropoint.__version__} at http://{place}", err=True)
    serve(App(serving), settings, host, port)
