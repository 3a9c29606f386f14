"""Without any network but the loopback device it serves, and asks for none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from namespaces import namespace
from servers import ROOT, environment

_PROGRAM = ROOT / "tests" / "offline.py"


@pytest.mark.parametrize("kind", ["serve", "framework"])
def test_a_photo_is_answered_without_a_network_and_none_is_missed(
    tmp_path: Path, kind: str
) -> None:
    """The kernel counts what finds no way; its counters are shown to count."""
    paths = {"PYTHONPATH": f"{ROOT / 'function'}:{ROOT / 'tests'}"}
    done = subprocess.run(
        [*namespace(), sys.executable, str(_PROGRAM), kind],
        cwd=ROOT,
        env=environment(tmp_path, paths),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {
        "label": "tiger cat",
        "lost": 0,
        "lost with a packet to elsewhere": 1,
        "lost with a question for a name": 2,
    }
