"""Every shell block of the README and the guides is run, and says what they say it says."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from servers import ROOT, Server

README = ROOT / "README.md"
GERMAN = ROOT / "README.de.md"  # whose commands are the same
DOCUMENTS = (README, *sorted((ROOT / "docs" / "guides").glob("*.md")))
SERVERS = {"make serve", ".venv/bin/functions-framework --source function/main.py --target predict"}

_QUICK = "tests/test_model.py -k test_a_load_tells_its_phases"

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def steps(document: Path) -> list[tuple[str, str]]:
    """Returns each command of a document's shell blocks, and what it says that it prints."""
    blocks = re.findall(r"^```console\n(.*?)^```", document.read_text(), re.M | re.S)
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.M)


@pytest.fixture(scope="module")
def port(built_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of what `make serve` started, after `make models`."""
    # pip's settings are the machine's own, as are those of a person who types it.
    results = f"file://{tmp_path_factory.mktemp('results')}"
    own = {name: value for name, value in os.environ.items() if name != "PORT"}
    models = {"ZEROPOINT_MODELS": str(built_repository), "ZEROPOINT_RESULTS": results}
    settings = {**own, **models}
    with Server(settings, command=("make", "serve")) as running:
        running.wait_until_ready()
        yield running.port


@needs_make
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_command_prints_what_the_document_says(
    port: int, built_repository: Path, document: Path, tmp_path: Path
) -> None:
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    part = tmp_path / "coverage"  # of a part less is covered, and what was measured here stays
    part.write_text(f"[run]\nparallel = true\ndata_file = {tmp_path / 'data'}\n")
    for command, printed in steps(document):
        if command in SERVERS:
            continue
        if command == "make test":  # this is a part of it: one quick part is run again
            command = f"PYTEST_ADDOPTS='{_QUICK}' make test"
        done = subprocess.run(  # noqa: S602 - the document's own text
            command.replace("localhost:8080", f"localhost:{port}"),
            shell=True,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env={
                **own,
                "ZEROPOINT_MODELS": str(built_repository),
                "COVERAGE_RCFILE": str(part),
            },
            timeout=300,
        )
        assert done.returncode == 0, command + done.stdout + done.stderr
        pattern = ".*".join(re.escape(part) for part in printed.strip().split("…"))
        assert re.fullmatch(pattern, done.stdout.strip(), re.S), command + "\n" + done.stdout


def test_a_contributor_is_told_the_readmes_commands() -> None:
    assert steps(ROOT / "CONTRIBUTING.md") == [("make test", "…\n")]
    assert ("make test", "…\n") in steps(README)


def test_the_german_readme_has_the_same_commands_links_and_figures() -> None:
    """What is said in both languages is the same, as far as a machine can tell."""
    english, german = README.read_text(), GERMAN.read_text()
    assert steps(GERMAN) == steps(README)
    links = [
        sorted(re.findall(r"\]\(([^)]+)\)", text.replace("README.de.md", "README.md")))
        for text in (english, german)
    ]
    assert links[0] == links[1]
    tables = [re.findall(r"^\| (.*) \|$", text, re.M) for text in (english, german)]
    assert len(tables[0]) == len(tables[1])
    figures = [re.findall(r"\d+\.\d+", "\n".join(rows)) for rows in tables]
    assert figures[0] == figures[1]
    headings = [re.findall(r"^##? ", text, re.M) for text in (english, german)]
    assert headings[0] == headings[1]


@needs_make
def test_the_commands_that_serve_serve(port: int) -> None:
    assert {command for command, _ in steps(README)} >= SERVERS
    assert requests.get(f"http://localhost:{port}/livez", timeout=10).ok


def test_the_framework_serves_the_function() -> None:
    (command,) = SERVERS - {"make serve"}
    with Server(command=tuple(command.split())) as running:
        assert requests.get(running.url + "/livez", timeout=10).ok


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_there_is_no_other_kind_of_shell_block(document: Path) -> None:
    assert not re.search(r"^```(sh|bash|shell)\b", document.read_text(), re.M)
