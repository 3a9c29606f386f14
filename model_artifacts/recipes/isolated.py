"""Run a recipe in a virtual environment of its own, which is kept in the cache folder."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent
_PIP = ("-m", "pip", "--disable-pip-version-check")
_INSTALL = ("install", "--quiet", "--no-input", "--no-deps", "--require-hashes", "--requirement")


class BuildError(Exception):
    """A recipe ended with an error, or made other files than it should have."""


def cache_folder() -> Path:
    """Returns the folder for downloads and recipes' environments."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "zeropoint-recipes"


def follow(name: str, out: Path, *more: str) -> None:
    """Runs a model's recipe in its own environment, as it is.

    Args:
        name: The model's.
        out: The folder that it writes to.
        more: Of its own options.

    Raises:
        BuildError: it failed.
    """
    recipe, cache = MODELS / name / "recipe", cache_folder()
    command = [_environment(recipe / "requirements.txt", cache), str(recipe / "build.py")]
    command += ["--work", str(cache / "downloads"), "--out", str(out), *more]
    _run(command, f"{name}: the recipe", env={**os.environ, "PYTHONPATH": str(HERE)})


def _environment(requirements: Path, cache: Path) -> str:
    """Returns the Python of an environment with these packages, made if nobody has."""
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / f"environment-{key}"
    python = str(folder / "bin" / "python")
    if not (folder / "done").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], "venv")
        _run([python, *_PIP, *_INSTALL, str(requirements)], "pip")
        (folder / "done").touch()
    return python


def _run(command: list[str], what: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, check=False)  # noqa: S603 - our own recipes
    if done.returncode:
        raise BuildError(f"{what} ended with status {done.returncode}")
