"""zeropoint serve: the function, served over HTTP."""

import click

import zeropoint
from zeropoint import settings


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port; by default AIP_HTTP_PORT, PORT or 8080."
)
def command(host: str, port: int | None) -> None:
    """Serve the models over HTTP, in one process with threads."""
    from zeropoint.function import app
    from zeropoint.server import serve

    chosen = settings.from_environment()
    port = port or chosen.aip_http_port or chosen.port
    click.echo(f"zeropoint {zeropoint.__version__} at http://{host}:{port}", err=True)
    serve(app, chosen, host, port)
