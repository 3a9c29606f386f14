"""A disk that is full or cannot be written: told as such, and over once there is room."""

import os
from pathlib import Path

import pytest
import requests

from faults.calls import acknowledged, make_buckets, predict, push, to_come_again
from faults.mounts import fill, needs_mounts, read_only, resize, seen_by, with_small_disk
from servers import SERVE, Server
from soak.weights import write_weighty_model
from storage_server import StorageServer
from tiny_models import write_identity_model


def told(server: Server, severity: str) -> list[str]:
    return [one["message"] for one in server.records() if one["severity"] == severity]


@needs_mounts
def test_results_wait_for_room(colour_repository: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    settings = {
        "ZEROPOINT_MODELS": str(colour_repository),
        "ZEROPOINT_RESULTS": results.as_uri(),
    }
    with Server(settings, command=with_small_disk(results, "64k")) as server:
        server.wait_until_ready()
        seen = seen_by(server.process.pid, results)
        filler = fill(seen)
        for _ in range(3):
            to_come_again(push(server.url, "m-1", "red"))
        assert "No space left on device" in told(server, "WARNING")[-1]
        predict(server.url, "blue")
        assert [path for path in seen.rglob("*") if path.is_file()] == [filler]
        filler.unlink()
        acknowledged(push(server.url, "m-1", "red"), "written")
        acknowledged(push(server.url, "m-1", "red"), "repeated")
        assert [path.name for path in seen.rglob("*") if path.is_file()] == ["m-1.json"]
    assert list(results.iterdir()) == []


@needs_mounts
def test_a_model_waits_for_room_in_its_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    write_weighty_model(tmp_path / "made", "heavy", 3)
    with StorageServer() as storage:
        make_buckets(storage, "models")
        for path in (tmp_path / "made" / "heavy").iterdir():
            storage.put("models", f"heavy/{path.name}", path.read_bytes())
        settings = {
            "STORAGE_EMULATOR_HOST": storage.url,
            "ZEROPOINT_MODELS": "gs://models",
            "ZEROPOINT_CACHE": str(cache),
        }
        with Server(settings, command=with_small_disk(cache, "2m")) as server:
            url = server.url + "/predict"
            answer = requests.post(url, json={"instances": [[2.0]]}, timeout=60)
            to_come_again(answer)
            (line,) = told(server, "ERROR")
            assert "expected a cache that can be written" in line
            assert "No space left on device (ZEROPOINT_CACHE names it)" in line
            assert list(seen_by(server.process.pid, cache).iterdir()) == []
            assert requests.get(server.url + "/livez", timeout=10).ok
            resize(server.process.pid, cache, "64m")
            server.wait_until_ready()
            answer = requests.post(url, json={"instances": [[2.0]]}, timeout=60)
            assert answer.json()["predictions"] == [{"y": [6.0]}]


@needs_mounts
def test_where_nothing_can_be_written_all_but_events_is_answered(tmp_path: Path) -> None:
    """Answers too large for a socket's buffer, too: they need no temporary file."""
    write_identity_model(tmp_path, "FLOAT")
    settings = {"ZEROPOINT_MODELS": str(tmp_path), "TMPDIR": str(tmp_path)}
    with Server(settings, command=read_only(tmp_path)) as server:
        server.wait_until_ready()
        probe = seen_by(server.process.pid, Path("/tmp")) / f"zeropoint-{os.getpid()}"  # noqa: S108
        with pytest.raises(OSError, match="Read-only"):
            probe.write_bytes(b"")
        rows = [[float(number)] * 1000 for number in range(300)]
        url = server.url + "/predict"
        answer = requests.post(url, json={"instances": rows}, timeout=60)
        assert answer.status_code == 200, answer.text[:300]
        assert [one["y"] for one in answer.json()["predictions"]] == rows
        assert len(answer.content) > 1 << 20
        event = {"instances": [[1.0]]}
        headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "a"}
        to_come_again(
            requests.post(server.url + "/events", json=event, headers=headers, timeout=30)
        )
        assert "Read-only file system" in told(server, "WARNING")[-1]
        assert server.stop() == 0


@pytest.mark.parametrize("stdout", ["/dev/full", ">(true)"], ids=["full", "nobody reads it"])
def test_a_log_that_cannot_be_written_costs_no_answer(colour_repository: Path, stdout: str) -> None:
    command = ("bash", "-c", f'exec > {stdout}; sleep 0.2; exec "$@"', "bash", *SERVE)
    settings = {"ZEROPOINT_MODELS": str(colour_repository), "ZEROPOINT_OTHER": "which is logged"}
    with Server(settings, command=command) as server:
        server.wait_until_ready()
        for colour in ("red", "green", "blue"):
            predict(server.url, colour)
        answer = requests.post(server.url + "/predict", b"no image", timeout=30)
        assert answer.status_code == 415
