"""zeropoint send, against a real server: what the platform would send, and what it would say."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import Server, free_port, zeropoint
from storage_server import StorageServer
from tiny_models import picture, write_colour_model


@pytest.fixture
def storage() -> Iterator[StorageServer]:
    with StorageServer() as found:
        yield found


@pytest.fixture
def server(storage: StorageServer, tmp_path: Path) -> Iterator[Server]:
    write_colour_model(tmp_path / "models")
    settings = {
        "STORAGE_EMULATOR_HOST": storage.url,
        "ZEROPOINT_MODELS": str(tmp_path / "models"),
        "ZEROPOINT_BUCKETS": "photos",
    }
    with Server(settings) as running:
        yield running


@pytest.mark.parametrize("as_", ["eventarc", "pubsub"])
def test_a_file_is_sent_and_again(server: Server, tmp_path: Path, as_: str) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    for outcome in ("written", "repeated"):
        arguments = (
            "send",
            str(tmp_path / "red.png"),
            "--to",
            server.url,
            "--as",
            as_,
            "--id",
            "1",
        )
        done = zeropoint(tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
        receipt = json.loads(done.stdout)
        assert receipt["outcome"] == outcome
    (record,) = server.results.rglob("*.json")
    assert json.loads(record.read_text())["predictions"][0]["label"] == "red"


@pytest.mark.parametrize("as_", ["eventarc", "pubsub"])
def test_the_news_of_an_upload_is_sent(
    server: Server, storage: StorageServer, tmp_path: Path, as_: str
) -> None:
    generation = storage.put("photos", "a/blue.png", picture("blue"))
    settings = {"STORAGE_EMULATOR_HOST": storage.url}
    arguments = ("send", "gs://photos/a/blue.png", "--to", server.url, "--as", as_)
    done = zeropoint(tmp_path, *arguments, settings=settings)
    assert json.loads(done.stdout) == {
        "outcome": "written",
        "record": f"photos/a/blue.png@{generation}.json",
    }


def test_what_is_not_acknowledged_is_told(
    server: Server, storage: StorageServer, tmp_path: Path
) -> None:
    storage.put("photos", "a.png", picture("red"))
    storage.fail_next("GET /storage/v1/b/photos", 403)
    arguments = ("send", "gs://photos/a.png", "--to", server.url, "--generation", "1")
    done = zeropoint(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith('503: {"error":{"code":"unavailable"')
    assert "the platform would send it again" in done.stderr


def test_nobody_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    to = f"http://127.0.0.1:{free_port()}"
    done = zeropoint(tmp_path, "send", str(tmp_path / "red.png"), "--to", to)
    assert done.returncode == 1
    assert "is the function served there?" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("nowhere.png",), ("x", "--to", "ftp://x"), ("x", "--as", "y")]
)
def test_what_cannot_be_sent_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert zeropoint(tmp_path, "send", *arguments).returncode == 2
