"""Virtual environments of single tests, each installed once into the cache of `corpora`.

For what does not go with the packages of the function, or is too much to have it always. Its
requirements are pinned by hash. Without a package registry the test is skipped, but fails where
the environment says `CI=true`.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

import corpora

_INSTALL_S = 600


def python_with(name: str, requirements: Path) -> Path:
    """Returns an interpreter that has what a file requires, and installs it if nobody has."""
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = corpora.cache_folder() / f"{name}-{key}"
    done = folder / "done"  # written last
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            venv = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)]
            subprocess.run(venv, check=True)
            _install(python, name, requirements)
            done.touch()
    return python


def _install(python: Path, name: str, requirements: Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--retries=2", "--no-compile"]
    command += ["--only-binary=:all:", "--require-hashes", f"--requirement={requirements}"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    if found.returncode == 0:
        return
    if "DO NOT MATCH THE HASHES" in found.stderr or os.environ.get("CI") == "true":
        pytest.fail(f"{name} could not be installed: {found.stderr}")
    pytest.skip(f"{name} could not be installed: {found.stderr.strip()[-500:]}")
