"""zeropoint settings: every setting, its value and what it does."""

import json
from typing import Any

import click

from zeropoint import settings
from zeropoint.cli import options
from zeropoint.cli.table import fitted


@click.command(
    "settings", epilog=options.examples("zeropoint settings", "zeropoint settings --json")
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Print every setting with its value and its default.

    A value that differs from its default is marked with *.
    """
    chosen = settings.from_environment()
    rows = [(row, _told(row, getattr(chosen, row.field))) for row in settings.table()]
    if as_json:
        click.echo(json.dumps({row.variable: value for row, value in rows}, indent=2))
        return
    width = max(len(row.variable) for row, _ in rows)
    for row, value in rows:
        mark = " " if value == row.default else "*"
        click.echo(fitted(f"{mark} {row.variable:<{width}}  {_shown(value):<12}", row.help))
    for name in settings.unknown():
        click.echo(f"{name} is set, but is no setting", err=True)


def _told(row: settings.Row, value: Any) -> Any:
    return "set" if row.secret and value else value


def _shown(value: Any) -> str:
    return "(empty)" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)
