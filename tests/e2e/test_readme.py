"""Every shell block of the README is run, and says what the README says it says."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import requests

from servers import ROOT, Server

BLOCKS = re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
# A command and what it prints: "…" in the README stands for anything.
STEPS = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(BLOCKS), re.M)
SERVERS = {"make serve", ".venv/bin/functions-framework --source function/main.py --target predict"}

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of what `make serve` started."""
    # pip's settings are the machine's own, as are those of a person who types it.
    with Server(os.environ, command=("make", "serve")) as running:
        running.wait_until_ready()
        yield running.port


@needs_make
@pytest.mark.parametrize(
    ("command", "printed"), [s for s in STEPS if s[0] not in SERVERS], ids=lambda text: text[:40]
)
def test_a_command_prints_what_the_readme_says(port: int, command: str, printed: str) -> None:
    if command == "make test":  # this is a part of it: one quick part is run again
        command = "PYTEST_ADDOPTS='-k test_a_load_tells_its_phases' make test"
    done = subprocess.run(  # noqa: S602 - the README's own text
        command.replace("localhost:8080", f"localhost:{port}"),
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pattern = ".*".join(re.escape(part) for part in printed.strip().split("…"))
    assert re.fullmatch(pattern, done.stdout.strip(), re.S), done.stdout


@needs_make
def test_the_commands_that_serve_serve(port: int) -> None:
    assert {command for command, _ in STEPS} >= SERVERS
    assert requests.get(f"http://localhost:{port}/livez", timeout=10).ok


def test_the_framework_serves_the_function() -> None:
    (command,) = [c for c, _ in STEPS if c in SERVERS and c != "make serve"]
    with Server(command=tuple(command.split())) as running:
        assert requests.get(running.url + "/livez", timeout=10).ok


def test_there_is_no_other_kind_of_shell_block() -> None:
    assert not re.search(r"^```(sh|bash|shell)\b", (ROOT / "README.md").read_text(), re.M)
    assert len(STEPS) >= 8
