"""zeropoint watch: every file once, whatever comes and whatever ends the command."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from servers import ROOT, environment, zeropoint
from storage_server import StorageServer
from test_draining import wait_for
from tiny_models import picture, write_colour_model, write_identity_model

COLOURS = ("red", "green", "blue")
_KILLS = int(os.environ.get("ZEROPOINT_KILLS", "8"))


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """A folder that is watched, beside a repository of the model ``colour``."""
    write_colour_model(tmp_path / "models")
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def settings_of(home: Path) -> dict[str, str]:
    return {"ZEROPOINT_MODELS": str(home / "models"), "ZEROPOINT_CPUS": "1"}


def process(
    camera: Path, arguments: tuple[object, ...], settings: dict[str, str], measured: bool = True
) -> "subprocess.Popen[str]":
    home = camera.parent
    command = [sys.executable, "-m", "zeropoint", "watch", str(camera)]
    command += ["--out", str(home / "out"), *map(str, arguments)]
    return subprocess.Popen(
        command,
        env=environment(home, {**settings_of(home), **settings}, measured),
        cwd=ROOT / "function",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def watching(camera: Path, *arguments: object, **variables: str) -> Iterator[list[str]]:
    """Runs the command meanwhile; what it printed, on stdout and then stderr, is known at the end.

    It must have said that it watches, and end in order when it is told to.
    """
    said: list[str] = []
    with process(camera, arguments, variables) as running:
        try:
            assert running.stderr is not None
            assert running.stderr.readline().startswith("watching ")
            yield said
            running.send_signal(signal.SIGTERM)
            said += running.communicate(timeout=30)
        finally:
            running.kill()
    assert running.returncode == 0, said


def once(camera: Path, *arguments: object, **variables: str) -> tuple[str, str]:
    """Has what is there answered; returns what was printed on stdout and stderr."""
    with process(camera, ("--once", *arguments), variables) as running:
        said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    return said


def records(home: Path) -> dict[str, dict[str, Any]]:
    """Returns the records by the names of their files, and that there is one of each."""
    found: dict[str, dict[str, Any]] = {}
    for path in (home / "out").rglob("*.json"):
        record = json.loads(path.read_bytes())
        name = record["file"]["name"]
        stem = unquote(str(path.relative_to(home / "out")))
        assert stem.rpartition("@")[0] == name
        assert name not in found
        found[name] = record
    return found


def labels(home: Path) -> dict[str, str]:
    return {
        name: record["predictions"][0]["label"]
        if "predictions" in record
        else record["error"]["code"]
        for name, record in records(home).items()
    }


def move_in(camera: Path, name: str, data: bytes) -> None:
    """Writes a file beside, and moves it in whole."""
    part = camera.parent / "part"
    part.write_bytes(data)
    (camera / name).parent.mkdir(exist_ok=True)
    part.rename(camera / name)


def test_what_is_there_and_what_comes(camera: Path) -> None:
    home = camera.parent
    (camera / "before.png").write_bytes(picture("red"))
    (camera / ".hidden.png").write_bytes(picture("red"))
    with watching(camera, "--settle-s", 0.2) as said:
        wait_for(lambda: "before.png" in records(home))
        (camera / "closed.png").write_bytes(picture("green"))
        move_in(camera, "moved.png", picture("blue"))
        move_in(camera, "sub/below.jpg", picture("green", format="JPEG"))
        (camera / "broken.png").write_bytes(b"no photo")
        (camera / "renamed.png").write_bytes(picture("red"))
        (camera / "big.png").write_bytes(picture("red", (16, 12)) + b"\0" * 20_000)
        wait_for(lambda: len(records(home)) == 7)
    assert labels(home) == {
        "before.png": "red",
        "closed.png": "green",
        "moved.png": "blue",
        "sub/below.jpg": "green",
        "broken.png": "unsupported_media",
        "renamed.png": "red",
        "big.png": "red",
    }
    out, errors = said
    assert "closed.png\n" in out
    assert "broken.png: expected a JPEG" in errors
    record = records(home)["moved.png"]
    assert record["file"]["size_bytes"] == len(picture("blue"))
    assert record["model"] == "colour"
    assert set(record["timings_ms"]) == {"queue", "prepare", "execute", "output"}


def test_nothing_is_answered_twice_but_what_is_written_again(camera: Path) -> None:
    home = camera.parent
    for colour in COLOURS:
        (camera / f"{colour}.png").write_bytes(picture(colour))
    said = once(camera)
    assert said[0].count(".png\n") == 3
    before = records(home)
    (camera / "red.png").touch()  # the clock's
    os.utime(camera / "red.png", ns=(0, time.time_ns() - 10**10))
    said = once(camera)
    assert said[0].count(".png\n") == 1
    written = sorted(unquote(path.name) for path in (home / "out").iterdir())
    assert len(written) == 4
    assert len([name for name in written if name.startswith("red.png@")]) == 2
    for path in (home / "out").iterdir():
        name = unquote(path.name).partition("@")[0]
        if name != "red.png":
            assert json.loads(path.read_bytes()) == before[name]


def test_a_slow_writer_is_waited_for(camera: Path) -> None:
    data = picture("green", (300, 200))
    with watching(camera, "--settle-s", 30), (camera / "slow.png").open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        time.sleep(0.5)
        assert records(camera.parent) == {}
        file.write(data[len(data) // 2 :])
        file.close()
        wait_for(lambda: labels(camera.parent) == {"slow.png": "green"})


def test_rows_of_a_file_and_its_error(tmp_path: Path) -> None:
    write_identity_model(tmp_path / "models", "FLOAT")
    camera = tmp_path / "in"
    camera.mkdir()
    (camera / "rows.jsonl").write_text("[1]\n[2]\n[3]\n")
    (camera / "wrong.jsonl").write_text("[1]\n[\n")
    once(camera, ZEROPOINT_MAX_INSTANCES="2")
    found = records(tmp_path)
    assert len(found["rows.jsonl"]["predictions"]) == 3
    assert found["wrong.jsonl"]["error"]["code"] == "malformed"
    assert found["wrong.jsonl"]["error"]["message"].startswith("line 2: ")


def test_a_file_over_the_limit_is_not_read(camera: Path) -> None:
    (camera / "large.png").write_bytes(picture("red") + b"\0" * 20_000)
    once(camera, ZEROPOINT_MAX_BODY_BYTES="10000")
    assert records(camera.parent)["large.png"]["error"] == {
        "code": "body_too_large",
        "message": f"expected a file of at most 10000 bytes, got {20_000 + len(picture('red'))}",
    }


def test_a_place_for_records_that_is_away_is_tried_again(camera: Path) -> None:
    out = camera.parent / "out"
    out.write_text("in the way")
    with watching(camera, "--rescan-s", 0.2, "--settle-s", 0) as said:
        (camera / "red.png").write_bytes(picture("red"))
        time.sleep(0.7)
        out.unlink()
        wait_for(lambda: labels(camera.parent) == {"red.png": "red"})
    assert said[1].count("expected a folder that can be read and written") == 1


def test_a_bucket_takes_the_records(camera: Path) -> None:
    with StorageServer() as storage:
        storage.put("seen", "other", b"")
        cloud = {"STORAGE_EMULATOR_HOST": storage.url, "GOOGLE_CLOUD_PROJECT": "p"}
        (camera / "red.png").write_bytes(picture("red"))
        for count in (1, 0):
            out, _ = once(camera, "--out", "gs://seen/camera", **cloud)
            assert out.count("red.png\n") == count
        (name,) = storage.objects("seen").keys() - {"other"}
        assert name.startswith("camera/red.png@")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "in/out"), "expected a folder outside of FOLDER"),
        (("--out", "pubsub://projects/my-project/topics/seen"), "got a topic"),
        (("--out", "ftp://seen"), "It can be file:///folder"),
        (("--out", "out", "--parameters", "[]"), "expected a JSON object"),
        (("--out", "out", "--parameters", '{"k": 1}'), "expected an object with no other keys"),
        (("--out", "out", "--model", "none"), "expected a model none, got none"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    camera: Path, arguments: tuple[str, ...], said: str
) -> None:
    home = camera.parent
    placed = [str(home / one) if one in ("in/out", "out") else one for one in arguments]
    done = zeropoint(home, "watch", str(camera), *placed, settings=settings_of(home))
    assert done.returncode in (1, 2)
    assert said in " ".join(done.stderr.split())
    assert not (home / "out").exists()


def test_after_any_kill_each_file_has_its_one_record(camera: Path) -> None:
    home = camera.parent
    chance = random.Random(0)  # noqa: S311 - the same moments at each run
    files = 40 * _KILLS
    ended = threading.Event()

    def shoot() -> None:
        for number in range(files):
            data = picture(COLOURS[number % 3])
            if number % 2:
                (camera / f"{number}.png").write_bytes(data)
            else:
                move_in(camera, f"{number}.png", data)
            if ended.wait(0.02):
                return

    shooting = threading.Thread(target=shoot)
    shooting.start()
    try:
        for _ in range(_KILLS):
            with process(camera, (), {}, measured=False) as running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(chance.uniform(0.3, 1.0))
                running.kill()
                running.communicate()
            assert running.returncode == -signal.SIGKILL
        shooting.join()
    finally:
        ended.set()
        shooting.join()
    killed = len(list((home / "out").rglob("*.json")))
    assert killed > 0
    once(camera)
    assert labels(home) == {f"{number}.png": COLOURS[number % 3] for number in range(files)}
