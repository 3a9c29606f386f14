"""Deliveries against real server processes: once each, nothing lost, and no end without record.

The cases are those of any platform that delivers at least once: repeated, concurrent, late, after
a crash, and of what can never be answered.
"""

import base64
import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from servers import FRAMEWORK, Server, free_port
from storage_server import StorageServer
from tiny_models import picture, write_colour_model, write_identity_model
from zeropoint.events import OBJECT_FINALIZED

COLOURS = ("red", "green", "blue")
STRUCTURED = "application/cloudevents+json"


class Running(NamedTuple):
    """A server, and the storage that it reads and writes."""

    server: Server
    storage: StorageServer

    @property
    def results(self) -> dict[str, Any]:
        """The records below the sink's prefix, read."""
        found = self.storage.objects("results")
        assert all(name.startswith("out/") for name in found)
        return {name.removeprefix("out/"): json.loads(data) for name, data in found.items()}

    def send(self, path: str, headers: dict[str, str], body: bytes) -> requests.Response:
        """Delivers once."""
        return requests.post(self.server.url + path, body, headers=headers, timeout=30)


@pytest.fixture
def storage() -> Iterator[StorageServer]:
    with StorageServer() as found:
        for name in ("photos", "results"):
            url = f"{found.url}/storage/v1/b?project=test"
            assert requests.post(url, json={"name": name}, timeout=10).ok
        yield found


def settings_of(storage: StorageServer, models: Path, **settings: str) -> dict[str, str]:
    return {
        "STORAGE_EMULATOR_HOST": storage.url,
        "ZEROPOINT_MODELS": str(models),
        "ZEROPOINT_BUCKETS": "photos",
        "ZEROPOINT_RESULTS": "gs://results/out",
        **settings,
    }


@pytest.fixture
def running(storage: StorageServer, tmp_path: Path) -> Iterator[Running]:
    write_colour_model(tmp_path)
    with Server(settings_of(storage, tmp_path)) as server:
        server.wait_until_ready()
        yield Running(server, storage)


def now(late_s: float = 0.0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=late_s)).isoformat().replace("+00:00", "Z")


