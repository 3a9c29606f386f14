"""Objects of a storage that are more than there is memory for: a request is refused, not killed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from faults.calls import make_buckets, of_object, predict, to_come_again
from servers import SERVE, Server
from storage_server import StorageServer
from test_headroom import MIB, group  # noqa: F401 - the fixture
from tiny_models import picture, write_colour_model

OBJECTS = 40
LARGE = 16 * MIB  # each; the group has 256 MiB


@pytest.fixture
def tight(group: Path, tmp_path: Path) -> Iterator[Server]:  # noqa: F811
    """A server with little memory, and a bucket of large objects."""
    write_colour_model(tmp_path)
    with StorageServer() as storage:
        make_buckets(storage, "photos")
        data = picture("green") + bytes(LARGE)
        for number in range(OBJECTS):
            storage.put("photos", f"{number}.png", data)
        settings = {
            "STORAGE_EMULATOR_HOST": storage.url,
            "ZEROPOINT_MODELS": str(tmp_path),
            "ZEROPOINT_BUCKETS": "photos",
        }
        join = f'echo $$ > {group}/cgroup.procs; exec "$@"'
        with Server(settings, command=("sh", "-c", join, "sh", *SERVE)) as running:
            running.wait_until_ready()
            yield running
            for name in ("memory.oom_control", "memory.events"):
                if (group / name).is_file():
                    assert re.search(r"^oom_kill 0$", (group / name).read_text(), re.M)


def test_many_large_objects_are_refused_and_one_is_answered(tight: Server) -> None:
    values = [{"gcs": f"gs://photos/{number}.png"} for number in range(OBJECTS)]
    for _ in range(2):
        answer = requests.post(tight.url + "/predict", json={"instances": values}, timeout=60)
        to_come_again(answer)
        assert answer.json()["error"]["code"] == "insufficient_memory"
    assert of_object(tight.url, "gs://photos/1.png").json()["predictions"][0]["label"] == "green"
    predict(tight.url, "red")
