"""Network namespaces of their own, for programs that must do without a network."""

import shutil
import subprocess

import pytest


def namespace() -> tuple[str, ...]:
    """Returns the command that gives a program a network namespace of its own."""
    for options in (("--net",), ("--net", "--map-root-user")):
        command = (shutil.which("unshare") or "unshare", *options)
        if works(*command, "true"):
            return command
    pytest.skip("no network namespace can be made here")


def works(*command: str) -> bool:
    """Tells whether a command is there and does what it should."""
    try:
        tried = subprocess.run(command, capture_output=True, check=False, timeout=30)
    except OSError:
        return False
    return tried.returncode == 0
