"""The bill of materials of an environment: whole, and valid by CycloneDX's own schema."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy import bills
from servers import ROOT
from tiny_models import sha256

MODELS = ROOT / "model_artifacts"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bill of the environment that makes bills, and of one model."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(MODELS / "efficientnet-lite0", home / "models" / "efficientnet-lite0")
    return bills.make(home, "1.2.3", bills.python_with_cyclonedx(), home / "models")


@pytest.fixture
def bill(text: str) -> dict[str, Any]:
    """The same, read."""
    return dict(json.loads(text))


def test_it_is_valid_and_another_is_not(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bill.json"
    path.write_text(text)
    assert bills.judgement(tmp_path, path) == "valid"
    path.write_text(json.dumps({**json.loads(text), "components": [{"type": "library"}]}))
    assert "'name' is a required property" in bills.judgement(tmp_path, path)


def test_it_says_what_it_is_of(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"], root["type"]) == ("zeropoint", "1.2.3", "application")
    assert {"cyclonedx-py", "cyclonedx-bom"} & {
        tool["name"] for tool in bill["metadata"]["tools"]["components"]
    }


def test_every_package_of_the_lock_is_in_it_with_its_version(bill: dict[str, Any]) -> None:
    found = {
        (re.sub(r"[-_.]+", "-", one["name"]).lower(), one["version"])
        for one in bill["components"]
        if one.get("purl", "").startswith("pkg:pypi/")
    }
    lock = (ROOT / "requirements" / "sbom.txt").read_text()
    locked = re.findall(r"^([a-z0-9-]+)==([^\s;]+)( ; python_full_version < '3\.13')?", lock, re.M)
    newer = sys.version_info >= (3, 13)
    wanted = {(name, version) for name, version, old in locked if not old or not newer}
    assert len(wanted) > 20
    assert found == wanted


def test_every_package_of_debian_is_in_it_with_its_version(bill: dict[str, Any]) -> None:
    if shutil.which("dpkg-query") is None:
        pytest.skip("this machine has no dpkg")
    asked = ["dpkg-query", "--show", "--showformat", "${Status}\t${Package}\t${Version}\n"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    wanted = {
        (name, version)
        for status, name, version in (line.split("\t") for line in said.splitlines())
        if status.endswith(" installed")
    }
    found = {
        (one["name"], one["version"])
        for one in bill["components"]
        if one.get("purl", "").startswith("pkg:deb/")
    }
    assert found == wanted


def test_every_file_of_a_model_is_in_it_with_its_digest(bill: dict[str, Any]) -> None:
    (model,) = [one for one in bill["components"] if one["type"] == "machine-learning-model"]
    assert (model["name"], model["licenses"]) == (
        "efficientnet-lite0",
        [{"license": {"id": "Apache-2.0"}}],
    )
    told = {file["name"]: file["hashes"][0]["content"] for file in model["components"]}
    folder = MODELS / "efficientnet-lite0"
    files = [folder / "model.onnx", *(folder / "variants").glob("*.onnx")]
    assert told == {str(path.relative_to(folder)): sha256(path) for path in files}


def test_all_of_it_hangs_together(bill: dict[str, Any]) -> None:
    below = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    seen, next_ = set(), ["zeropoint"]
    while next_:
        ref = next_.pop()
        if ref not in seen:
            seen.add(ref)
            next_ += below.get(ref, [])
    assert {one["bom-ref"] for one in bill["components"]} <= seen
