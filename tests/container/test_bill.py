"""The image's bill of materials: that it is valid, and tells what is in the image and no more."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from container import images
from deploy import bills
from tiny_models import sha256
from zeropoint import __version__

_SITE_PACKAGES = "opt/venv/lib/python3.13/site-packages"
_DIST_INFO = re.compile(r"([A-Za-z0-9._]+)-([^-]+)\.dist-info")


@pytest.fixture
def bill(root: Path) -> dict[str, Any]:
    """The bill as it lies in the image."""
    return dict(json.loads((root / "app" / "sbom.cdx.json").read_text()))


def found(bill: dict[str, Any], kind: str) -> set[tuple[str, str]]:
    """Returns names and versions of the components of a package manager."""
    components = [one for one in bill["components"] if one.get("purl", "").startswith(kind)]
    return {(normal(one["name"]), one["version"]) for one in components}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_is_valid_by_cyclonedx(root: Path, tmp_path: Path) -> None:
    assert bills.judgement(tmp_path, root / "app" / "sbom.cdx.json") == "valid"


def test_it_has_the_images_packages_and_no_others(root: Path, bill: dict[str, Any]) -> None:
    folders = [path.name for path in (root / _SITE_PACKAGES).glob("*.dist-info")]
    names = [_DIST_INFO.fullmatch(name) for name in folders]
    installed = {(normal(one[1]), one[2]) for one in names if one}
    assert len(installed) == len(folders) > 40
    assert found(bill, "pkg:pypi/") == installed
    assert not any(name.startswith("cyclonedx") for name, _ in installed)


def test_it_has_debians_packages(root: Path, bill: dict[str, Any]) -> None:
    status = (root / "var/lib/dpkg/status").read_text()
    entries = [dict(re.findall(r"^(\w+): (.*)$", one, re.M)) for one in status.split("\n\n")]
    wanted = {(normal(one["Package"]), one["Version"]) for one in entries if "Package" in one}
    assert len(wanted) > 50
    assert found(bill, "pkg:deb/") == wanted


def test_it_has_the_function_python_and_the_model(root: Path, bill: dict[str, Any]) -> None:
    assert bill["metadata"]["component"]["version"] == __version__
    ((_, version),) = found(bill, "pkg:generic/python")
    assert version.startswith("3.13.")
    (model,) = [one for one in bill["components"] if one["type"] == "machine-learning-model"]
    assert model["name"] == images.MODEL
    for file in model["components"]:
        path = root / "app" / "model_artifacts" / images.MODEL / file["name"]
        assert file["hashes"] == [{"alg": "SHA-256", "content": sha256(path)}]


def test_it_names_no_place_of_the_machine_that_built_it(bill: dict[str, Any]) -> None:
    text = json.dumps(bill)
    assert "file://" not in text
    assert "/opt/sbom" not in text
