"""zeropoint check: is each model what its manifest says?"""

import sys

import click

from zeropoint import loader, settings
from zeropoint.artifact import open_repository
from zeropoint.errors import ZeropointError


@click.command("check")
@click.argument("names", nargs=-1, metavar="[MODEL]...")
def command(names: tuple[str, ...]) -> None:
    """Verify models: manifest, files and digests, and that the known answer comes out.

    Without MODEL, all of the repository. Exit status 1 if one fails.
    """
    chosen = settings.from_environment()
    repository = open_repository(chosen)
    failed = 0
    for name in names or repository.names():
        try:
            loaded = loader.load(repository, name, chosen)
        except ZeropointError as error:
            failed += 1
            click.echo(f"FAIL  {name}: {error.message}")
            continue
        phases = ", ".join(f"{step} {ms:.0f} ms" for step, ms in loaded.load_timings.ms().items())
        click.echo(f"ok    {name} {loaded.manifest.version}  {loaded.digest[:19]}  ({phases})")
    sys.exit(1 if failed else 0)
