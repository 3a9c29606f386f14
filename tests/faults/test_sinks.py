"""A sink that refuses: the event comes again and is written once, and predictions do not mind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from faults.calls import acknowledged, label, make_buckets, predict, push, to_come_again
from pubsub_server import PubsubServer
from servers import Server
from storage_server import StorageServer

TOPIC = "projects/a-project/topics/results"
REFUSALS = 3


class Refusing(NamedTuple):
    """A server whose sink refuses, how that ends, and how to read what was written."""

    server: Server
    end: Callable[[], None]
    records: Callable[[], list[bytes]]


def of_file(models: str, tmp_path: Path) -> Iterator[Refusing]:
    results = tmp_path / "results"
    results.write_bytes(b"in the way")
    settings = {"ZEROPOINT_MODELS": models, "ZEROPOINT_RESULTS": results.as_uri()}
    with Server(settings) as server:
        yield Refusing(
            server,
            results.unlink,
            lambda: [path.read_bytes() for path in results.rglob("*.json")],
        )


def of_bucket(models: str, tmp_path: Path) -> Iterator[Refusing]:
    with StorageServer() as storage:
        make_buckets(storage, "results")
        storage.fail_next("POST /upload", 403, count=999)
        settings = {
            "STORAGE_EMULATOR_HOST": storage.url,
            "ZEROPOINT_MODELS": models,
            "ZEROPOINT_RESULTS": "gs://results",
        }
        with Server(settings) as server:
            yield Refusing(server, storage.mend, lambda: [*storage.objects("results").values()])


def of_topic(models: str, tmp_path: Path) -> Iterator[Refusing]:
    with PubsubServer(TOPIC) as broker:
        broker.fail_next(grpc.StatusCode.PERMISSION_DENIED, REFUSALS)
        settings = {
            "PUBSUB_EMULATOR_HOST": broker.address,
            "ZEROPOINT_MODELS": models,
            "ZEROPOINT_RESULTS": f"pubsub://{TOPIC}",
        }
        with Server(settings) as server:
            yield Refusing(
                server, lambda: None, lambda: [message.data for message in broker.messages]
            )


@pytest.fixture(params=[of_file, of_bucket, of_topic], ids=["file", "bucket", "topic"])
def refusing(
    request: pytest.FixtureRequest, colour_repository: Path, tmp_path: Path
) -> Iterator[Refusing]:
    yield from request.param(str(colour_repository), tmp_path)


def test_an_event_comes_again_until_the_sink_takes_its_result(refusing: Refusing) -> None:
    server = refusing.server
    server.wait_until_ready()
    for _ in range(REFUSALS):
        to_come_again(push(server.url, "m-1", "red"))
        predict(server.url, "blue")
    assert refusing.records() == []
    refusing.end()
    acknowledged(push(server.url, "m-1", "red"), "written")
    (record,) = refusing.records()
    assert label(record) == "red"
    told = [one["message"] for one in server.records() if one["severity"] == "WARNING"]
    assert len([one for one in told if "results" in one]) == REFUSALS
