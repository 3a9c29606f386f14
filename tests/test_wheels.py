"""For which machines the locked packages have wheels: asked of the registry, nothing is installed.

The long form, ZEROPOINT_WHEELS=full, asks for each package of the function on armv7l too.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers import ROOT
from test_locks import entries
from zeropoint.edge.target import PYTHONS, Target

LEAN = ROOT / "function" / "zeropoint" / "edge" / "requirements.txt"
ALL = ROOT / "function" / "requirements.txt"
GUIDE = ROOT / "docs" / "guides" / "device.md"
_WAIT_S = 300
_NO_REGISTRY = re.compile(r"NewConnectionError|ConnectTimeout|Failed to fetch")
full = pytest.mark.skipif(
    os.environ.get("ZEROPOINT_WHEELS") != "full", reason="the long form: ZEROPOINT_WHEELS=full"
)


def skip_without_registry(said: str) -> None:
    if os.environ.get("CI") != "true" and _NO_REGISTRY.search(said):
        pytest.skip("no package registry can be asked")


def resolved(lock: Path, platform: str, python: str, place: Path) -> tuple[int, str]:
    """Asks uv, of nothing but what the registry tells about the wheels."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--dry-run"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", f"--target={place}"]
    command += [f"--python-platform={platform}", f"--python-version={python}"]
    done = subprocess.run(
        [*command, f"--requirements={lock}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_WAIT_S,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("lock", [LEAN, ALL], ids=["lean", "all"])
@pytest.mark.parametrize("python", PYTHONS)
def test_each_package_has_a_wheel_for_aarch64(lock: Path, python: str, tmp_path: Path) -> None:
    status, said = resolved(lock, "aarch64-manylinux_2_28", python, tmp_path / "x")
    if status:
        skip_without_registry(said)
    assert status == 0, said
    pinned = {
        line.split()[0].replace(".", "-")
        for line in Target("aarch64", python).lines(lock.read_text())
    }
    told = {line.replace(".", "-") for line in re.findall(r"^ \+ (\S+)$", said, re.M)}
    assert told == pinned, "uv and our own reading of the lock's markers differ"


def test_an_older_c_library_has_no_wheels(tmp_path: Path) -> None:
    """So that glibc 2.28 is the oldest, as the bundle's installer says."""
    status, said = resolved(LEAN, "aarch64-manylinux_2_17", "3.11", tmp_path / "x")
    if status:
        skip_without_registry(said)
    assert status != 0
    assert "Wheels are required for" in said


def without_wheel(lock: Path, machine: str, python: str, place: Path) -> set[str]:
    """Returns the packages of a lock that have no wheel for a machine, asked one by one."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(39, 16, -1)]
    tags += [f"manylinux2014_{machine}", f"linux_{machine}"]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--no-deps", "--no-input", "--disable-pip-version-check", f"--target={place}"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    command += [f"--platform={tag}" for tag in tags] + ["--require-hashes"]

    def is_missing(line: str) -> bool:
        package = line.split("==")[0]
        pinned = place / f"{package}.txt"
        pinned.write_text(line + "\n")
        done = subprocess.run(
            [*command, f"--requirement={pinned}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_WAIT_S,
        )
        if done.returncode and "No matching distribution found" not in done.stderr:
            skip_without_registry(done.stderr)
            pytest.fail(done.stderr)
        return done.returncode != 0

    lines = Target(machine, python).lines(lock.read_text())
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(lines, pool.map(is_missing, lines), strict=True))
    if all(found.values()) and os.environ.get("CI") != "true":
        pytest.skip("no package registry can be asked")
    return {line.split("==")[0] for line, missing in found.items() if missing}


def told_missing(lock: str) -> set[str]:
    """Returns the packages that the guide's table names for armv7l."""
    table = GUIDE.read_text().split("<!-- armv7l -->")[1].split("<!-- /armv7l -->")[0]
    (row,) = re.findall(rf"^\| {lock} \| (.*) \|$", table, re.M)
    return set(re.findall(r"`([a-z0-9-]+)`", row))


def test_the_guide_names_the_packages_without_a_wheel_for_armv7l(tmp_path: Path) -> None:
    found = without_wheel(LEAN, "armv7l", "3.11", tmp_path)
    assert found == told_missing("lean")
    assert "onnxruntime" in found, "it would run there: the guide can say so"


@full
def test_the_guide_names_all_packages_without_a_wheel_for_armv7l(tmp_path: Path) -> None:
    assert without_wheel(ALL, "armv7l", "3.11", tmp_path) == told_missing("all")


def test_the_lean_lock_is_a_part_of_the_lock_of_all() -> None:
    """The same versions with the same hashes: what was tested is what goes to a device."""
    assert set(entries(LEAN)) < set(entries(ALL))
