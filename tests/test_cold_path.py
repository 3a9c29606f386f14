"""What is imported until the first answer: each module there is time that somebody waits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import CAT
from servers import ROOT, environment

# As `zeropoint serve` does it, but for the socket.
_FIRST_ANSWER = """
import io, json, sys
from zeropoint.start import start
serving = start(load=True)
import click
import zeropoint.cli.verbs
import zeropoint.cli.serve
import zeropoint.server
from zeropoint.app import App
from zeropoint.wsgi import Request
data = open(sys.argv[1], "rb").read()
environ = {
    "REQUEST_METHOD": "POST", "PATH_INFO": "/predict", "wsgi.input": io.BytesIO(data),
    "CONTENT_LENGTH": str(len(data)), "CONTENT_TYPE": "image/jpeg",
}
assert App(serving)(Request(environ)).status == 200
print(json.dumps(sorted(sys.modules)))
"""
PACKAGES = {
    "PIL",
    "click",
    "msgspec",
    "numpy",
    "onnxruntime",
    "typing_extensions",
    "waitress",
    "zeropoint",
}
# Of the standard library, what takes milliseconds each and is easily pulled in.
HEAVY = {
    "asyncio",
    "concurrent.futures.process",
    "encodings.idna",
    "http.client",
    "multiprocessing",
    "pydoc",
    "sqlite3",
    "ssl",
    "tempfile",
    "xml",
}
# Of our own, what only other routes and verbs need.
OTHER_ROUTES = {"zeropoint.cloud_logs", "zeropoint.openapi", "zeropoint.optimize"}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules of a process that has answered its first photo."""
    home: Path = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_ANSWER, str(CAT)],
        cwd=ROOT,
        env=environment(home, measured=False),  # which would be imported too
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_no_other_package_is_imported(imported: set[str]) -> None:
    packages = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    of_installer = {"__main__", "_distutils_hack", "google", "sitecustomize", "usercustomize"}
    found = {name for name in packages if not name.startswith("__")} - of_installer
    assert found <= PACKAGES


def test_nothing_heavy_is_imported(imported: set[str]) -> None:
    assert sorted(imported & (HEAVY | OTHER_ROUTES)) == []
