"""Cases 1 to 13, delivery: once each, nothing lost, and no end without a record."""

import base64
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deliveries import (
    STRUCTURED,
    Running,
    acknowledged,
    pushed,
    settings_of,
    storage_of_buckets,
    structured,
    uploaded,
)
from servers import Server
from storage_server import StorageServer
from tiny_models import picture, write_colour_model


@pytest.fixture
def storage() -> Iterator[StorageServer]:
    with storage_of_buckets() as found:
        yield found


@pytest.fixture
def running(storage: StorageServer, tmp_path: Path) -> Iterator[Running]:
    write_colour_model(tmp_path)
    with Server(settings_of(storage, tmp_path)) as server:
        server.wait_until_ready()
        yield Running(server, storage)


# Cases 1 to 5: what is delivered


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("path", ["/events", "/"])
def test_01_an_upload_is_answered(running: Running, mode: str, path: str) -> None:
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
def test_02_a_message_of_text_or_bytes_is_answered(
    running: Running, data: bytes, path: str
) -> None:
    name = acknowledged(running.send(path, *pushed("m-1", data)[1:]), "written")
    assert name == "pubsub/m-1.json"
    assert running.results[name]["predictions"][0]["label"] == "green"


def test_03_an_envelope_with_the_older_names_is_answered(running: Running) -> None:
    path, headers, body = pushed("m-1", picture("blue"))
    message = json.loads(body)["message"]
    del message["messageId"], message["publishTime"]
    document = {"message": message, "subscription": "projects/p/subscriptions/s"}
    acknowledged(running.send(path, headers, json.dumps(document).encode()), "written")


def test_03_an_unwrapped_message_is_answered(running: Running) -> None:
    headers = {"x-goog-pubsub-message-id": "m-1", "content-type": "image/png"}
    for path, outcome in (("/pubsub", "written"), ("/", "repeated")):
        acknowledged(running.send(path, headers, picture("blue")), outcome)


def test_04_content_types_may_name_a_charset(running: Running) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    plain = {"content-type": "application/json"}
    named = {"content-type": 'APPLICATION/JSON; charset="UTF-8"'}
    for changed, outcome in ((plain, "written"), (named, "repeated")):
        delivery = uploaded("red.png", generation, changed=changed)
        acknowledged(running.send(*delivery), outcome)


def test_05_names_need_not_be_ascii(running: Running) -> None:
    generation = running.storage.put("photos", "ä/日本 🐈.png", picture("red"))
    name = acknowledged(running.send(*uploaded("ä/日本 🐈.png", generation)), "written")
    assert running.results[name]["object"]["name"] == "ä/日本 🐈.png"


# Cases 6 to 9: the same again


@pytest.mark.parametrize("kind", ["upload", "notification", "message"])
def test_06_a_redelivery_has_no_effect(running: Running, kind: str) -> None:
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


def test_06_an_upload_told_in_two_ways_is_one(running: Running) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    acknowledged(running.send(*uploaded("red.png", generation)), "written")
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": "photos",
        "objectId": "red.png",
        "objectGeneration": str(generation),
    }
    acknowledged(running.send(*pushed("m-1", b"", attributes=attributes)), "repeated")


def test_07_deliveries_at_once_have_one_effect(running: Running) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    delivery = uploaded("red.png", generation)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: running.send(*delivery), range(16)))
    outcomes = [response.json()["outcome"] for response in found]
    assert outcomes.count("written") == 1
    assert outcomes.count("repeated") == 15
    assert len(running.results) == 1


def test_08_a_crash_after_the_write_ends_in_one_result(
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
def test_09_other_data_under_the_same_id_are_refused_and_recorded(
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
def test_10_an_object_that_can_never_be_answered_is_recorded(
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


def test_10_an_object_that_is_gone_or_replaced_is_recorded(running: Running) -> None:
    old = running.storage.put("photos", "red.png", picture("red"))
    new = running.storage.put("photos", "red.png", picture("blue"))
    for delivery in (uploaded("red.png", old), uploaded("never", 5)):
        name = acknowledged(running.send(*delivery), "refused")
        assert "still there" in running.results[name]["error"]["message"]
    name = acknowledged(running.send(*uploaded("red.png", new)), "written")
    assert running.results[name]["predictions"][0]["label"] == "blue"


def test_10_another_bucket_is_recorded_and_not_read(running: Running) -> None:
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
def test_10_what_holds_no_event_is_recorded_once(
    running: Running, path: str, headers: dict[str, str], body: bytes
) -> None:
    names = {acknowledged(running.send(path, headers, body), "refused") for _ in range(3)}
    assert list(running.results) == list(names)
    assert len(names) == 1
    assert running.results[names.pop()]["error"]["code"].startswith(("event_", "malformed"))


def test_11_an_event_past_its_age_is_recorded(running: Running) -> None:
    generation = running.storage.put("photos", "red.png", picture("red"))
    for delivery in (
        uploaded("red.png", generation, late_s=90_000),
        pushed("m-1", picture("red"), late_s=90_000),
    ):
        name = acknowledged(running.send(*delivery), "refused")
        assert running.results[name]["error"]["code"] == "event_too_old"
    fresh = uploaded("red.png", generation, late_s=80_000)
    acknowledged(running.send(*fresh), "written")


def test_11_a_result_that_is_there_stays_whatever_the_age(running: Running) -> None:
    acknowledged(running.send(*pushed("m-1", picture("red"))), "written")
    acknowledged(running.send(*pushed("m-1", picture("red"), late_s=90_000)), "repeated")


@pytest.mark.parametrize("away", ["GET /storage/v1/b/photos", "GET /download", "POST /upload"])
def test_12_a_failure_that_may_pass_is_503_then_done(running: Running, away: str) -> None:
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


def test_12_a_model_that_cannot_be_loaded_is_503(storage: StorageServer, tmp_path: Path) -> None:
    (write_colour_model(tmp_path) / "model.onnx").write_bytes(b"")
    with Server(settings_of(storage, tmp_path)) as server:
        response = Running(server, storage).send(*pushed("m-1", picture("red")))
        assert response.status_code == 503
        assert Running(server, storage).results == {}


def test_13_the_sinks_own_output_is_ignored(storage: StorageServer, tmp_path: Path) -> None:
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
