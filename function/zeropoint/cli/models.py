"""zeropoint models: what the repository has."""

import json

import click

from zeropoint import settings
from zeropoint.artifact import open_repository
from zeropoint.errors import ZeropointError


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the models of the repository, with task, version, licence and digest."""
    repository = open_repository(settings.from_environment())
    rows = []
    for name in repository.names():
        try:
            manifest = repository.manifest(name)
        except ZeropointError as error:
            rows.append({"name": name, "problem": error.message})
            continue
        rows.append(
            {
                "name": name,
                "version": manifest.version,
                "task": manifest.task,
                "license": manifest.license,
                "digest": f"sha256:{manifest.file.sha256}",
            }
        )
    if as_json:
        click.echo(json.dumps({"repository": repository.location, "models": rows}, indent=2))
        return
    if not rows:
        click.echo(f"no models in {repository.location}; ZEROPOINT_MODELS names the repository")
    for row in rows:
        click.echo(
            "  ".join(value[:19] if key == "digest" else value for key, value in row.items())
        )
