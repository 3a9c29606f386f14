"""Terraform on a copy of ``terraform/``: it writes a folder and a lock file beside what it reads.

The provider comes from Terraform's registry, or from what the program prints that
``ZEROPOINT_TERRAFORM_SETUP`` names: ``TF_CLI_CONFIG_FILE=…``, a configuration with a provider of
the same schema that needs no network and no account.
"""

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import corpora
from servers import ROOT
from terraform.tables import blocks

SOURCE = ROOT / "terraform"
EXAMPLES = sorted(path.name for path in (SOURCE / "examples").iterdir() if path.is_dir())
SETUP = os.environ.get("ZEROPOINT_TERRAFORM_SETUP", "")

needs_terraform = pytest.mark.skipif(shutil.which("terraform") is None, reason="no terraform here")
needs_stand_in = pytest.mark.skipif(
    not SETUP, reason="the real provider asks the cloud for data and adds defaults of its own"
)

# What the variables of the examples that have no default are in a test.
VALUES = {
    "alert_emails": ["team@example.com"],
    "billing_account": "012345-6789AB-CDEF01",
    "image": "europe-west1-docker.pkg.dev/a-project/zeropoint/zeropoint@sha256:" + "0" * 64,
    "project_id": "a-project",
    "repository": "projects/a-project/locations/europe-west1/connections/github/repositories/ours",
}

# What a person who applies it has there.
_LEFT_BEHIND = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars*", "backend.tf")
_PERSONAL = ("TF_CLI_ARGS", "TF_DATA_DIR", "TF_LOG", "TF_VAR_", "TF_WORKSPACE")
_TIMEOUT_S = 300


def copy(folder: Path) -> Path:
    """Copies the module with its tests and examples into a folder, and returns its path there."""
    return Path(shutil.copytree(SOURCE, folder / "terraform", ignore=_LEFT_BEHIND))


def terraform(folder: Path, *arguments: str) -> str:
    """Runs Terraform in a folder, and returns what it printed; the test fails if it does."""
    done = run(folder, *arguments)
    said = done.stdout[-4000:] + done.stderr
    assert done.returncode == 0, f"terraform {' '.join(arguments)}\n{said}"
    return done.stdout


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs Terraform in a folder to its end, however it ends."""
    return subprocess.run(
        ["terraform", *arguments],  # noqa: S607 - whichever the path has
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


def initialize(folder: Path) -> Path:
    """Runs `terraform init`, and returns the folder; skips where there is no registry."""
    done = run(folder, "init", "-input=false")
    if done.returncode == 0:
        return folder
    if SETUP or "registry" not in done.stderr:
        pytest.fail(done.stdout + done.stderr)
    pytest.skip(f"no provider: {done.stderr.strip()[-300:]}")


def plan(folder: Path) -> dict[str, Any]:
    """Returns the plan of an initialized example, as Terraform's JSON."""
    wanted = {one.name for one in blocks("variable", folder) if "default" not in one.arguments}
    values = {name: VALUES[name] for name in wanted}
    (folder / "terraform.tfvars.json").write_text(json.dumps(values))
    terraform(folder, "plan", "-input=false", "-lock=false", "-out=plan")
    planned: dict[str, Any] = json.loads(terraform(folder, "show", "-json", "plan"))
    return planned


@functools.cache
def environment() -> dict[str, str]:
    """Returns the environment for Terraform, with a stand-in provider if one is named."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_PERSONAL)}
    own |= {"TF_IN_AUTOMATION": "1", "TF_CLI_ARGS": "-no-color"}
    if SETUP:
        cache = corpora.cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "terraform-setup.lock"):  # it may install something
            done = subprocess.run(
                [ROOT / SETUP], cwd=ROOT, capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, done.stderr
        name, _, value = done.stdout.strip().partition("=")
        own[name] = value
    return own
