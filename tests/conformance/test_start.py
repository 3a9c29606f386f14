"""Cases 29 and 34 to 37: a start that fails says why, and one that does not keeps its word."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest

from conformance.wire import JSON, PHOTO, Answer, call, photo_is_answered, refused
from servers import ROOT, SERVE, Server, environment, free_port
from tiny_models import picture, sha256, write_colour_model, write_slow_model
from zeropoint.settings import Row, table

ROWS = table()


def start(home: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Starts a server that has to end by itself."""
    return subprocess.run(
        [*SERVE, *arguments],
        cwd=ROOT,
        env=environment(home, {"PORT": str(free_port()), **settings}),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def wrong(row: Row) -> list[str]:
    """Returns a value beside the end of a setting's range, or if it has none of another type."""
    kind, (meta,) = get_args(row.type)[0], row.type.__metadata__
    if kind is str:
        return ["no/slash first"] if meta.pattern else []
    if meta.le is not None:
        return [str(meta.le + 1)]
    if meta.ge is not None:
        return [str(meta.ge - 1)]
    return ["many"] if meta.gt is None else [str(meta.gt)]


WRONG = [
    *((row.variable, text) for row in ROWS for text in wrong(row)),
    ("ZEROPOINT_MAX_PIXELS", "many"),
    ("ZEROPOINT_TIMEOUT_S", "nan"),
    ("ZEROPOINT_MODELS", "gs://"),
    ("ZEROPOINT_RESULTS", "ftp://host/folder"),
    ("ZEROPOINT_RESULTS", "gs://"),
    ("ZEROPOINT_RESULTS", "pubsub://topic"),
    ("ZEROPOINT_BUCKETS", "gs://photos"),
]


SECRETS = {row.variable for row in ROWS if row.secret}


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_29_a_wrong_setting_stops_the_start_with_one_line(
    tmp_path: Path, variable: str, value: str
) -> None:
    done = start(tmp_path, **{variable: value})
    assert done.returncode != 0
    (line,) = (done.stdout + done.stderr).splitlines()
    record = json.loads(line)
    assert record["severity"] == "CRITICAL"
    if variable in SECRETS:
        assert f"{variable} is wrong" in record["message"]
        assert value not in line
    else:
        assert f"{variable} is {value!r}" in record["message"]


def test_29_every_setting_that_is_no_free_text_was_wrong() -> None:
    typed = {row.variable for row in ROWS if get_args(row.type)[0] is not str}
    assert len(typed) >= 14
    assert typed <= {variable for variable, _ in WRONG}


def test_34_a_port_in_use_is_one_clear_line(server: Server, tmp_path: Path) -> None:
    done = start(tmp_path, "--port", str(server.port))
    assert done.returncode == 1
    serving, line = done.stderr.splitlines()
    assert serving.startswith("zeropoint ")
    assert line == (
        f"zeropoint: expected a free port, got {server.port}: Address already in use;"
        " --port or PORT names another"
    )
    assert [one for one in done.stdout.splitlines() if "Traceback" in one] == []


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def changed(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def missing(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def another(file: Path) -> None:
    """A model that would load, and answer."""
    folder = write_colour_model(file.parent / "another")
    file.write_bytes((folder / "model.onnx").read_bytes())


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        *((harm, "model.onnx") for harm in (cut_short, changed, missing, empty, another)),
        (changed, "labels.txt"),
        (missing, "labels.txt"),
    ],
)
def test_35_a_damaged_model_is_not_ready_and_never_answers(
    photo_model: Path, harm: Callable[[Path], None], name: str
) -> None:
    file = photo_model / name
    expected = sha256(file)
    harm(file)
    with Server({"ZEROPOINT_MODELS": str(photo_model.parent)}) as running:
        for _ in range(3):
            answer = call(running, "POST", "/predict", PHOTO)
            assert expected not in refused(answer, "/predict", 503)
            assert answer.json()["error"]["code"] == "model_unavailable"
        assert call(running, "GET", "/readyz").status == 503
        assert call(running, "GET", "/livez").status == 200
        errors = [one["message"] for one in running.records() if one["severity"] == "ERROR"]
    (line,) = errors
    assert f"efficientnet-lite0/{name}: expected" in line
    assert expected in line
    if harm is not missing:
        assert sha256(file) in line


def test_35_it_is_answered_from_as_soon_as_it_is_mended(photo_model: Path) -> None:
    file = photo_model / "model.onnx"
    whole = file.read_bytes()
    cut_short(file)
    with Server({"ZEROPOINT_MODELS": str(photo_model.parent)}) as running:
        refused(call(running, "POST", "/predict", PHOTO), "/predict", 503)
        file.write_bytes(whole)
        running.wait_until_ready()
        photo_is_answered(running)


def test_35_another_model_that_is_damaged_leaves_the_default_answering(tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    changed(write_colour_model(tmp_path, "broken") / "model.onnx")
    with Server({"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_MODEL": "colour"}) as running:
        path = "/predict/broken"
        refused(call(running, "POST", path, picture("red")), path, 503)
        photo_is_answered(running)


def test_36_a_model_that_gives_another_answer_is_never_ready(photo_model: Path) -> None:
    manifest = photo_model / "model.toml"
    text = manifest.read_text()
    assert 'label = "tiger cat"' in text
    manifest.write_text(text.replace('label = "tiger cat"', 'label = "Egyptian cat"'))
    with Server({"ZEROPOINT_MODELS": str(photo_model.parent)}) as running:
        for _ in range(3):
            refused(call(running, "POST", "/predict", PHOTO), "/predict", 503)
            refused(call(running, "GET", "/readyz"), "/readyz", 503)
        errors = [one["message"] for one in running.records() if one["severity"] == "ERROR"]
    (line,) = errors
    assert "Egyptian cat" in line


def test_36_it_is_ready_only_after_the_known_answer(tmp_path: Path) -> None:
    folder = write_slow_model(tmp_path)
    manifest, check = folder / "model.toml", folder / "check.json"
    text, before = manifest.read_text(), sha256(check)
    check.write_text("2400")  # its known answer takes so many turns, a second or more
    manifest.write_text(text.replace(before, sha256(check)))
    settings = {"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_CPUS": "1"}
    states: list[int] = []
    with Server(settings) as running, ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, running, "POST", "/predict", b'{"instances": [1]}', JSON)
        while not states or states[-1] != 200:
            assert len(states) < 3000
            was_answered = first.done()
            states.append(call(running, "GET", "/readyz").status)
            assert states[-1] == 200 or not was_answered
            assert call(running, "GET", "/livez").status == 200
            time.sleep(0.01)
        assert first.result().json()["predictions"] == [{"y": 1.0}]
        assert call(running, "GET", "/readyz").status == 200
    assert len(states) > 10
    assert {*states[:-1]} == {503}


def test_37_fifty_first_requests_are_one_load_and_fifty_answers() -> None:
    together = threading.Barrier(50)

    def ask(server: Server) -> Answer:
        together.wait()
        return call(server, "POST", "/predict", PHOTO)

    with Server() as cold, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, [cold] * 50))
        records = cold.records()
        metrics = call(cold, "GET", "/metrics").body.decode()
    assert [answer.status for answer in answers] == [200] * 50
    for answer in answers:
        (prediction,) = answer.json()["predictions"]
        assert prediction["label"] == "tiger cat"
        assert prediction["probability"] == pytest.approx(0.385, abs=0.03)
    assert len([one for one in answers if "cold-total" in one.headers["Server-Timing"]]) == 1
    assert len([one for one in records if one["message"] == "cold start"]) == 1
    assert 'zeropoint_loads_total{model="efficientnet-lite0",result="ready"} 1.0' in metrics
