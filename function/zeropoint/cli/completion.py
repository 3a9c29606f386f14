"""zeropoint completion: verbs, options and models completed by the shell."""

import os
import sys
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from zeropoint.cli.options import examples

_PROGRAM = "zeropoint"
_VARIABLE = "_ZEROPOINT_COMPLETE"


def _data() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def _config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _place(shell: str) -> Path:
    """Returns where a shell looks for a user's completions."""
    if shell == "bash":
        return _data() / "bash-completion" / "completions" / _PROGRAM
    if shell == "zsh":
        return _data() / "zsh" / "site-functions" / f"_{_PROGRAM}"
    return _config() / "fish" / "completions" / f"{_PROGRAM}.fish"


@click.command(
    "completion",
    epilog=examples(
        "zeropoint completion --install",
        "zeropoint completion zsh --install",
        'eval "$(zeropoint completion bash)"',
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), required=False)
@click.option("--install", is_flag=True, help="Write it to where the shell looks for it.")
@click.pass_context
def command(ctx: click.Context, shell: str | None, install: bool) -> None:
    """Print what completes verbs, options and models in SHELL; by default your login shell."""
    shell = shell or Path(os.environ.get("SHELL", "")).name
    if (found := get_completion_class(shell)) is None:
        raise click.UsageError(f"expected a SHELL of bash, zsh or fish, got {shell!r}")
    group = ctx.find_root().command
    text = found(group, {}, _PROGRAM, _VARIABLE).source().strip() + "\n"
    if not install:
        click.echo(text, nl=False)
        return
    place = _place(shell)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    except OSError as error:
        click.echo(f"{place}: expected a place to write to, got {error.strerror}", err=True)
        sys.exit(1)
    click.echo(f"written to {place}; it works in the next shell that you open")
    if shell == "zsh":
        click.echo("if ~/.zshrc has it before compinit:")
        click.echo(f"  fpath+=({place.parent})")
    if shell == "bash":
        click.echo("if the package bash-completion is there")
