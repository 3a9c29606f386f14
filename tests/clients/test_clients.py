"""KServe's own Python client, unchanged, against a real server; and the guide's examples.

Its packages do not go with ours, so it is installed in a virtual environment of its own: about
300 MB, in about half a minute.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from environments import python_with
from servers import ROOT, Server, environment
from tiny_models import picture

_GUIDE = ROOT / "docs" / "guides" / "open-inference.md"
_SCRIPT = Path(__file__).with_name("kserve_client.py")


def python_with_kserve() -> Path:
    """Returns an interpreter that has kserve."""
    return python_with("kserve", ROOT / "tests" / "kserve-requirements.txt")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="kserve 0.21 wants Python before 3.14")
def test_kserves_client_works_unchanged(colour_server: Server, tmp_path: Path) -> None:
    python = python_with_kserve()
    photo = tmp_path / "green.png"
    photo.write_bytes(picture("green"))
    done = subprocess.run(
        [python, _SCRIPT, colour_server.url, photo],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, True)
    assert found["nope_ready"] is False
    for photos in found["labels"]:
        assert [one["label"] for one in photos] == ["green"]
        assert len(photos[0]["top"]) == 1
    assert found["scores"] == [[[0.5] * 3] * 2] * 2
    assert found["id"] == "abc"
    assert found["server"] == "zeropoint"
    assert found["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 3, 8, 8]}]
    status, message = found["refusal"]
    assert status == 404
    assert message.startswith("expected the name of a model served here")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="kserve 0.21 wants Python before 3.14")
def test_the_guides_kserve_example_works(server: Server, tmp_path: Path) -> None:
    assert run_example("kserve", python_with_kserve(), server, tmp_path) == "tiger cat\n"


def test_the_guides_tritonclient_example_works(server: Server, tmp_path: Path) -> None:
    printed = run_example("tritonclient", Path(sys.executable), server, tmp_path)
    assert printed == "tiger cat\n(2, 1000)\n"


def run_example(package: str, python: Path, server: Server, home: Path) -> str:
    """Runs the guide's example that imports a package, and returns what it printed."""
    examples = re.findall(r"^```python\n(.*?)^```", _GUIDE.read_text(), re.M | re.S)
    (code,) = [one for one in examples if f"from {package}" in one]
    done = subprocess.run(
        [python, "-c", code.replace("localhost:8080", f"127.0.0.1:{server.port}")],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
