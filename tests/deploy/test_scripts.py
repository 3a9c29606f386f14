"""The scripts from a commit to a digest that may be deployed, each by itself."""

import json
import shutil
from pathlib import Path

import pytest

from deploy.cloud import COMMIT, DEPLOY, DIGEST, IMAGE, Cloud, Revision
from servers import Server

_BASE = f"python:3.13-slim@sha256:{'a' * 64}"
_BUILD = {"BASE": _BASE, "MODELS": "shuttle spam"}
_SOURCE = {"SOURCE": "github.com/owner/zeropoint"}


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """A fake cloud, with the other programs that the scripts start."""
    return Cloud(tmp_path, programs=("docker", "slsa-verifier"))


def test_tests_run_on_a_copy(cloud: Cloud, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deploy").mkdir(parents=True)
    (source / ".venv").mkdir()
    (source / ".ci").mkdir()
    (source / "README.md").touch()
    shutil.copy(DEPLOY / "test.sh", source / "deploy")
    ci = source / ".ci" / "run"
    ci.write_text('#!/bin/sh\ncd "$(dirname "$0")/.." && pwd && ls -A && touch made && exit 3\n')
    ci.chmod(0o755)
    done = cloud.run("test.sh", folder=source / "deploy")
    assert done.returncode == 3, done.stdout
    where, *found = done.stdout.split()
    assert sorted(found) == [".ci", "README.md", "deploy"]
    assert not (source / "made").exists()
    assert not Path(where).exists()


def test_an_image_is_built_on_a_base_of_a_known_digest(cloud: Cloud) -> None:
    assert cloud.run("build.sh", _BUILD).returncode == 0
    (call,) = cloud.state["calls"]
    assert call[:3] == ["docker", "build", "--pull"]
    for argument in (f"BASE={_BASE}", "MODELS=shuttle spam", f"COMMIT={COMMIT}"):
        assert call[call.index(argument) - 1] == "--build-arg"
    assert call[call.index("--tag") + 1] == f"{IMAGE}:{COMMIT}"


def test_no_image_is_built_on_a_base_that_may_change(cloud: Cloud) -> None:
    done = cloud.run("build.sh", {**_BUILD, "BASE": "python:3.13-slim"})
    assert done.returncode == 1
    assert "expected BASE as image@sha256:…, got python:3.13-slim" in done.stdout
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("found", "settings", "status"),
    [
        ([], {}, 0),
        (["CVE-1,MEDIUM,True"], {}, 0),
        (["CVE-1,HIGH,"], {}, 0),
        (["CVE-1,HIGH,False"], {}, 0),
        (["CVE-1,MEDIUM,True", "CVE-2,HIGH,True"], {}, 1),
        (["CVE-1,CRITICAL,True"], {}, 1),
        (["CVE-1,CRITICAL,True"], {"ALLOWED": "CVE-0 CVE-1"}, 0),
        (["CVE-1,CRITICAL,True"], {"ALLOWED": "CVE-11"}, 1),
        (["CVE-1,HIGH,True"], {"SEVERITIES": "CRITICAL"}, 0),
    ],
)
def test_a_vulnerability_that_can_be_mended_stops_the_build(
    cloud: Cloud, found: list[str], settings: dict[str, str], status: int
) -> None:
    cloud.set(vulnerabilities=found)
    done = cloud.run("scan.sh", settings)
    assert done.returncode == status, done.stdout
    assert ("refused" in done.stdout) == bool(status)


@pytest.mark.parametrize("number", [0, 1])
def test_a_scan_that_fails_stops_the_build(cloud: Cloud, number: int) -> None:
    cloud.set(plan={str(number): "before"})
    assert cloud.run("scan.sh").returncode != 0


def test_a_scan_without_a_name_stops_the_build(cloud: Cloud) -> None:
    cloud.set(scan="")
    assert cloud.run("scan.sh").returncode == 1


def test_the_release_is_told_of_which_build(cloud: Cloud) -> None:
    done = cloud.run("hand_over.sh", {"BUILD": "b1", "RELEASE_TRIGGER": "t"})
    assert done.returncode == 0, done.stdout
    (call,) = cloud.state["calls"]
    assert call[2:6] == ["builds", "triggers", "run", "t"]
    assert f"--sha={COMMIT}" in call
    assert f"--substitutions=_BUILD=b1,_COMMIT={COMMIT}" in call


def test_without_a_trigger_nothing_is_released(cloud: Cloud) -> None:
    done = cloud.run("hand_over.sh", {"BUILD": "b1"})
    assert done.returncode == 0
    assert "nothing is deployed" in done.stdout
    assert cloud.calls == []


def test_the_digest_is_what_the_build_pushed(cloud: Cloud, tmp_path: Path) -> None:
    done = cloud.run("digest.sh", {"BUILD": "b1"})
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "state" / "digest").read_text() == f"{DIGEST}\n"


