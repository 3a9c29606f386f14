"""What is installed is what was locked: by a hash each, the tools of the build too."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from servers import ROOT

LOCKS = sorted(
    [
        ROOT / "function" / "requirements.txt",
        ROOT / "function" / "zeropoint" / "edge" / "installer.txt",
        ROOT / "function" / "zeropoint" / "edge" / "requirements.txt",
        *(ROOT / "requirements").glob("*.txt"),
        *(ROOT / "tests").rglob("*requirements.txt"),
        *(ROOT / "model_artifacts").glob("*/recipe/requirements.txt"),
    ]
)
_SCRIPTS = ("Makefile", "Dockerfile", ".ci/run", "deploy/*.sh")


def entries(lock: Path) -> list[str]:
    """Returns a lock's lines, continued ones joined, without comments."""
    text = re.sub(r"\\\n", " ", lock.read_text())
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_line_of_a_lock_is_one_version_with_its_hashes(lock: Path) -> None:
    """No option, no file, no URL and no range: those could name what nobody has seen."""
    assert entries(lock)
    for line in entries(lock):
        assert re.fullmatch(
            r"[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==[\w.+!-]+( ;[^;]*?)?( +--hash=sha256:[0-9a-f]{64})+",
            line,
        ), line


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_version_is_pinned_twice_where_both_would_be_installed(lock: Path) -> None:
    seen: dict[str, set[str]] = {}
    for line in entries(lock):
        requirement = Requirement(line.partition(" --hash")[0])
        marker = str(requirement.marker or "")
        assert marker not in seen.setdefault(requirement.name, set()), line
        seen[requirement.name].add(marker)


def test_what_builds_the_package_is_locked() -> None:
    """With --no-build-isolation pip takes these; without, it would fetch the newest ones."""
    locked = {
        one.name: one
        for line in entries(ROOT / "requirements" / "build.txt")
        if (one := Requirement(line.partition(" --hash")[0]))
    }
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    for wanted in map(Requirement, build["requires"]):
        (pinned,) = locked[wanted.name].specifier
        assert wanted.specifier.contains(pinned.version), wanted


def installs(text: str) -> list[str]:
    """Returns what a script has pip install, each command in one line."""
    text = re.sub(r"\\\n\s*", " ", text)
    return re.findall(r"(?:pip .*\binstall|\$\(PIP\)) .*", text)


def test_every_script_that_installs_asks_for_hashes() -> None:
    found = {
        f"{path.name}: {command}": command
        for pattern in _SCRIPTS
        for path in ROOT.glob(pattern)
        for command in installs(path.read_text())
    }
    assert sum(place.startswith("Makefile") for place in found) >= 3
    assert sum(place.startswith("Dockerfile") for place in found) == 2
    for place, command in found.items():
        ours = command.endswith("--no-deps --no-build-isolation --editable .")
        assert "--require-hashes" in command or ours, place


def test_every_program_that_installs_asks_for_hashes() -> None:
    """`recipes/sources.py` has pip download by name, and compares the digests by itself."""
    found = {}
    for folder in ("tests", "model_artifacts/recipes"):
        for path in (ROOT / folder).glob("*.py"):
            text = path.read_text()
            if wanted := len(re.findall(r'"pip",.*?"(?:install|download)"', text, re.S)):
                found[path.name] = text.count("--require-hashes") >= wanted
    assert found.pop("sources.py") is False
    assert found == dict.fromkeys(found, True)
    assert {"environments.py", "corpora.py", "isolated.py"} <= found.keys()
