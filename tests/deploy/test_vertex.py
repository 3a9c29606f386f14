"""A model takes over an endpoint, or the old one has all traffic and the new one is gone."""

from pathlib import Path

import pytest

from deploy.cloud import DIGEST, IMAGE, Cloud

OLD, NEW = "42", "101"
_AT = "gcloud ai endpoints"
_ASK = [f"{_AT} describe 7", "gcloud auth print-access-token", "curl", "curl"]
CALLS = [
    f"{_AT} describe 7",
    "gcloud ai models upload",
    f"{_AT} deploy-model 7 --traffic-split=0=0,{OLD}=100",
    f"{_AT} describe 7",
    f"{_AT} update 7 --traffic-split={NEW}=10,{OLD}=90",
    *_ASK,
    f"{_AT} describe 7",
    f"{_AT} update 7 --traffic-split={NEW}=50,{OLD}=50",
    *_ASK,
    f"{_AT} describe 7",
    f"{_AT} update 7 --traffic-split={NEW}=100",
    *_ASK,
    f"{_AT} describe 7",
    f"{_AT} undeploy-model 7",
]
_CHANGES = [n for n, call in enumerate(CALLS) if "update" in call or "deploy-model" in call]
_SETTINGS = {"ENDPOINT": "7", "ASKS": "2"}


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """A fake cloud with an endpoint that the model 42 serves."""
    return Cloud(tmp_path, programs=("curl",))


def brief(cloud: Cloud) -> list[str]:
    return ["curl" if call.startswith("curl") else call for call in cloud.calls]


def test_a_good_model_gets_all_traffic_step_by_step(cloud: Cloud) -> None:
    done = cloud.run("vertex.sh", _SETTINGS)
    assert done.returncode == 0, done.stdout
    assert brief(cloud) == CALLS
    assert cloud.state["split"] == {NEW: "100"}
    assert list(cloud.state["deployed"]) == [NEW]
    (upload,) = [call for call in cloud.state["calls"] if "upload" in call]
    assert f"--container-image-uri={IMAGE}@{DIGEST}" in upload
    assert "--container-predict-route=/predict" in upload
    assert "--container-health-route=/readyz" in upload


def test_the_first_model_gets_all_traffic_at_once(cloud: Cloud) -> None:
    cloud.set(deployed={}, split={})
    done = cloud.run("vertex.sh", _SETTINGS)
    assert done.returncode == 0, done.stdout
    assert cloud.state["split"] == {"100": "100"}


def test_a_first_model_that_errs_is_taken_away(cloud: Cloud) -> None:
    cloud.set(deployed={}, split={}, label="tabby")
    done = cloud.run("vertex.sh", _SETTINGS)
    assert done.returncode == 1
    assert "expected the label tiger cat, got tabby" in done.stdout
    assert (cloud.state["deployed"], cloud.state["models"]) == ({}, [])


@pytest.mark.parametrize(
    ("number", "mode"),
    [*((one, "before") for one in range(len(CALLS))), *((one, "after") for one in _CHANGES)],
)
def test_a_call_that_fails_ends_at_the_old_model(cloud: Cloud, number: int, mode: str) -> None:
    cloud.set(plan={str(number): mode})
    done = cloud.run("vertex.sh", _SETTINGS)
    assert done.returncode != 0, done.stdout
    state = cloud.state
    if number == len(CALLS) - 1:  # all is well, but for the idle one that costs
        assert state["split"] == {NEW: "100"}
        assert "undeploy 42" in done.stdout
        return
    assert state["split"].get(OLD) == "100", done.stdout
    assert list(state["deployed"]) == [OLD], done.stdout
    assert state["models"] == [], done.stdout


@pytest.mark.parametrize("number", _CHANGES[1:-1])
def test_an_outage_ends_at_the_old_model(cloud: Cloud, number: int) -> None:
    outage = {str(one): "before" for one in range(number + 1, number + 6)}
    cloud.set(plan={**outage, str(number): "after"})
    done = cloud.run("vertex.sh", _SETTINGS)
    assert done.returncode != 0, done.stdout
    assert cloud.state["split"][OLD] == "100", done.stdout


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_at_the_old_model(cloud: Cloud, name: str) -> None:
    cloud.set(plan={str(_CHANGES[2]): "signal"}, signal=name)
    done = cloud.run("vertex.sh", _SETTINGS)
    assert done.returncode != 0, done.stdout
    assert (cloud.state["split"][OLD], list(cloud.state["deployed"])) == ("100", [OLD])


def test_a_platform_that_is_gone_is_told_with_the_command_that_is_due(cloud: Cloud) -> None:
    cloud.set(plan={str(one): "before" for one in range(_CHANGES[1] + 1, 200)})
    done = cloud.run("vertex.sh", _SETTINGS)
    assert done.returncode != 0
    assert "NOT rolled back. By hand: gcloud ai endpoints update 7" in done.stdout


def test_no_deployment_begins_amid_another(cloud: Cloud) -> None:
    cloud.set(deployed={"42": "", "43": ""}, split={"42": "90", "43": "10"})
    done = cloud.run("vertex.sh", _SETTINGS)
    assert done.returncode == 1
    assert "expected one model with all traffic or none, got 42=90,43=10" in done.stdout
    assert len(cloud.calls) == 1
