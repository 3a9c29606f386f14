"""The manifests for Knative and KServe: what they say, and that Kubernetes' own types know it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.test_clients import python_with_kserve
from servers import environment
from terraform.stage import VALUES, copy, needs_terraform, run, terraform
from zeropoint import settings

IMAGE = VALUES["image"]
SETTINGS = {"ZEROPOINT_BUCKETS": "a, b: c # d\n'e' \"f\" <g> ${h}", "ZEROPOINT_RESULTS": "gs://r/"}

pytestmark = needs_terraform


@pytest.fixture
def gke(tmp_path: Path) -> Path:
    """The example, ready to plan; it has no provider."""
    folder = copy(tmp_path) / "examples" / "gke"
    terraform(folder, "init", "-input=false")
    return folder


def manifests(folder: Path, kind: str, **variables: object) -> list[dict[str, Any]]:
    """Renders the manifests of one kind."""
    values = {"image": IMAGE, **variables}
    (folder / "terraform.tfvars.json").write_text(json.dumps(values))
    terraform(folder, "apply", "-input=false", "-auto-approve")
    return list(yaml.safe_load_all(terraform(folder, "output", "-raw", kind)))


def pod(service: dict[str, Any]) -> dict[str, Any]:
    """Returns what a service says of its pods."""
    spec = service["spec"]
    found: dict[str, Any] = spec["predictor"] if "predictor" in spec else spec["template"]["spec"]
    return found


@pytest.mark.parametrize("kind", ["knative", "kserve"])
def test_it_scales_to_zero_and_is_private(gke: Path, kind: str) -> None:
    account, service = manifests(gke, kind)
    assert account["automountServiceAccountToken"] is False
    assert service["metadata"]["labels"] == {"networking.knative.dev/visibility": "cluster-local"}
    if kind == "knative":
        scale = service["spec"]["template"]["metadata"]["annotations"]
        assert scale["autoscaling.knative.dev/min-scale"] == "0"
        assert scale["autoscaling.knative.dev/max-scale"] == "5"
    else:
        assert pod(service)["minReplicas"] == 0
        assert pod(service)["maxReplicas"] == 5
        mode = service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"]
        assert mode == "Knative"  # the other mode keeps a pod


@pytest.mark.parametrize("kind", ["knative", "kserve"])
def test_it_runs_the_image_as_it_is(gke: Path, kind: str) -> None:
    _, service = manifests(gke, kind, cpu=2, settings=SETTINGS)
    (container,) = pod(service)["containers"]
    assert container["image"] == IMAGE
    assert "command" not in container
    assert "args" not in container
    environment_ = {one["name"]: one["value"] for one in container["env"]}
    assert environment_ == {"ZEROPOINT_CPUS": "2", **SETTINGS}
    assert set(environment_) <= {row.variable for row in settings.table()}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"


@pytest.mark.parametrize("kind", ["knative", "kserve"])
def test_it_writes_to_tmp_only_and_is_nobody(gke: Path, kind: str) -> None:
    _, service = manifests(gke, kind)
    (container,) = pod(service)["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["runAsUser"] == 65532  # the image's own
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    (mount,) = container["volumeMounts"]
    (volume,) = pod(service)["volumes"]
    assert mount == {"name": volume["name"], "mountPath": "/tmp"}  # noqa: S108 - in the pod
    assert "emptyDir" in volume


def test_public_and_an_identity_are_asked_for(gke: Path) -> None:
    email = "zeropoint@a-project.iam.gserviceaccount.com"
    account, service = manifests(gke, "knative", public=True, google_service_account=email)
    assert "labels" not in service["metadata"]
    assert account["metadata"]["annotations"] == {"iam.gke.io/gcp-service-account": email}
    assert pod(service)["serviceAccountName"] == account["metadata"]["name"]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="kserve 0.21 wants Python before 3.14")
def test_the_clients_types_know_every_field(gke: Path, tmp_path: Path) -> None:
    written = []
    for kind in ("knative", "kserve"):
        email = "zeropoint@a-project.iam.gserviceaccount.com"
        written += manifests(gke, kind, settings=SETTINGS, google_service_account=email)
    done = subprocess.run(
        [python_with_kserve(), Path(__file__).with_name("kubernetes_models.py")],
        input=json.dumps(written),
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == written


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("image", "zeropoint:latest", "image names a digest"),
        ("scaling", {"max": 0}, "Knative takes 0 for no limit"),
        ("scaling", {"min": 6}, "0 <= min <= max"),
        ("settings", {"PORT": "80"}, "begin with ZEROPOINT_"),
        ("name", "Zeropoint", "at most 30 lower-case letters"),
        ("namespace", "a_b", "at most 20 lower-case letters"),
        ("cpu", 0, "number of processors"),
        ("memory", "1GB", "such as 512Mi"),
        ("concurrency", 200, "queues 128 requests"),
        ("timeout_s", 3600, "from 1 to 600"),
        ("google_service_account", "me@example.org", "iam.gserviceaccount.com"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_wanted(
    gke: Path, name: str, value: object, said: str
) -> None:
    (gke / "terraform.tfvars.json").write_text(json.dumps({"image": IMAGE, name: value}))
    done = run(gke, "plan", "-input=false")
    assert done.returncode == 1
    assert said in " ".join(done.stderr.replace("│", " ").split())
