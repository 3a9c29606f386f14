"""A release brings the new revision to all callers, or ends with all traffic at the old one."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.cloud import DIGEST, IMAGE, TAG, Cloud, Revision

OLD, NEW = "zeropoint-1", "zeropoint-2"
_DESCRIBE = "gcloud run services describe zeropoint"
_UPDATE = "gcloud run services update-traffic zeropoint"
_TOKEN = "gcloud auth print-identity-token"  # noqa: S105
_SMOKE = [_TOKEN]
_CHECK = [*_SMOKE, "gcloud logging read"]
# Every call of a release that goes well, in order.
CALLS = [
    _DESCRIBE,
    f"{_UPDATE} --update-tags=stable={OLD}",
    f"gcloud run deploy zeropoint --no-traffic --tag={TAG}",
    _DESCRIBE,
    _DESCRIBE,
    _DESCRIBE,
    *_SMOKE,
    _DESCRIBE,
    f"{_UPDATE} --to-revisions={OLD}=90,{NEW}=10",
    *_CHECK,
    _DESCRIBE,
    f"{_UPDATE} --to-revisions={OLD}=50,{NEW}=50",
    *_CHECK,
    _DESCRIBE,
    f"{_UPDATE} --to-revisions={NEW}=100",
    *_CHECK,
    _DESCRIBE,
    f"{_UPDATE} --update-tags=stable={NEW} --remove-tags={TAG}",
    _DESCRIBE,
]
_CHANGES = [number for number, call in enumerate(CALLS) if "update" in call or "deploy" in call]
_FIRST_MOVE = CALLS.index(f"{_UPDATE} --to-revisions={OLD}=90,{NEW}=10")
_SECOND_MOVE = CALLS.index(f"{_UPDATE} --to-revisions={OLD}=50,{NEW}=50")


def brief(cloud: Cloud) -> list[str]:
    """Returns the calls, without the query of the log."""
    return [call.split(" resource.type")[0] for call in cloud.calls]


def assert_rolled_back(cloud: Cloud, status: int, said: str) -> None:
    assert status != 0, said
    assert cloud.serving == {OLD: 100}, said
    assert cloud.tags.get("stable", OLD) == OLD, said
    assert TAG not in cloud.tags, said


def test_a_good_revision_gets_all_traffic_step_by_step(cloud: Cloud) -> None:
    done = cloud.run("release.sh")
    assert done.returncode == 0, done.stdout
    assert brief(cloud) == CALLS
    assert cloud.state["history"] == [{OLD: 90, NEW: 10}, {OLD: 50, NEW: 50}, {NEW: 100}]
    assert cloud.serving == {NEW: 100}
    assert cloud.tags == {"stable": NEW}
    assert cloud.state["revisions"][NEW] == f"{IMAGE}@{DIGEST}"


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_gets_the_released_image(cloud: Cloud, fails: bool) -> None:
    cloud.set(plan={str(len(CALLS)): "before"} if fails else {})
    done = cloud.run("release.sh", {"JOB": "zeropoint-batch"})
    assert brief(cloud) == [*CALLS, "gcloud run jobs update zeropoint-batch"]
    assert cloud.serving == {NEW: 100}  # whatever becomes of the job
    assert cloud.tags == {"stable": NEW}
    if fails:
        assert done.returncode != 0
        assert "the job zeropoint-batch has its image of before" in done.stdout
    else:
        assert done.returncode == 0, done.stdout
        assert cloud.state["jobs"] == {"zeropoint-batch": f"{IMAGE}@{DIGEST}"}


@pytest.mark.parametrize(
    ("number", "mode"),
    # What only reads either answers or does not; what changes something may do so and yet fail.
    [*((one, "before") for one in range(len(CALLS))), *((one, "after") for one in _CHANGES)],
)
def test_a_call_that_fails_ends_at_the_old_revision(cloud: Cloud, number: int, mode: str) -> None:
    cloud.set(plan={str(number): mode})
    done = cloud.run("release.sh")
    if CALLS[number] == _TOKEN:  # asked for again without an audience, as for a person
        assert (done.returncode, cloud.serving) == (0, {NEW: 100}), done.stdout
        return
    assert_rolled_back(cloud, done.returncode, done.stdout)


@pytest.mark.parametrize("number", _CHANGES[1:])
def test_an_outage_of_the_platform_ends_at_the_old_revision(cloud: Cloud, number: int) -> None:
    # It did what it was asked for, but said that it failed; and so do the next calls, which are
    # the first of those that should put things back.
    outage = {str(one): "before" for one in range(number + 1, number + 7)}
    cloud.set(plan={**outage, str(number): "after"})
    done = cloud.run("release.sh")
    assert done.returncode != 0, done.stdout
    assert cloud.serving == {OLD: 100}, done.stdout
    assert "rolled back: zeropoint-1 has all traffic" in done.stdout


@pytest.mark.parametrize("number", _CHANGES)
def test_a_call_that_hangs_ends_at_the_old_revision(cloud: Cloud, number: int) -> None:
    cloud.set(plan={str(number): "hang"})
    done = cloud.run("release.sh", {"CALL_S": "3", "DEPLOY_S": "3", "ROLLBACK_CALL_S": "30"})
    assert_rolled_back(cloud, done.returncode, done.stdout)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        *((one, "SIGTERM") for one in [*_CHANGES, *range(_FIRST_MOVE + 1, _SECOND_MOVE)]),
        *((one, name) for one in _CHANGES[2:4] for name in ("SIGHUP", "SIGINT")),
    ],
)
def test_a_signal_ends_at_the_old_revision(cloud: Cloud, number: int, name: str) -> None:
    cloud.set(plan={str(number): "signal"}, signal=name)
    done = cloud.run("release.sh")
    assert_rolled_back(cloud, done.returncode, done.stdout)
    assert done.returncode == 128 + signal.Signals[name]


def test_a_signal_ends_a_long_wait(cloud: Cloud) -> None:
    with cloud.start("release.sh", {"BAKE_S": "600"}) as process:
        until_s = time.monotonic() + 30
        while NEW not in cloud.serving and time.monotonic() < until_s:
            time.sleep(0.05)
        assert cloud.serving == {OLD: 90, NEW: 10}
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert_rolled_back(cloud, process.returncode, said)


def test_a_platform_that_is_gone_is_told_with_the_command_that_is_due(cloud: Cloud) -> None:
    cloud.set(plan={str(one): "before" for one in range(_FIRST_MOVE + 1, 200)})
    done = cloud.run("release.sh")
    assert done.returncode != 0
    assert cloud.serving == {OLD: 90, NEW: 10}
    assert (
        "NOT rolled back. By hand: gcloud run services update-traffic zeropoint"
        " --project=p --region=europe-west1 --to-revisions=zeropoint-1=100" in done.stdout
    )
    # And later, with nothing but the service to know it from:
    cloud.set(plan={})
    done = cloud.run("rollback.sh")
    assert done.returncode == 0, done.stdout
    assert cloud.serving == {OLD: 100}


@pytest.mark.parametrize(
    ("errs", "why"),
    [
        ("commit", "expected commit 0123456789abcdef"),
        ("digest", "expected the model sha256:"),
        ("label", "expected the label tiger cat, got tabby"),
        ("error", "expected /predict to answer 200, got 500"),
        ("cold", "expected /readyz to answer 200, got 503"),
    ],
)
def test_a_revision_that_fails_the_smoke_test_gets_no_traffic(
    cloud: Cloud, revision: Revision, tmp_path: Path, errs: str, why: str
) -> None:
    cloud.set(tag_url=f"{revision.url}/{errs}.{tmp_path.name}")
    done = cloud.run("release.sh")
    assert_rolled_back(cloud, done.returncode, done.stdout)
    assert why in done.stdout
    assert all(NEW not in shares for shares in cloud.state["history"])


def test_a_revision_may_start_slowly(cloud: Cloud, revision: Revision, tmp_path: Path) -> None:
    cloud.set(tag_url=f"{revision.url}/cold.{tmp_path.name}")
    done = cloud.run("release.sh", {"SMOKE_S": "30"})
    assert done.returncode == 0, done.stdout


def test_a_revision_that_errs_among_callers_is_rolled_back(
    cloud: Cloud, revision: Revision, tmp_path: Path
) -> None:
    cloud.set(tag_url=f"{revision.url}/later-label.{tmp_path.name}")
    done = cloud.run("release.sh")
    assert_rolled_back(cloud, done.returncode, done.stdout)
    assert cloud.state["history"] == [{OLD: 90, NEW: 10}, {OLD: 100}]


@pytest.mark.parametrize(
    ("requests", "why"),
    [
        (["200,0.05s"] * 90 + ["500,0.05s"] * 2, "92 requests, 2 errors"),
        (["200,0.05s"] * 18 + ["200,31.5s"] * 2, "p95 31.500 s"),
        ([], "expected requests of zeropoint-2 in the log, got none"),
    ],
    ids=["errors", "slow", "none"],
)
def test_what_callers_met_is_looked_at(cloud: Cloud, requests: list[str], why: str) -> None:
    cloud.set(requests=requests)
    done = cloud.run("release.sh")
    assert_rolled_back(cloud, done.returncode, done.stdout)
    assert why in done.stdout


def test_a_few_errors_among_many_are_no_reason(cloud: Cloud) -> None:
    cloud.set(requests=["200,0.05s"] * 199 + ["500,0.05s", "404,9s"])
    assert cloud.run("release.sh").returncode == 0


def test_no_release_begins_amid_another(cloud: Cloud) -> None:
    split = [{"revision": OLD, "percent": 90}, {"revision": "zeropoint-0", "percent": 10}]
    cloud.set(traffic=split)
    done = cloud.run("release.sh")
    assert done.returncode != 0
    assert "expected one revision with all traffic, got zeropoint-0=10,zeropoint-1=90" in (
        done.stdout
    )
    assert cloud.state["traffic"] == split
    assert brief(cloud) == [_DESCRIBE]


@pytest.mark.parametrize("number", [3, _FIRST_MOVE - 1, _SECOND_MOVE - 1, len(CALLS) - 1])
def test_traffic_that_another_release_has_taken_is_left_to_it(cloud: Cloud, number: int) -> None:
    cloud.set(plan={str(number): "steal"})
    done = cloud.run("release.sh")
    assert done.returncode != 0, done.stdout
    assert cloud.serving == {"zeropoint-other": 100}, done.stdout
    assert "traffic is left as another release set it: zeropoint-other=100" in done.stdout


def test_the_pipeline_asks_for_a_token_as_its_own_account(cloud: Cloud) -> None:
    settings = {"TOKEN_ACCOUNT": "builder@p"}
    assert cloud.run("release.sh", settings).returncode == 0
    tokens = [call for call in cloud.state["calls"] if "print-identity-token" in call]
    assert all("--impersonate-service-account=builder@p" in call for call in tokens)
    assert all("--audiences=https://zeropoint.example" in call for call in tokens)


def test_without_that_token_nothing_is_released(cloud: Cloud) -> None:
    cloud.set(plan={str(CALLS.index(_TOKEN)): "before"})
    done = cloud.run("release.sh", {"TOKEN_ACCOUNT": "builder@p"})
    assert_rolled_back(cloud, done.returncode, done.stdout)
    assert "expected a token, got: ERROR: fails as planned" in done.stdout


def test_a_person_can_release_too(cloud: Cloud) -> None:
    cloud.set(person=True)
    done = cloud.run("release.sh")
    assert done.returncode == 0, done.stdout


def test_the_digest_is_read_from_the_earlier_step(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "digest").write_text(f"sha256:{'e' * 64}\n")
    done = cloud.run("release.sh", {"DIGEST": ""})
    assert done.returncode == 0, done.stdout
    assert cloud.state["revisions"][NEW] == f"{IMAGE}@sha256:{'e' * 64}"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"COMMIT": ""}, "expected the variable COMMIT"),
        ({"DIGEST": "latest"}, "expected DIGEST as sha256:…, got latest"),
        ({"SHARES": "10 50"}, "expected SHARES to end with 100, got 10 50"),
        ({"RELEASE_S": "0"}, "expected to be done within 0 s"),
    ],
)
def test_what_it_needs_is_told(cloud: Cloud, settings: dict[str, str], why: str) -> None:
    done = cloud.run("release.sh", settings)
    assert done.returncode != 0
    assert why in done.stdout
    assert cloud.serving == {OLD: 100}


def roll_back(cloud: Cloud) -> None:
    cloud.set(traffic=[{"revision": OLD, "percent": 100}])


def tag_stable(cloud: Cloud) -> None:
    cloud.set(traffic=[*cloud.state["traffic"], {"revision": OLD, "tag": "stable"}])


@pytest.mark.parametrize(("prepare", "status"), [(roll_back, 1), (tag_stable, 0)])
def test_by_hand_all_goes_back_to_what_was_stable(
    cloud: Cloud, prepare: Callable[[Cloud], None], status: int
) -> None:
    prepare(cloud)
    assert cloud.run("rollback.sh").returncode == status
    assert cloud.serving == {OLD: 100}
