"""axe-core, which finds what keeps people out of a page: npm's package, checked by its digest."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import corpora

_VERSION = "4.14.1"
_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
_PACK_S = 120


def violations(page: Any) -> list[str]:
    """Returns what axe-core finds wrong in what a page of Playwright's shows, by its rules."""
    page.evaluate(_script().read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def _script() -> Path:
    """Returns axe-core's file, downloaded if nobody has."""
    path = corpora.cache_folder() / f"axe-core-{_VERSION}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                part = Path(folder) / "axe.min.js"
                part.write_bytes(_downloaded(Path(folder)))
                part.rename(path)
    return path


def _downloaded(folder: Path) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        _give_up("there is no npm here")
    command = [str(npm), "pack", "--silent", f"axe-core@{_VERSION}"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=_PACK_S
    )
    if done.returncode:
        _give_up(f"axe-core could not be downloaded: {done.stderr.strip()[-500:]}")
    (archive,) = folder.glob("*.tgz")
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert digest == _SHA512, "axe-core is not what is pinned"
    with tarfile.open(archive) as package:
        member = package.extractfile("package/axe.min.js")
        assert member is not None
        return member.read()


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
