"""zeropoint bundle: what a device without a network needs, in one folder."""

import sys
from pathlib import Path

import click

from zeropoint import settings
from zeropoint.artifact import LocalRepository, open_repository
from zeropoint.catalog import Catalog
from zeropoint.cli import options
from zeropoint.edge import bundle
from zeropoint.edge.target import PLATFORMS, PYTHONS, Target
from zeropoint.errors import SettingsError


@click.command(
    "bundle",
    epilog=options.examples(
        "zeropoint bundle zeropoint-bundle",
        "zeropoint bundle pi --platform linux-aarch64 --python 3.13",
    ),
)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="By default the default model; many."
)
@click.option(
    "--platform",
    type=click.Choice(PLATFORMS),
    default=PLATFORMS[0],
    show_default=True,
    help="The device's.",
)
@click.option(
    "--python",
    type=click.Choice(PYTHONS),
    help="The device's; by default the version that runs this.",
)
@click.option(
    "--all/--lean",
    "all_packages",
    help="All packages of the function, with those for Google Cloud; or what predicting needs.",
)
def command(
    out: Path, models: tuple[str, ...], platform: str, python: str | None, all_packages: bool
) -> None:
    """Pack all that a device without a network needs into the folder OUT.

    Wheels, held to the hashes of the lock; zeropoint itself; models that give their known answer
    here; and install.sh, which needs Python there and no more. OUT must not exist, or be empty.
    """
    chosen = settings.from_environment()
    repository = open_repository(chosen)
    if not isinstance(repository, LocalRepository):
        raise SettingsError("expected ZEROPOINT_MODELS to be a folder of this machine, got gs://")
    python = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    target = Target.of(platform, python)
    names = [*dict.fromkeys(models)] or [Catalog(repository, chosen).default_name()]
    made = bundle.make(out, repository, names, target, chosen, all_packages)
    click.echo(
        f"wrote {out}: {made.wheels} wheels for {target.platform} and Python {target.python},"
        f" {', '.join(made.models)}; {made.size_bytes / 1e6:.1f} MB"
    )
    click.echo(f"sha256 of {bundle.SUMS}: {made.digest}")
    click.echo("On the device: sh install.sh")
