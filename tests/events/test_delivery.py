"""Many deliveries of many events, crashes meanwhile, and objects of more than one instance.

The cases of single deliveries are in tests/conformance.
"""

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from deliveries import Running, acknowledged, settings_of, storage_of_buckets, uploaded
from servers import FRAMEWORK, Server, free_port
from storage_server import StorageServer
from tiny_models import picture, write_colour_model, write_identity_model

COLOURS = ("red", "green", "blue")


@pytest.fixture
def storage() -> Iterator[StorageServer]:
    with storage_of_buckets() as found:
        yield found


@pytest.mark.parametrize("sink", ["gs", "file"])
def test_200_deliveries_of_50_events_and_5_crashes_leave_50_results(
    storage: StorageServer, tmp_path: Path, sink: str
) -> None:
    write_colour_model(tmp_path / "models")
    where = "gs://results/out" if sink == "gs" else f"file://{tmp_path}/results"
    settings = settings_of(storage, tmp_path / "models", ZEROPOINT_RESULTS=where)
    expected, deliveries = {}, []
    for number in range(50):
        colour = COLOURS[number % 3]
        name = f"{number}.png"
        generation = storage.put("photos", name, picture(colour))
        expected[f"photos/{name}@{generation}.json"] = colour
        deliveries += [uploaded(name, generation)] * 4
    chance = random.Random(7)  # noqa: S311 - the same order at each run
    chance.shuffle(deliveries)
    port = free_port()
    acknowledgements: list[int] = []
    given_up = threading.Event()

    def deliver(delivery: tuple[str, dict[str, str], bytes]) -> None:
        """Delivers as the platform does: again, until it is acknowledged."""
        path, headers, body = delivery
        while not given_up.wait(0.02):
            with contextlib.suppress(requests.RequestException):
                url = f"http://127.0.0.1:{port}{path}"
                if requests.post(url, body, headers=headers, timeout=10).status_code == 200:
                    acknowledgements.append(1)
                    return

    def wait_for(count: int, server: Server) -> None:
        until_s = time.monotonic() + 30
        while len(acknowledgements) < count:
            assert time.monotonic() < until_s, server.stdout()[-2000:]
            time.sleep(0.005)

    with ThreadPoolExecutor(8) as pool, contextlib.ExitStack() as stack:
        stack.callback(given_up.set)
        for delivery in deliveries:
            pool.submit(deliver, delivery)
        for crash in range(5):
            with Server(settings, port=port) as server:
                wait_for((crash + 1) * 30, server)
                os.killpg(server.process.pid, signal.SIGKILL)
                server.process.wait()
        with Server(settings, port=port) as server:
            wait_for(200, server)
    if sink == "gs":
        found = {k.removeprefix("out/"): v for k, v in storage.objects("results").items()}
    else:
        root = tmp_path / "results"
        files = [path for path in root.rglob("*.json") if path.is_file()]
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
    assert len(found) == 50
    labels = {name: json.loads(data)["predictions"][0]["label"] for name, data in found.items()}
    assert labels == expected


def test_an_object_of_lines_has_a_prediction_for_each(
    storage: StorageServer, tmp_path: Path
) -> None:
    write_identity_model(tmp_path, "FLOAT")
    with Server(settings_of(storage, tmp_path)) as server:
        running = Running(server, storage)
        for name, data in {
            "rows.jsonl": b"[1, 2]\n\n[3, 4]\n",
            "rows.json": b'{"instances": [[1, 2], [3, 4]]}',
        }.items():
            generation = storage.put("photos", name, data)
            record = acknowledged(running.send(*uploaded(name, generation)), "written")
            assert len(running.results[record]["predictions"]) == 2
        generation = storage.put("photos", "bad.jsonl", b"[1, 2]\n[3, \n")
        record = acknowledged(running.send(*uploaded("bad.jsonl", generation)), "refused")
        assert "line 2" in running.results[record]["error"]["message"]


def test_the_cloud_event_signature_has_the_same_effect(
    storage: StorageServer, tmp_path: Path
) -> None:
    write_colour_model(tmp_path)
    command = (*FRAMEWORK[:4], "on_event", *FRAMEWORK[5:], "--signature-type", "cloudevent")
    generation = storage.put("photos", "red.png", picture("red"))
    with Server(settings_of(storage, tmp_path), command=command) as server:
        running = Running(server, storage)
        for _ in range(2):
            assert running.send(*uploaded("red.png", generation)).status_code == 200
        bad = uploaded("red.png", generation, changed={"ce-type": "google.cloud.x", "ce-id": "x"})
        assert running.send(*bad).status_code == 200
        storage.fail_next("POST /upload", 403)
        assert running.send(*uploaded("green.png", 5)).status_code == 500
    names = sorted(running.results)
    assert len(names) == 2
    assert names[0].startswith("errors/unread/")
    assert names[1] == f"photos/red.png@{generation}.json"
