"""One image in each place it is made for, its root read-only: service, Vertex AI, Knative, job."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import requests

from conftest import CAT
from container import images
from container.images import Container
from servers import ROOT, Server


def label_of(url: str) -> str:
    """Returns what a container takes the photo for."""
    answer = requests.post(
        url, CAT.read_bytes(), headers={"content-type": "image/jpeg"}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["predictions"][0]["label"])


def test_it_serves_with_a_read_only_root(tag: str, root: Path) -> None:
    with Container(tag, root) as service:
        assert label_of(f"{service.url}/predict") == "tiger cat"
        assert requests.get(f"{service.url}/livez", timeout=5).status_code == 200
        service.wait_until_ready()
        described = requests.get(service.url, headers={"accept": "application/json"}, timeout=5)
        assert described.json()["commit"] == images.COMMIT
        # An event's result is written, to the temporary folder as no sink is named.
        event = {"id": "1", "source": "//here", "type": "com.example.photo", "specversion": "1.0"}
        headers = {f"ce-{key}": value for key, value in event.items()}
        answer = requests.post(
            f"{service.url}/events",
            CAT.read_bytes(),
            headers={**headers, "content-type": "image/jpeg"},
            timeout=60,
        )
        assert answer.json()["outcome"] == "written", answer.text
        assert writable(service) <= {"/tmp", "/proc"}  # noqa: S108
        temporary = Path("/proc", str(service.first_process()), "root", "tmp")
        assert any(path.name == "1.json" for path in temporary.rglob("*"))
        assert {record["message"] for record in service.records()} >= {"cold start"}
        assert service.stderr().splitlines()[1:] == []  # no complaint behind the greeting


def writable(container: Container) -> set[str]:
    """Returns the places where a container's process could write files."""
    mounts = Path(f"/proc/{container.first_process()}/mounts").read_text().splitlines()
    fields = [line.split() for line in mounts]
    return {place for _, place, _, options, *_ in fields if "rw" in options.split(",")}


def test_it_ends_well_when_it_is_told_to(tag: str, root: Path) -> None:
    """As process 1, for which the kernel has no default that ends it."""
    with Container(tag, root) as service:
        service.wait_until_ready()
        status = Path(f"/proc/{service.first_process()}/status").read_text()
        assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.M)
        assert service.stop() == 0


def test_a_cold_start_compiles_nothing(tag: str, root: Path) -> None:
    """Neither of ours nor of packages nor of the standard library: it is 0.8 s of a cold start."""
    with Container(tag, root, entrypoint=("python", "-v", "-m", "zeropoint")) as service:
        assert label_of(f"{service.url}/predict") == "tiger cat"
        loaded = re.findall(r"^# code object from '?([^'\n]+)", service.stderr(), re.M)
    assert len(loaded) > 300
    assert [path for path in loaded if not path.endswith(".pyc")] == []


def test_vertex_ai_finds_its_routes(tag: str, root: Path) -> None:
    given = {
        "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
    }
    with Container(tag, root, given) as container:
        container.wait_until_ready()
        health = requests.get(container.url + given["AIP_HEALTH_ROUTE"], timeout=5)
        assert health.status_code == 200
        assert label_of(container.url + given["AIP_PREDICT_ROUTE"]) == "tiger cat"


def test_any_user_may_run_it(tag: str, root: Path) -> None:
    """Some clusters give each namespace users of its own."""
    with Container(tag, root, user="1000710000:0") as container:
        assert label_of(f"{container.url}/predict") == "tiger cat"


def test_a_job_runs_a_verb_to_its_end(tag: str, root: Path) -> None:
    done = Container(tag, root, arguments=("check",)).run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok    efficientnet-lite0")
    done = Container(tag, root, arguments=("check", "nope")).run()
    assert done.returncode == 1, done.stdout
    assert done.stdout.startswith("FAIL  nope")


def test_the_frameworks_own_command_serves_it_too(tag: str, root: Path) -> None:
    """Where a platform insists on functions-framework instead of the image's command."""
    command = ("functions-framework", "--source", "/app/main.py", "--target", "predict")
    with Container(tag, root, entrypoint=command, arguments=()) as container:
        assert label_of(f"{container.url}/predict") == "tiger cat"


def test_the_program_that_runs_images_here_gets_a_prediction(tag: str) -> None:
    program = os.environ.get("ZEROPOINT_CONTAINER_RUN")
    if not program:
        pytest.skip("ZEROPOINT_CONTAINER_RUN names no program")
    storage = {key: value for key, value in os.environ.items() if key.startswith("CONTAINERS_")}
    with _Foreign(storage, (str(ROOT / program), tag)) as container:
        assert label_of(f"{container.url}/predict") == "tiger cat"


class _Foreign(Server):
    """What a program of somebody else's runs, told to end as a terminal would."""

    def stop(self) -> int:
        os.killpg(self.process.pid, signal.SIGTERM)
        return self.process.wait(30)


def test_the_cold_start_is_told(tag: str, root: Path) -> None:
    with Container(tag, root) as service:
        label_of(f"{service.url}/predict")
        (record,) = [one for one in service.records() if one["message"] == "cold start"]
    phases: dict[str, Any] = record["cold_start_ms"]
    assert list(phases) == ["process", "read", "imports", "session", "check", "first", "total"]
