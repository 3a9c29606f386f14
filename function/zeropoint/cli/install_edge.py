"""zeropoint install-edge: systemd's units, so that nothing runs until somebody asks."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from zeropoint import settings
from zeropoint.cli import options
from zeropoint.edge import environment, files, plan, units
from zeropoint.errors import SettingsError

_SYSTEM = Path("/etc/systemd/system")
_NAMES = (units.SOCKET, units.TIMER, units.SERVICE, units.SYNC, environment.NAME)
_IDLE_S = 60.0
_COMMAND_S = 120


@click.command(
    "install-edge",
    epilog=options.examples(
        "zeropoint install-edge --models /opt/models --start",
        "zeropoint install-edge --listen 0.0.0.0:8080 --allow-network",
        "zeropoint install-edge --user --models ~/models",
        "zeropoint install-edge --remove --stop",
    ),
)
@click.option("--models", type=click.Path(), help="Model repository; by default ZEROPOINT_MODELS.")
@click.option(
    "--listen", default="127.0.0.1:8080", show_default=True, help="Address and port to listen on."
)
@click.option("--allow-network", is_flag=True, help="Let others reach it; asks for a key.")
@click.option(
    "--idle",
    type=click.FloatRange(min=units.LEAST_IDLE_S),
    help=f"Seconds without a request after which it ends; by default ZEROPOINT_IDLE_EXIT_S or"
    f" {_IDLE_S:g}.",
)
@click.option("--user", is_flag=True, help="Install for this user, not for the machine.")
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="Write to another folder."
)
@click.option("--start", "--stop", "run", is_flag=True, help="Run the commands that it tells.")
@click.option("--remove", is_flag=True, help="Take away what was installed.")
def command(
    models: str | None,
    listen: str,
    allow_network: bool,
    idle: float | None,
    user: bool,
    to: Path | None,
    run: bool,
    remove: bool,
) -> None:
    """Have systemd start the function when it is asked, and let it end when it is not.

    Writes a socket unit and a service unit, and the settings of the environment (ZEROPOINT_…)
    beside them, for root to read only. Where ZEROPOINT_RESULTS is gs:// or pubsub:// and
    ZEROPOINT_OUTBOX is set, also those of zeropoint sync. Called again, it writes what changed.
    """
    folder = (to or (_own_folder() if user else _SYSTEM)).absolute()
    systemctl = ["systemctl", *(["--user"] if user else [])]
    if remove:
        commands = _remove(folder, systemctl)
    else:
        if to is None and not Path("/run/systemd/system").is_dir():
            raise SettingsError("expected a machine that systemd runs; --to DIR only writes")
        variables = {**os.environ, **({"ZEROPOINT_MODELS": models} if models else {})}
        if idle or not settings.from_environment(environment.kept(variables)).idle_exit_s:
            variables["ZEROPOINT_IDLE_EXIT_S"] = f"{idle or _IDLE_S:g}"
        commands = _install(
            folder, systemctl, variables, listen, allow_network, user, to is not None
        )
    if not commands:
        return
    click.echo("running:" if run else "now run:")
    for one in commands:
        click.echo(f"  {' '.join(one)}")
        if run:
            _run(one)


def _install(
    folder: Path,
    systemctl: Sequence[str],
    variables: dict[str, str],
    listen: str,
    allow_network: bool,
    user: bool,
    is_elsewhere: bool,
) -> list[list[str]]:
    """Writes the files; returns the commands that make systemd know them."""
    chosen, values = plan.checked(variables, folder, listen, allow_network, user)
    texts = {environment.NAME: environment.text(values), **units.texts(chosen)}
    before = (folder / units.SOCKET).exists()
    for name, text in texts.items():
        mode = environment.MODE if name == environment.NAME else 0o644
        written = files.write(folder / name, text, mode)
        click.echo(f"{'wrote' if written else 'unchanged'} {folder / name}")
    for name in {units.SYNC, units.TIMER} - {*texts}:
        if files.remove(folder, name):
            click.echo(f"removed {folder / name}")
    starting = [name for name in (units.SOCKET, units.TIMER) if name in texts]
    stops = [[*systemctl, "stop", units.SOCKET, units.SERVICE]] if before else []
    known = [*systemctl, "daemon-reload"]
    if is_elsewhere:
        known = [*systemctl, "link", *(str(folder / name) for name in units.texts(chosen))]
    return [*stops, known, [*systemctl, "enable", "--now", *starting]]


def _remove(folder: Path, systemctl: Sequence[str]) -> list[list[str]]:
    """Removes the files; returns the commands that end what they started."""
    removed = [name for name in _NAMES if files.remove(folder, name)]
    for name in removed:
        click.echo(f"removed {folder / name}")
    if not removed:
        click.echo(f"nothing of zeropoint's in {folder}")
        return []
    running = [name for name in removed if name != environment.NAME]
    return [[*systemctl, "stop", *running], [*systemctl, "daemon-reload"]]


def _own_folder() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "systemd" / "user"


def _run(command: list[str]) -> None:
    path = shutil.which(command[0])
    if path is None:
        raise SettingsError(f"expected the command {command[0]}, got none")
    try:
        done = subprocess.run([path, *command[1:]], check=False, timeout=_COMMAND_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise SettingsError(f"{' '.join(command)}: took more than {_COMMAND_S} s") from None
    if done.returncode != 0:
        sys.exit(done.returncode)