def uploaded(
    name: str,
    generation: int,
    bucket: str = "photos",
    late_s: float = 0.0,
    changed: dict[str, str] | None = None,
) -> tuple[str, dict[str, str], bytes]:
    """Returns the delivery of an upload as Eventarc sends it, in binary mode."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": f"{bucket}-{generation}",
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
        "ce-type": OBJECT_FINALIZED,
        "ce-time": now(late_s),
        "content-type": "application/json; charset=utf-8",
        **(changed or {}),
    }
    data = {"bucket": bucket, "name": name, "generation": str(generation), "size": "1"}
    return "/events", headers, json.dumps(data, ensure_ascii=False).encode()


def structured(delivery: tuple[str, dict[str, str], bytes]) -> tuple[str, dict[str, str], bytes]:
    """Returns the same delivery in structured mode."""
    path, headers, body = delivery
    event = {key.removeprefix("ce-"): value for key, value in headers.items() if "ce-" in key}
    document = {**event, "datacontenttype": "application/json", "data": json.loads(body)}
    headers = {"content-type": f"{STRUCTURED}; charset=utf-8"}
    return path, headers, json.dumps(document).encode()


def pushed(
    id_: str, data: bytes, late_s: float = 0.0, attributes: dict[str, str] | None = None
) -> tuple[str, dict[str, str], bytes]:
    """Returns the delivery of a Pub/Sub message, wrapped."""
    message = {
        "data": base64.b64encode(data).decode(),
        "messageId": id_,
        "message_id": id_,
        "publishTime": now(late_s),
        "publish_time": now(late_s),
        "attributes": attributes or {},
    }
    document = {"message": message, "subscription": "projects/p/subscriptions/s"}
    headers = {"content-type": "application/json; charset=utf-8"}
    return "/pubsub", headers, json.dumps(document).encode()


def acknowledged(response: requests.Response, outcome: str) -> str:
    """Checks an acknowledgement and returns the name of its record."""
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["outcome"] == outcome, body
    return str(body["record"])


# Cases 1 to 5: what is delivered


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("path", ["/events", "/"])
def test_case_1_an_upload_is_answered(running: Running, mode: str, path: str) -> None:
    generation = running.storage.put("photos", "a/red.png", picture("red"))
    delivery = uploaded("a/red.png", generation)
    delivery = structured(delivery) if mode == "structured" else delivery
    name = acknowledged(running.send(path, *delivery[1:]), "written")
    assert name == f"photos/a/red.png@{generation}.json"
    record = running.results[name]
    assert record["predictions"][0]["label"] == "red"
    assert record["object"] == {
        "bucket": "photos",
        "name": "a/red.png",
        "generation": generation,
    }
    assert record["event"]["id"] == f"photos-{generation}"
    assert (record["model"], record["version"]) == ("colour", "1")
    assert record["digest"].startswith("sha256:")
    assert set(record["timings_ms"]) == {"queue", "prepare", "execute", "output"}


@pytest.mark.parametrize("path", ["/pubsub", "/"])
@pytest.mark.parametrize(
    "data",
    [
        picture("green"),
        json.dumps({"b64": base64.b64encode(picture("green")).decode()}).encode(),
        json.dumps({"instances": [base64.b64encode(picture("green")).decode()]}).encode(),
        b'"' + base64.b64encode(picture("green")) + b'"',
    ],
    ids=["binary", "object", "document", "text"],
)
def test_case_2_a_message_of_text_or_bytes_is_answered(
    running: Running, data: bytes, path: str
) -> None:
    name = acknowledged(running.send(path, *pushed("m-1", data)[1:]), "written")
    assert name == "pubsub/m-1.json"
    assert running.results[name]["predictions"][0]["label"] == "green"


def test_case_3_an_envelope_with_the_older_names_is_answered(running: Running) -> None:
    path, headers, body = pushed("m-1", picture("blue"))
    message = json.loads(body)["message"]
    del message["messageId"], message["publishTime"]
    document = {"message": message, "subscription": "projects/p/subscriptions/s"}
    acknowledged(running.send(path, headers, json.dumps(document).encode()), "written")


def test_case_3_an_unwrapped_message_is_answered(running: Running) -> None:
    headers = {"x-goog-pubsub-message-id": "m-1", "content-type": "image/png"}
    for path, outcome in (("/pubsub", "written"), ("/", "repeated")):
        acknowledged(running.send(path, headers, picture("blue")), outcome)


def test_case_4_content_types_may_name_a_charset(running: Running) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    plain = {"content-type": "application/json"}
    named = {"content-type": 'APPLICATION/JSON; charset="UTF-8"'}
    for changed, outcome in ((plain, "written"), (named, "repeated")):
        delivery = uploaded("red.png", generation, changed=changed)
        acknowledged(running.send(*delivery), outcome)


def test_case_5_names_need_not_be_ascii(running: Running) -> None:
    generation = running.storage.put("photos", "ä/日本 🐈.png", picture("red"))
    name = acknowledged(running.send(*uploaded("ä/日本 🐈.png", generation)), "written")
    assert running.results[name]["object"]["name"] == "ä/日本 🐈.png"


# Cases 6 to 9: the same again


@pytest.mark.parametrize("kind", ["upload", "notification", "message"])
def test_case_6_a_redelivery_has_no_effect(running: Running, kind: str) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    delivery = {
        "upload": uploaded("red.png", generation),
        "notification": pushed(
            "m-1",
            b"{}",
            attributes={
                "eventType": "OBJECT_FINALIZE",
                "bucketId": "photos",
                "objectId": "red.png",
                "objectGeneration": str(generation),
            },
        ),
        "message": pushed("m-1", picture("red")),
    }[kind]
    name = acknowledged(running.send(*delivery), "written")
    before = running.results
    for _ in range(3):
        assert acknowledged(running.send(*delivery), "repeated") == name
    assert running.results == before


def test_case_6_an_upload_told_in_two_ways_is_one(running: Running) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    acknowledged(running.send(*uploaded("red.png", generation)), "written")
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": "photos",
        "objectId": "red.png",
        "objectGeneration": str(generation),
    }
    acknowledged(running.send(*pushed("m-1", b"", attributes=attributes)), "repeated")


def test_case_7_deliveries_at_once_have_one_effect(running: Running) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    delivery = uploaded("red.png", generation)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: running.send(*delivery), range(16)))
    outcomes = [response.json()["outcome"] for response in found]
    assert outcomes.count("written") == 1
    assert outcomes.count("repeated") == 15
    assert len(running.results) == 1


def test_case_8_a_crash_after_the_write_ends_in_one_result(
    storage: StorageServer, tmp_path: Path
) -> None:
    write_colour_model(tmp_path)
    generation = storage.put("photos", "red.png", picture("red"))
    delivery = uploaded("red.png", generation)
    with Server(settings_of(storage, tmp_path)) as server:
        acknowledged(Running(server, storage).send(*delivery), "written")
        os.killpg(server.process.pid, signal.SIGKILL)  # the acknowledgement is lost, say
        server.process.wait()
    with Server(settings_of(storage, tmp_path)) as server:
        acknowledged(Running(server, storage).send(*delivery), "repeated")
        assert len(Running(server, storage).results) == 1


@pytest.mark.parametrize("kind", ["message", "event"])
def test_case_9_other_data_under_the_same_id_are_refused_and_recorded(
    running: Running, kind: str
) -> None:
    def delivery(colour: str) -> tuple[str, dict[str, str], bytes]:
        if kind == "message":
            return pushed("m-1", picture(colour))
        _, headers, _ = uploaded("", 1)
        event = {"ce-type": "com.example.photo", "content-type": "image/png"}
        return "/events", {**headers, **event}, picture(colour)

    name = acknowledged(running.send(*delivery("red")), "written")
    for _ in range(2):
        conflict = acknowledged(running.send(*delivery("blue")), "refused")
    assert acknowledged(running.send(*delivery("red")), "repeated") == name
    assert running.results[name]["predictions"][0]["label"] == "red"
    assert running.results[conflict]["error"]["code"] == "event_conflict"
    assert len(running.results) == 2


# Cases 10 to 13: what has an end, and what comes again


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"no image", "unsupported_media"),
        (picture("red", (64, 64), format="JPEG")[:400], "image_broken"),
        (b"", "unsupported_media"),
        (b"x" * 40_000_000, "body_too_large"),
    ],
    ids=["no image", "cut short", "empty", "too large"],
)
def test_case_10_an_object_that_can_never_be_answered_is_recorded(
    running: Running, data: bytes, code: str
) -> None:
    generation = running.storage.put("photos", "bad", data, content_type="image/png")
    name = acknowledged(running.send(*uploaded("bad", generation)), "refused")
    assert name == f"errors/photos/bad@{generation}.json"
    assert running.results[name]["error"]["code"] == code
    assert running.results[name]["object"]["generation"] == generation
    read = "/download/storage/v1/b/photos/"
    downloads = [path for _, path in running.storage.requests if path.startswith(read)]
    assert bool(downloads) == (code != "body_too_large")


def test_case_10_an_object_that_is_gone_or_replaced_is_recorded(running: Running) -> None:
    old = running.storage.put("photos", "red.png", picture("red"))
    new = running.storage.put("photos", "red.png", picture("blue"))
    for delivery in (uploaded("red.png", old), uploaded("never", 5)):
        name = acknowledged(running.send(*delivery), "refused")
        assert "still there" in running.results[name]["error"]["message"]
    name = acknowledged(running.send(*uploaded("red.png", new)), "written")
    assert running.results[name]["predictions"][0]["label"] == "blue"


def test_case_10_another_bucket_is_recorded_and_not_read(running: Running) -> None:
    generation = running.storage.put("private", "red.png", picture("red"))
    delivery = uploaded("red.png", generation, bucket="private")
    name = acknowledged(running.send(*delivery), "refused")
    assert "ZEROPOINT_BUCKETS" in running.results[name]["error"]["message"]
    assert not [path for _, path in running.storage.requests if "/b/private/" in path]


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/events", {}, b"str"),
        ("/events", {"content-type": STRUCTURED}, b"[" * 100_000),
        ("/events", {"content-type": STRUCTURED}, b'"str"'),
        ("/events", {**uploaded("x", 1)[1], "ce-id": ""}, uploaded("x", 1)[2]),
        ("/events", {**uploaded("x", 1)[1], "ce-type": "google.cloud.x"}, b"{}"),
        ("/pubsub", {"content-type": "application/json"}, b'{"message": {"data": "?"}}'),
        ("/pubsub", {}, b""),
        ("/", {"content-type": STRUCTURED}, b"{}"),
    ],
    ids=range(8),
)
def test_case_10_what_holds_no_event_is_recorded_once(
    running: Running, path: str, headers: dict[str, str], body: bytes
) -> None:
    names = {acknowledged(running.send(path, headers, body), "refused") for _ in range(3)}
    assert list(running.results) == list(names)
    assert len(names) == 1
    assert running.results[names.pop()]["error"]["code"].startswith(("event_", "malformed"))


def test_case_11_an_event_past_its_age_is_recorded(running: Running) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    for delivery in (
        uploaded("red.png", generation, late_s=90_000),
        pushed("m-1", picture("red"), late_s=90_000),
    ):
        name = acknowledged(running.send(*delivery), "refused")
        assert running.results[name]["error"]["code"] == "event_too_old"
    fresh = uploaded("red.png", generation, late_s=80_000)
    acknowledged(running.send(*fresh), "written")


def test_case_11_a_result_that_is_there_stays_whatever_the_age(running: Running) -> None:
    acknowledged(running.send(*pushed("m-1", picture("red"))), "written")
    acknowledged(running.send(*pushed("m-1", picture("red"), late_s=90_000)), "repeated")


@pytest.mark.parametrize("away", ["GET /storage/v1/b/photos", "GET /download", "POST /upload"])
def test_case_12_a_failure_that_may_pass_is_503_then_done(running: Running, away: str) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    delivery = uploaded("red.png", generation)
    running.storage.fail_next(away, 403)  # which the client itself does not try again
    response = running.send(*delivery)
    assert response.status_code == 503
    assert response.json()["error"]["retryable"] is True
    assert int(response.headers["retry-after"]) >= 1
    assert running.results == {}
    told = [record for record in running.server.records() if record["severity"] == "WARNING"]
    assert told
    acknowledged(running.send(*delivery), "written")


def test_case_12_a_model_that_cannot_be_loaded_is_503(
    storage: StorageServer, tmp_path: Path
) -> None:
    (write_colour_model(tmp_path) / "model.onnx").write_bytes(b"")
    with Server(settings_of(storage, tmp_path)) as server:
        response = Running(server, storage).send(*pushed("m-1", picture("red")))
        assert response.status_code == 503
        assert Running(server, storage).results == {}


def test_case_13_the_sinks_own_output_is_ignored(storage: StorageServer, tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    settings = settings_of(storage, tmp_path, ZEROPOINT_RESULTS="gs://photos/out")
    with Server(settings) as server:
        running = Running(server, storage)
        generation = storage.put("photos", "red.png", picture("red"))
        name = acknowledged(running.send(*uploaded("red.png", generation)), "written")
        before = storage.objects("photos")
        assert f"out/{name}" in before
        acknowledged(running.send(*uploaded(f"out/{name}", 1)), "ignored")
        assert storage.objects("photos") == before
        warnings = [one["message"] for one in server.records() if one["severity"] == "WARNING"]
    assert any("a bucket that is also read" in message for message in warnings)


# All of it at once


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
