"""The image of the Dockerfile, built with buildah, and containers of it on a strict platform.

A container here has processes and mounts to itself: its root cannot be written, /tmp is empty
memory, process 1 is the image's command, as the image's user, and its environment is only what
the image and the test give.

Where no registry of base images is at hand, the program that ZEROPOINT_CONTAINER_BUILD names,
called with a Dockerfile and a tag, lays the base.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import corpora
from servers import ROOT, Server

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "efficientnet-lite0"
USER = "65532:65532"
_BASE = "docker.io/library/python:3.13-slim"
_REPOSITORY = "localhost/zeropoint-test"
_BUILD_S = 900.0
_RUN_S = 120.0
_STOP_S = 15.0

# As root, in mount and process namespaces of its own: ROOT USER FOLDER COMMAND…
_ENTER = """
root=$1 user=$2 folder=$3
shift 3
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -o remount,bind,ro "$root/dev"
exec chroot --userspec="$user" "$root" /usr/bin/env -i -C "$folder" PORT="${PORT:-8080}" "$@"
"""


def buildah(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Runs buildah to its end."""
    command = [shutil.which("buildah") or "buildah", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=_BUILD_S)


def need_buildah() -> None:
    """Skips the test where no image can be built, and lays the base image where it can."""
    if os.geteuid() != 0:
        pytest.skip("buildah mount and unshare want root")
    program = os.environ.get("ZEROPOINT_CONTAINER_BUILD")
    if not program and not shutil.which("buildah"):
        pytest.skip("buildah is not installed")
    with _lock():
        if shutil.which("buildah") and _exists(_BASE):
            return
        if program:
            _lay_base(ROOT / program)
            return
        pulled = buildah("pull", "--quiet", _BASE, check=False)
        if pulled.returncode != 0:
            pytest.skip(f"{_BASE} could not be had: {pulled.stderr.strip()[-500:]}")


def build_image() -> str:
    """Builds the image of this tree, if nobody has, and returns its tag.

    One is kept between runs, in buildah's own storage; that of an older tree is removed.
    """
    tag = f"{_REPOSITORY}:{_digest_of_context()}"
    with _lock():
        if not _exists(tag):
            for old in _tags():
                buildah("rmi", old, check=False)
            _build(ROOT, tag, COMMIT=COMMIT)
    return tag


def build_stage(context: Path, stage: str, **arguments: str) -> str:
    """Builds one stage with the files of ``context``, and returns its tag."""
    tag = f"{_REPOSITORY}-{stage}:{uuid.uuid4().hex[:12]}"
    with _lock():
        _build(context, tag, "--target", stage, **arguments)
    return tag


def config(tag: str) -> dict[str, Any]:
    """Returns how an image says that it is run."""
    found = json.loads(buildah("inspect", "--type", "image", tag).stdout)
    configuration: dict[str, Any] = found["OCIv1"]["config"]
    return configuration


class Container(Server):
    """A container that serves on a port of this machine.

    Args:
        tag: The image; ``root`` is where its files lie.
        root: As `buildah mount` gives it; nothing in it changes.
        settings: Its environment, beside the image's.
        arguments: Instead of the image's own.
        entrypoint: Instead of the image's own.
        user: Instead of the image's own.
    """

    def __init__(
        self,
        tag: str,
        root: Path,
        settings: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] | None = None,
        entrypoint: tuple[str, ...] | None = None,
        user: str | None = None,
    ) -> None:
        image = config(tag)
        changes = [f"{key}={value}" for key, value in (settings or {}).items()]
        command = image["Entrypoint"] if entrypoint is None else entrypoint
        rest = image["Cmd"] if arguments is None else arguments
        super().__init__(
            command=(
                *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *("sh", "-euc", _ENTER, "sh", str(root), user or image["User"]),
                *(image["WorkingDir"], *image["Env"], *changes, *command, *rest),
            )
        )

    def run(self) -> "subprocess.CompletedProcess[str]":
        """Runs it to its end, as a job is."""
        return subprocess.run(
            self.command, capture_output=True, text=True, check=False, timeout=_RUN_S
        )

    def first_process(self) -> int:
        """Returns the id that this machine gives the container's process 1."""
        ours = self.process.pid
        return int(Path(f"/proc/{ours}/task/{ours}/children").read_text().split()[0])

    def stop(self) -> int:
        """Sends the image's stop signal to process 1 and returns its exit status."""
        os.kill(self.first_process(), signal.SIGTERM)
        return self.process.wait(_STOP_S)


def _build(context: Path, tag: str, *options: str, **arguments: str) -> None:
    command = ["bud", "--isolation", "chroot", "--network", "host", "--quiet", "--tag", tag]
    for name, value in {"BASE": _BASE, **arguments}.items():
        command += ["--build-arg", f"{name}={value}"]
    command += [*options, "--file", str(ROOT / "Dockerfile"), str(context)]
    built = buildah(*command, check=False)
    assert built.returncode == 0, built.stdout + built.stderr


def _lock() -> FileLock:
    folder = corpora.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "container.lock")


def _exists(tag: str) -> bool:
    return buildah("inspect", "--type", "image", tag, check=False).returncode == 0


def _tags() -> list[str]:
    listed = buildah("images", "--format", "{{.Name}}:{{.Tag}}").stdout.split()
    return [tag for tag in listed if tag.startswith(f"{_REPOSITORY}:")]


def _lay_base(program: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dockerfile = Path(folder) / "Dockerfile"
        # A second line, as buildah leaves a container behind where there is none.
        dockerfile.write_text("FROM python:3.13-slim\nUSER root\n")
        tag = f"{_REPOSITORY}-base:latest"
        command = [str(program), str(dockerfile), tag]
        laid = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_BUILD_S
        )
    assert laid.returncode == 0, laid.stderr
    buildah("rmi", tag)


def _digest_of_context() -> str:
    digest = hashlib.sha256(COMMIT.encode())
    names = ("Dockerfile", ".dockerignore", "LICENSE", "deploy/sbom.py", "requirements/sbom.txt")
    files = [ROOT / name for name in names]
    for folder in (ROOT / "function", ROOT / "model_artifacts" / MODEL):
        files += sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        place = path.relative_to(ROOT)
        if "__pycache__" in place.parts or ".egg-info" in str(place):
            continue
        digest.update(f"{place}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
