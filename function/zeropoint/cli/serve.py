"""zeropoint serve: the function, served over HTTP."""

import click

import zeropoint
from zeropoint.serving import Serving


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port; by default AIP_HTTP_PORT, PORT or 8080."
)
@click.pass_obj
def command(serving: Serving, host: str, port: int | None) -> None:
    """Serve the models over HTTP, in one process with threads."""
    from zeropoint.app import App
    from zeropoint.server import serve

    settings = serving.settings
    port = port or settings.aip_http_port or settings.port
    click.echo(f"zeropoint {zeropoint.__version__} at http://{host}:{port}", err=True)
    serve(App(serving), settings, host, port)
