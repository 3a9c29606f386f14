"""One folder with all that a device without a network needs: wheels, models, an installer.

It is made beside its place and moved in. What pip brings is held to the lock's hashes here, and
again on the device: the bundle's own requirements.txt names each wheel by its digest.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import zeropoint
from zeropoint import loader
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.edge import wheel
from zeropoint.edge.target import GLIBC, Target
from zeropoint.errors import SettingsError
from zeropoint.settings import Settings

SUMS = "SHA256SUMS"
_LEAN, _INSTALLER = "requirements.txt", "installer.txt"
_DOWNLOAD_S = 1800
_LEFT_OUT = {"recipe", "__pycache__"}  # how a model is made, which no device needs


class Made(NamedTuple):
    """What a bundle came to."""

    wheels: int
    models: list[str]
    size_bytes: int
    digest: str  # of SHA256SUMS, as hex


def make(
    out: Path,
    repository: LocalRepository,
    names: Sequence[str],
    target: Target,
    settings: Settings,
    all_packages: bool = False,
) -> Made:
    """Makes a bundle.

    Args:
        out: Its folder, which must not exist, or be empty.
        repository: Where the models lie.
        names: The models; each must give its known answer here.
        target: The machine that it is for.
        settings: Limits of a load.
        all_packages: Whether to take all packages of the function, with those for Google Cloud.

    Raises:
        SettingsError: OUT is not free, pip is missing or failed, or not all of it can be packed.
        ZeropointError: a model is not what its manifest says.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise SettingsError(f"{out}: expected no such folder, or an empty one, got another")
    lock = _all() if all_packages else _text(_LEAN)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
            folder = Path(beside) / "bundle"
            folder.mkdir()
            for name in names:
                _copy_model(repository, name, folder / "models", settings)
            wheels = _fill_wheels(folder, target, lock)
            _write_words(folder, target, names)
            digest = _sign(folder)
            os.replace(folder, out)
    except OSError as error:
        raise SettingsError(
            f"{out}: expected a place that can be written, got {error.strerror}"
        ) from None
    size_bytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return Made(wheels, list(names), size_bytes, digest)


def _copy_model(repository: LocalRepository, name: str, models: Path, settings: Settings) -> None:
    """Copies a model's folder; raises a ZeropointError unless the copy gives its known answer."""
    place = models / repository.manifest(name).name
    source = repository.manifest_path(name).parent.resolve()
    for path in sorted(source.rglob("*")):
        below = path.relative_to(source)
        hidden = any(part.startswith(".") or part in _LEFT_OUT for part in below.parts)
        if hidden or not path.is_file() or not path.resolve().is_relative_to(source):
            continue
        (place / below).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place / below)
    copied = LocalRepository(models)
    loader.load(copied, name, settings)
    artifact = Artifact(copied, name)
    artifact.fetch(artifact.manifest.file)
    for variant in artifact.manifest.variant:
        artifact.fetch(variant.file)


def _fill_wheels(folder: Path, target: Target, lock: str) -> int:
    """Has pip fetch the wheels, and writes the requirements that name each of them."""
    wheels = folder / "wheels"
    wheels.mkdir()
    _download(target, target.lines(_text(_INSTALLER)), wheels)
    installer = set(wheels.iterdir())
    _download(target, target.lines(lock), wheels)
    wheel.write(wheels)
    lines = []
    for path in sorted(set(wheels.iterdir()) - installer):
        name, version, _ = path.name.split("-", 2)
        lines.append(f"{name}=={version} --hash=sha256:{_digest(path)}\n")
    (folder / "requirements.txt").write_text("".join(lines))
    return len(lines)


def _download(target: Target, lines: Sequence[str], wheels: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pinned:
        pinned.write("\n".join(lines) + "\n")
        pinned.flush()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
        command += ["--disable-pip-version-check", "--require-hashes", *target.pip_options()]
        command += [f"--dest={wheels}", f"--requirement={pinned.name}"]
        try:
            done = subprocess.run(  # noqa: S603 - this Python's own pip
                command, capture_output=True, text=True, check=False, timeout=_DOWNLOAD_S
            )
        except subprocess.TimeoutExpired:
            raise SettingsError(f"pip download took longer than {_DOWNLOAD_S} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        raise SettingsError(
            f"expected pip to download the wheels for {target.platform} and Python"
            f" {target.python}, got: {' '.join(said)[-1000:] or 'no reason'}"
        )


def _write_words(folder: Path, target: Target, names: Sequence[str]) -> None:
    """Writes the installer, what it reads, and what a person does."""
    version = zeropoint.__version__
    script = folder / "install.sh"
    script.write_text(_text("install.sh"))
    (folder / "target").write_text(
        f"{target.machine} {target.python} {GLIBC[0]}.{GLIBC[1]} {version}\n"
    )
    text = _text("readme.txt")
    for key, value in {
        "version": version,
        "platform": target.platform,
        "python": target.python,
        "glibc": f"{GLIBC[0]}.{GLIBC[1]}",
        "models": ", ".join(names),
    }.items():
        text = text.replace(f"@{key}@", value)
    (folder / "README.txt").write_text(text)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path == script else 0o644)
    folder.chmod(0o755)


def _sign(folder: Path) -> str:
    """Writes the digest of every file, and returns the digest of that."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    sums = folder / SUMS
    sums.write_text("".join(lines))
    sums.chmod(0o644)
    return _digest(sums)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(name: str) -> str:
    return resources.files("zeropoint.edge").joinpath(name).read_text("utf-8")


def _all() -> str:
    """Returns the lock of all packages, which lies beside the package where it is deployed from."""
    path = Path(__file__).resolve().parents[2] / "requirements.txt"
    try:
        return path.read_text("utf-8")
    except OSError:
        raise SettingsError(
            "expected a clone of the repository for --all, whose function/requirements.txt names"
            " the packages, got an installed package: take --lean, or make the bundle in a clone"
        ) from None
