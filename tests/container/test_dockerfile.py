"""What of the image can be told without building it: stages, defaults, and what goes into them."""

import re
from pathlib import Path

from servers import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
LAST = DOCKERFILE.rpartition("\nFROM ")[2]


def lines(path: Path) -> list[str]:
    """Returns the lines of an ignore file that say something."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def test_every_stage_stands_on_the_base_that_is_given() -> None:
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    assert stages == ["${BASE}"] * 5
    assert re.findall(r"^ARG (BASE.*)", DOCKERFILE, re.M) == ["BASE=python:3.13-slim", "BASE"]


def test_the_default_model_is_baked_in_and_the_commit_is_given() -> None:
    assert 'ARG MODELS="efficientnet-lite0"' in DOCKERFILE
    assert 'ARG COMMIT=""' in DOCKERFILE


def test_packages_are_wheels_that_a_hash_names() -> None:
    """Nothing is compiled, and nothing is taken that was not locked."""
    assert "--require-hashes" in DOCKERFILE
    assert "--only-binary=:all:" in DOCKERFILE
    assert "://" not in DOCKERFILE


def test_the_commit_comes_after_all_that_can_be_cached() -> None:
    assert LAST.index("ARG COMMIT") > LAST.rindex("COPY ")
    assert LAST.index("ARG COMMIT") > LAST.rindex("\nRUN ")


def test_the_context_is_what_the_dockerfile_copies() -> None:
    """A list of what may go in: a key left in the folder cannot be baked in by mistake."""
    found = lines(ROOT / ".dockerignore")
    assert found[0] == "*"
    allowed = {line.removeprefix("!") for line in found if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
    names = [name for line in copied for name in line.split()]
    needed = {one: [n for n in names if n == one or n.startswith(f"{one}/")] for one in allowed}
    assert all(needed.values()), needed
    assert {name for found in needed.values() for name in found} == set(names)


def test_what_git_ignores_is_not_uploaded_but_for_models() -> None:
    """`gcloud builds submit` would send tfstate with its secrets; models can be chosen."""
    ignored = [line for line in lines(ROOT / ".gitignore") if "/model_artifacts/" not in line]
    left_out = lines(ROOT / ".gcloudignore")
    assert set(ignored) <= set(left_out)
    assert ".git/" in left_out
    assert not any("model_artifacts" in line for line in left_out)
