"""docs/guides/deploy.md, run from top to bottom, with programs in the place of the cloud's.

Terraform, bash and the files are real; ``gcloud``, ``bq``, ``curl``, ``git`` and ``kubectl`` are
small scripts that write down how they were called. With a provider that asks no cloud, `apply` and
`destroy` run too.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from servers import ROOT
from terraform.stage import SOURCE, copy, environment, initialize, needs_stand_in, needs_terraform
from terraform.tables import blocks

GUIDE = ROOT / "docs" / "guides" / "deploy.md"
TEXT = GUIDE.read_text()

# Asked whether to go on, a person says yes.
TERRAFORM = """#!/usr/bin/env bash
exec {} "$@" <<<yes
"""

# It fails if a variable is not set that the script of the same name wants.
DEPLOY = """#!/usr/bin/env bash
set -u
for name in {}; do : "${{!name}}"; done
"""

CLOUD = r"""#!/usr/bin/env bash
printf '%s\n' "$(basename "$0") $*" >>"$CALLS"
[ ! -p /dev/stdin ] || cat >/dev/null
case "$*" in
*print-identity-token*) echo a-token ;;
*rev-parse*) printf '0%.0s' {1..40} ;;
*image_summary.digest*) echo "sha256:$(printf '0%.0s' {1..64})" ;;
*"storage cat"*) echo '{"predictions": [{"label": "tiger cat"}]}' ;;
esac
"""


def code(*kinds: str) -> list[str]:
    """Returns the guide's blocks of some kinds, in their order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
    assert {kind for kind, _ in found} <= {"offline", "cloud"}  # what no test runs is indented
    return [text for kind, text in found if kind in kinds]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what the guide's commands read, and programs that stand for the cloud's."""
    copy(tmp_path)
    for name in ("model_artifacts", "cloudbuild.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    programs = tmp_path / "programs"
    for name in ("gcloud", "bq", "curl", "git", "kubectl"):
        executable(programs / name, CLOUD)
    executable(programs / "terraform", TERRAFORM.format(shutil.which("terraform")))
    executable(programs / "sleep", "#!/bin/sh\n")
    for script in (ROOT / "deploy").glob("*.sh"):  # they have tests of their own
        wanted = " ".join(re.findall(r"^need (.*)$", script.read_text(), re.M))
        executable(tmp_path / "deploy" / script.name, DEPLOY.format(wanted))
    return tmp_path


def executable(path: Path, text: str) -> None:
    """Writes a program."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(clone: Path, script: str) -> tuple[str, list[str]]:
    """Runs a script in the clone; returns what it printed, and the calls to the cloud."""
    calls = clone / "calls"
    calls.touch()
    own = {key: value for key, value in environment().items() if not key.startswith("PYTEST_")}
    path = f"{clone / 'programs'}{os.pathsep}{own['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607 - whichever the path has
        cwd=clone,
        env={**own, "PATH": path, "CALLS": str(calls)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    return done.stdout, calls.read_text().splitlines()


@needs_terraform
def test_what_needs_no_cloud_is_run(clone: Path) -> None:
    initialize(clone / "terraform")  # skips where there is no provider
    # All of them have tests of their own here.
    part = "terraform -chdir=terraform test -filter=tests/monitoring.tftest.hcl"
    script = "".join(code("offline")).replace("terraform -chdir=terraform test", part)
    assert part in script
    printed, calls = run(clone, script)
    assert "Success! The configuration is valid" in printed
    assert re.search(r"^Success! \d+ passed, 0 failed\.", printed, re.M)
    assert calls == []
    assert 'project_id   = "my-zeropoint"' in (clone / "terraform/terraform.tfvars").read_text()


@needs_terraform
@needs_stand_in
def test_the_guide_runs_from_top_to_bottom(clone: Path) -> None:
    settled, *rest = code("offline", "cloud")
    assert "terraform -chdir=terraform test" in settled  # the test above runs it
    printed, calls = run(clone, "\n".join(rest))
    state = json.loads((clone / "terraform" / "terraform.tfstate").read_text())
    assert re.search(r"^Apply complete! Resources: [1-9]\d+ added", printed, re.M)
    assert re.search(
        r"^Apply complete! Resources: 0 added, [1-9] changed, 0 destroyed", printed, re.M
    )
    assert re.search(r"^Destroy complete! Resources: [1-9]\d+ destroyed", printed, re.M)
    assert state["resources"] == []
    assert calls[0] == "gcloud projects create my-zeropoint"
    assert calls[-1] == "gcloud projects delete my-zeropoint"
    (built,) = [call for call in calls if "builds submit" in call]
    told = re.findall(r"[=,](_?[A-Z]+(?:_[A-Z]+)*)=", built)
    known = re.findall(r"^  (_[A-Z_]+):", (ROOT / "cloudbuild.yaml").read_text(), re.M)
    assert set(told) <= {"COMMIT_SHA", *known}  # Cloud Build refuses what it does not know
    assert {"COMMIT_SHA", "_IMAGE", "_REGION", "_SERVICE"} <= set(told)
    assert "_IMAGE=europe-west1-docker.pkg.dev/my-zeropoint/zeropoint/zeropoint," in built
    assert "_RELEASE_TRIGGER=," in f"{built},"  # there is no trigger: release.sh is run by hand
    (query,) = [call for call in calls if call.startswith("bq")]
    assert "zeropoint.predict('gs://my-zeropoint-zeropoint-input/cat.jpg'), '$.label')" in query


@needs_terraform
@needs_stand_in
def test_what_the_guide_says_of_its_plan_is_so(clone: Path) -> None:
    (settings,) = [text for text in code("offline") if "terraform.tfvars" in text]
    initialize(clone / "terraform")
    run(clone, settings + "terraform -chdir=terraform plan -out=plan")
    shown, _ = run(clone, "terraform -chdir=terraform show -json plan")
    planned = json.loads(shown)
    made = planned["planned_values"]["root_module"]["resources"]
    alerts = [one for one in made if one["type"] == "google_monitoring_alert_policy"]
    conditions = sum(len(one["values"]["conditions"]) for one in alerts)
    assert f"each of {conditions} conditions" in TEXT
    (service,) = [one["values"] for one in made if one["type"] == "google_cloud_run_v2_service"]
    assert service["scaling"][0]["min_instance_count"] == 0
    (limits,) = [one["limits"] for one in service["template"][0]["containers"][0]["resources"]]
    assert limits == {"cpu": "2", "memory": "2048Mi"}  # what the prices are reckoned with


def test_every_kind_of_resource_has_its_price() -> None:
    declared = "".join(path.read_text() for path in SOURCE.glob("*.tf"))
    kinds = set(re.findall(r'^resource "(\w+)"', declared, re.M))
    priced = set(re.findall(r"`(google_\w+)`", TEXT.split("## What it costs")[1]))
    assert {kind for kind in kinds if not kind.endswith("_iam_member")} == priced


def test_every_output_and_file_that_is_asked_for_is_there() -> None:
    names = {block.name for block in blocks("output")}
    assert set(re.findall(r"=terraform output -\w+ (\w+)", TEXT)) <= names
    for path in re.findall(r"\bmodel_artifacts/[\w./-]+", TEXT):
        assert (ROOT / path).is_file(), path
