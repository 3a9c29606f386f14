"""Checkov finds nothing in the module and its examples; what it must not look at says why."""

import json
import re
import subprocess
from pathlib import Path

from environments import python_with
from servers import environment
from terraform.stage import SOURCE, copy

_REQUIREMENTS = Path(__file__).with_name("checkov-requirements.txt")
_CODE = "from checkov.main import Checkov; import sys; sys.exit(Checkov().run())"
_SKIP = r"# checkov:skip="


def test_checkov_finds_nothing(tmp_path: Path) -> None:
    python = python_with("checkov", _REQUIREMENTS)
    command = [str(python), "-c", _CODE, "--directory", str(copy(tmp_path))]
    command += ["--framework", "terraform", "--output", "json", "--quiet"]
    command += ["--skip-download", "--download-external-modules", "false"]  # asks no network
    done = subprocess.run(
        command,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = json.loads(done.stdout)
    failed = found["results"]["failed_checks"]
    assert [(one["check_id"], one["resource"], one["check_name"]) for one in failed] == []
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["resource_count"] > 50  # it has looked
    assert done.returncode == 0, done.stderr


def test_each_skip_has_its_reason_beside_it() -> None:
    for path in SOURCE.rglob("*.tf"):
        for line in path.read_text().splitlines():
            if "checkov:" in line:
                assert re.fullmatch(rf"\s*{_SKIP}CKV2?_GCP_\d+: .{{20,}}", line), line
