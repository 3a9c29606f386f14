"""zeropoint models: what the repository has, and newer versions of it."""

import json

import click

from zeropoint import settings
from zeropoint.artifact import LocalRepository, open_repository
from zeropoint.cli import options
from zeropoint.cli.table import fitted
from zeropoint.errors import SettingsError, ZeropointError
from zeropoint.settings import Settings

_RUNNING = (
    "A running server keeps what it has loaded until it starts again: with an idle exit at its"
    " next start, else by systemctl restart zeropoint.service"
)


@click.group(
    "models",
    invoke_without_command=True,
    epilog=options.examples(
        "zeropoint models",
        "zeropoint models update /media/usb/colour",
        "zeropoint models rollback colour",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the models of the repository, with task, version, licence and digest.

    With a verb, update a model of this machine, or go back.
    """
    if context.invoked_subcommand is None:
        _list(as_json)
    elif as_json:
        raise click.UsageError(f"expected --json after {context.invoked_subcommand}, if it has it")


@command.command(
    "update",
    epilog=options.examples(
        "zeropoint models update /media/usb/colour",
        "zeropoint models update gs://bucket/models --name colour",
    ),
)
@click.argument("source")
@click.option("--name", default="", help="Which model of SOURCE, where it has several.")
def update(source: str, name: str) -> None:
    """Prove a newer version, and switch to it.

    SOURCE is an artifact's folder, a folder of them, or either under gs://bucket/prefix. Its files
    are copied and verified, and the known answer must come out; else nothing is changed. A model
    that the repository has not is added.
    """
    from zeropoint.versions import Versions
    from zeropoint.versions.source import find

    chosen, repository = _opened()
    found = find(source, name, chosen)
    manifest = Versions(repository, found.name, chosen, _waiting).update(found)
    if manifest is None:
        click.echo(f"{found.name}: nothing to do, it is the current version")
        return
    click.echo(f"ok    {manifest.name} {manifest.version} is the current version")
    click.echo(_RUNNING)


@command.command("rollback", epilog=options.examples("zeropoint models rollback colour"))
@click.argument("name", shell_complete=options.complete_model)
def rollback(name: str) -> None:
    """Switch back to the version before.

    It is the one that the current version replaced, and has to give its known answer still.
    """
    from zeropoint.versions import Versions

    chosen, repository = _opened()
    manifest = Versions(repository, name, chosen, _waiting).rollback()
    click.echo(f"ok    {manifest.name} {manifest.version} is the current version again")
    click.echo(_RUNNING)


@command.command("versions", epilog=options.examples("zeropoint models versions colour"))
@click.argument("name", shell_complete=options.complete_model)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def versions(name: str, as_json: bool) -> None:
    """List the versions that are kept.

    Number (0: the model's own folder), version, digest of model.toml, and which one is current.
    """
    from zeropoint.versions import Versions

    chosen, repository = _opened()
    rows = Versions(repository, name, chosen).known()
    if as_json:
        click.echo(json.dumps([row._asdict() for row in rows], indent=2))
        return
    for row in rows:
        mark = "current" if row.current else "rollback goes here" if row.before else ""
        click.echo(f"{row.number}  {row.version}  {row.digest[:19]}  {mark}".rstrip())


def _opened() -> tuple[Settings, LocalRepository]:
    chosen = settings.from_environment()
    repository = open_repository(chosen)
    if not isinstance(repository, LocalRepository):
        raise SettingsError(f"expected a repository of this machine, got {repository.location}")
    return chosen, repository


def _waiting() -> None:
    click.echo("another update has to end first", err=True)


def _list(as_json: bool) -> None:
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
        name, *rest = (value[:19] if key == "digest" else value for key, value in row.items())
        click.echo(fitted(name, "  ".join(rest)))
