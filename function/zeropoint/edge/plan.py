"""What is to be installed, of the settings of the environment and the command line."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from zeropoint import activation, gcs, settings
from zeropoint.artifact import open_repository
from zeropoint.edge import environment
from zeropoint.edge.units import LEAST_IDLE_S, Plan, has_network
from zeropoint.errors import SettingsError
from zeropoint.sinks import file

_STATE, _CACHE = Path("/var/lib/zeropoint"), Path("/var/cache/zeropoint")
_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})")
_NEW_KEY = """ZEROPOINT_API_KEY="$(python3 -c 'import secrets; print(secrets.token_urlsafe())')\""""


def checked(
    variables: Mapping[str, str], folder: Path, listen: str, allow_network: bool, user: bool
) -> tuple[Plan, dict[str, str]]:
    """Returns what is to be installed, and the settings that it gets, by variable.

    Args:
        variables: The environment.
        folder: Where the units will lie.
        listen: HOST:PORT.
        allow_network: Whether others than this machine may reach it.
        user: Whether the units are a user's own.

    Raises:
        SettingsError: a setting is wrong, or not possible for such a service.
    """
    values = environment.kept(variables)
    chosen = settings.from_environment(values)
    _refuse_open(listen, allow_network, chosen.api_key)
    if chosen.idle_exit_s < LEAST_IDLE_S:
        raise SettingsError(
            f"ZEROPOINT_IDLE_EXIT_S: expected {LEAST_IDLE_S:g} s or more, as systemd gives up what"
            " it has to start too often"
        )
    needed = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).resolve().parents[2]]
    if not chosen.models.startswith(gcs.SCHEME):
        repository = open_repository(chosen)
        if not repository.names():
            raise SettingsError(f"{repository.location}: expected a model, got a folder of none")
        models = Path(repository.location).absolute()
        values["ZEROPOINT_MODELS"] = str(models)
        needed.append(models)
    for name in ("ZEROPOINT_OUTBOX", "ZEROPOINT_CACHE"):
        if name in values:
            values[name] = str(Path(values[name]).absolute())
    chosen = settings.from_environment(values)
    if not user:
        _refuse_folders(chosen)
    credentials = variables.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if credentials and has_network(chosen):
        credentials = str(Path(credentials).absolute())
        if user:
            values["GOOGLE_APPLICATION_CREDENTIALS"] = credentials
    else:
        credentials = ""
    place = folder / environment.NAME
    return Plan(chosen, _command(), place, listen, user, needed, credentials), values


def _command() -> list[str]:
    """Returns how this very command is called, by its name as it was typed.

    A symbolic link in it, as to the version that is installed now, stays one.
    """
    script = shutil.which(sys.argv[0])
    if script and Path(script).name == "zeropoint":
        return [os.path.abspath(script)]
    return [sys.executable, "-m", "zeropoint"]


def _refuse_open(listen: str, allow_network: bool, api_key: str) -> None:
    """Refuses an address that is none, or that others reach without leave and a key."""
    found = _LISTEN.fullmatch(listen)
    host = (found["six"] or found["four"]) if found else ""
    if not found or not _is_address(host) or not 0 < int(found["port"]) < 1 << 16:
        raise SettingsError(
            f"--listen: expected an IP address and a port, as 127.0.0.1:8080, got {listen!r}"
        )
    if activation.is_loopback(host):
        return
    if not allow_network:
        raise SettingsError(
            f"--listen: others can reach {listen}; expected --allow-network, or 127.0.0.1"
        )
    if not api_key:
        raise SettingsError(
            f"--listen: others can reach {listen}; expected ZEROPOINT_API_KEY. A new one:"
            f" export {_NEW_KEY}"
        )


def _is_address(host: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _refuse_folders(chosen: settings.Settings) -> None:
    """Refuses folders that the service, whose user is made for it, could not write."""
    written = [
        ("ZEROPOINT_OUTBOX", chosen.outbox, _STATE),
        ("ZEROPOINT_CACHE", chosen.cache, _CACHE),
    ]
    if chosen.results.startswith(file.SCHEME):
        try:
            results = str(file.folder(chosen.results))
        except ValueError as error:
            raise SettingsError(f"ZEROPOINT_RESULTS: {error}") from None
        written.append(("ZEROPOINT_RESULTS", results, _STATE))
    for name, path, base in written:
        if path and not Path(os.path.normpath(path)).is_relative_to(base):
            raise SettingsError(
                f"{name}: expected a folder in {base}, all that the service may write, got another"
            )
