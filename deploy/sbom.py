"""Writes the image's bill of materials, CycloneDX 1.5 in JSON, to stdout; the Dockerfile runs it.

    python sbom.py VERSION PYTHON MODELS

VERSION is the function's, PYTHON the interpreter that has its packages, MODELS the folder of its
models. cyclonedx-bom reads Python's packages; Debian's, of the machine that this runs on, and the
models are added. 1.5 is the newest version that Artifact Analysis takes.
"""

import json
import platform
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

_VERSION = SchemaVersion.V1_5
_DPKG = Path("/var/lib/dpkg/status")
_OS = Path("/etc/os-release")
_LICENSES = LicenseFactory()


def packages(python: str) -> Bom:
    """Returns what cyclonedx-bom finds in an interpreter's environment."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--spec-version=1.5"]
    command += ["--no-validate", python]  # as the whole is
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603
    found: Bom = Bom.from_json(json.loads(done.stdout))  # type: ignore[attr-defined]
    return found


def interpreter() -> Component:
    """Returns CPython, which no package manager of the official base image knows."""
    version = platform.python_version()
    return Component(
        type=ComponentType.PLATFORM,
        name="python",
        version=version,
        bom_ref="python",
        cpe=f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
        purl=PackageURL("generic", None, "python", version),
        licenses=[_LICENSES.make_from_string("PSF-2.0")],
    )


def debian() -> Iterator[Component]:
    """Yields the packages that dpkg has installed."""
    release = dict(line.split("=", 1) for line in _OS.read_text().splitlines() if "=" in line)
    system = "-".join(release.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))
    for entry in _DPKG.read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line)
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, version = fields["Package"], fields["Version"]
        where = {"arch": fields["Architecture"], "distro": system}
        purl = PackageURL("deb", release["ID"], name, version, where)
        yield Component(
            type=ComponentType.LIBRARY, name=name, version=version, bom_ref=str(purl), purl=purl
        )


def models(folder: Path) -> Iterator[Component]:
    """Yields the models, each with its files and their digests."""
    for path in sorted(folder.glob("*/model.toml")):
        manifest = tomllib.loads(path.read_text())
        variants = [one["file"] for one in manifest.get("variant", [])]
        yield Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            name=manifest["name"],
            version=manifest["version"],
            bom_ref=f"model/{manifest['name']}",
            licenses=[_LICENSES.make_from_string(manifest["license"])],
            components=[_file(manifest["name"], file) for file in (manifest["file"], *variants)],
        )


def _file(model: str, file: dict[str, Any]) -> Component:
    return Component(
        type=ComponentType.FILE,
        name=file["path"],
        bom_ref=f"model/{model}/{file['path']}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file["sha256"])],
    )


def bill(version: str, python: str, folder: Path) -> str:
    """Returns the whole bill, valid by CycloneDX's own schema."""
    bom = packages(python)
    for one in bom.components:  # a purl names it; links to chats and donations tell nothing
        one.external_references.clear()
    below = {one.ref for dependency in bom.dependencies for one in dependency.dependencies}
    direct = [one for one in bom.components if one.bom_ref not in below]
    added = [interpreter(), *debian(), *models(folder)]
    bom.components.update(added)
    bom.metadata.component = root = Component(
        type=ComponentType.APPLICATION,
        name="zeropoint",
        version=version,
        bom_ref="zeropoint",
        licenses=[_LICENSES.make_from_string("Apache-2.0")],
    )
    bom.register_dependency(root, [*direct, *added])
    text = make_outputter(bom, OutputFormat.JSON, _VERSION).output_as_string(indent=1)
    if problem := JsonStrictValidator(_VERSION).validate_str(text):
        raise SystemExit(f"expected a valid bill of materials, got: {problem}")
    return text


if __name__ == "__main__":
    print(bill(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