def test_the_digest_waits_for_the_build(cloud: Cloud, tmp_path: Path) -> None:
    cloud.set(plan={"0": "before"})  # a call that fails may pass too
    done = cloud.run("digest.sh", {"BUILD": "b1", "BUILD_S": "30"})
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "state" / "digest").exists()


@pytest.mark.parametrize(
    ("what", "value", "why"),
    [
        ("status", "FAILURE", "expected build b1 to succeed, got FAILURE"),
        ("status", "WORKING", "expected build b1 to end, got WORKING"),
        ("results.images[0].name", "other", "to push europe-west1-docker.pkg.dev/"),
        ("results.images[0].digest", "", "expected a digest, got"),
    ],
)
def test_a_build_that_pushed_something_else_is_not_released(
    cloud: Cloud, tmp_path: Path, what: str, value: str, why: str
) -> None:
    builds = cloud.state["builds"]
    builds["b1"][f"value({what})"] = value
    cloud.set(builds=builds)
    done = cloud.run("digest.sh", {"BUILD": "b1"})
    assert done.returncode == 1
    assert why in done.stdout
    assert not (tmp_path / "state" / "digest").exists()


def test_a_provenance_is_verified(cloud: Cloud) -> None:
    done = cloud.run("provenance.sh", _SOURCE)
    assert done.returncode == 0, done.stdout
    call = cloud.state["calls"][-1]
    assert call[:3] == ["slsa-verifier", "verify-image", f"{IMAGE}@{DIGEST}"]
    assert call[call.index("--source-uri") + 1] == "github.com/owner/zeropoint"
    assert call[call.index("--builder-id") + 1].endswith(
        "cloudbuild.googleapis.com/GoogleHostedWorker"
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"provenance": {}}, "expected a provenance of europe-west1-docker"),
        ({"plan": {"0": "before"}}, "expected a provenance of europe-west1-docker"),
        ({"plan": {"1": "before"}}, "expected a provenance that verifies"),
        ({"verified": {"predicate": {}}}, f"expected a provenance of commit {COMMIT}"),
    ],
)
def test_an_image_without_a_provenance_is_not_released(
    cloud: Cloud, changes: dict[str, object], why: str
) -> None:
    cloud.set(**changes)
    done = cloud.run("provenance.sh", _SOURCE)
    assert done.returncode == 1
    assert why in done.stdout


def test_a_provenance_may_come_late(cloud: Cloud) -> None:
    cloud.set(plan={"0": "before", "1": "before"})
    assert cloud.run("provenance.sh", {**_SOURCE, "PROVENANCE_S": "30"}).returncode == 0


def test_the_bill_of_materials_lies_beside_the_release(cloud: Cloud, tmp_path: Path) -> None:
    done = cloud.run("sbom.sh", {"SBOMS": "bills"})
    assert done.returncode == 0, done.stdout
    bill = tmp_path / "state" / "sbom.cdx.json"
    assert json.loads(bill.read_text())["bomFormat"] == "CycloneDX"
    run, load = cloud.state["calls"]
    assert run[:2] == ["docker", "run"]
    assert run[-2:] == [f"{IMAGE}@{DIGEST}", "/app/sbom.cdx.json"]
    assert load[2:5] == ["artifacts", "sbom", "load"]
    assert {f"--source={bill}", f"--uri={IMAGE}@{DIGEST}", "--destination=gs://bills"} < set(load)


def test_without_a_bucket_the_bill_is_not_uploaded(cloud: Cloud) -> None:
    assert cloud.run("sbom.sh").returncode == 0
    assert [call[0] for call in cloud.state["calls"]] == ["docker"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"plan": {"0": "before"}}, "expected a bill of materials in the image, got none"),
        ({"sbom": ""}, "expected a bill of materials of CycloneDX, got another file"),
        ({"sbom": '{"bomFormat": "other"}'}, "of CycloneDX, got other"),
        ({"plan": {"1": "before"}}, "fails as planned"),
    ],
)
def test_a_release_without_its_bill_of_materials_stops(
    cloud: Cloud, changes: dict[str, object], why: str
) -> None:
    cloud.set(**changes)
    done = cloud.run("sbom.sh", {"SBOMS": "bills"})
    assert done.returncode == 1
    assert why in done.stdout


def test_the_smoke_test_knows_the_real_function(cloud: Cloud) -> None:
    with Server({"ZEROPOINT_COMMIT": COMMIT}) as server:
        done = cloud.run("smoke.sh", {"URL": server.url, "SMOKE_S": "60"})
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith(": tiger cat\n")


def test_a_token_is_on_no_command_line(cloud: Cloud, revision: Revision, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    spy = tmp_path / "bin" / "curl"
    spy.write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/arguments"\nexec {curl} "$@"\n')
    spy.chmod(0o755)
    done = cloud.run("smoke.sh", {"URL": f"{revision.url}/ok"})
    assert done.returncode == 0, done.stdout
    arguments = (tmp_path / "arguments").read_text()
    assert "/predict" in arguments
    assert "token" not in arguments
