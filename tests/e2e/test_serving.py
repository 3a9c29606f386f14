"""The main job, on real server processes: a photo in, a labelled answer out, from a cold start."""

import base64
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from conftest import CAT
from corpora import imagenet_photos
from servers import FRAMEWORK, ROOT, Server
from tiny_models import picture, sha256, write_colour_model

BUNDLED = ROOT / "model_artifacts" / "efficientnet-lite0"
COLD_PHASES = [
    "cold-process",
    "cold-read",
    "cold-imports",
    "cold-session",
    "cold-check",
    "cold-first",
    "cold-total",
]


def predict(server: Server, data: bytes) -> requests.Response:
    headers = {"content-type": "image/jpeg"}
    return requests.post(server.url + "/predict", data=data, headers=headers, timeout=60)


def steps(response: requests.Response) -> dict[str, float]:
    """Returns the milliseconds of a Server-Timing header."""
    entries = response.headers["server-timing"].split(", ")
    return {name: float(ms) for name, ms in (entry.split(";dur=") for entry in entries)}


def test_a_photo_of_a_cat_is_answered_with_cats(server: Server) -> None:
    body = predict(server, CAT.read_bytes()).json()
    (prediction,) = body["predictions"]
    assert [entry["label"] for entry in prediction["top"]][:2] == ["tiger cat", "Egyptian cat"]
    assert sum(entry["probability"] for entry in prediction["top"]) <= 1.0
    assert (body["model"], body["version"]) == ("efficientnet-lite0", "1")
    files = [BUNDLED / "model.onnx", *(BUNDLED / "variants").iterdir()]
    assert body["digest"] in {f"sha256:{sha256(path)}" for path in files}


def test_labelled_photos_are_told_apart(server: Server) -> None:
    labels = (BUNDLED / "labels.txt").read_text().splitlines()
    photos = imagenet_photos()
    right = 0
    for photo in photos:
        (prediction,) = predict(server, photo.path.read_bytes()).json()["predictions"]
        right += prediction["label"] == labels[photo.index]
    assert len(photos) == 20
    assert right >= 18


def test_fifty_first_requests_are_one_load_and_fifty_answers() -> None:
    photo = CAT.read_bytes()
    together = threading.Barrier(50)

    def call(server: Server) -> requests.Response:
        together.wait()
        return predict(server, photo)

    with Server() as cold, ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(call, [cold] * 50))
        records = cold.records()
    assert [response.status_code for response in responses] == [200] * 50
    for response in responses:
        (prediction,) = response.json()["predictions"]
        assert prediction["label"] == "tiger cat"
        assert prediction["probability"] == pytest.approx(0.385, abs=0.03)
    told = [response for response in responses if "cold-total" in steps(response)]
    assert len(told) == 1
    assert len([record for record in records if record["message"] == "cold start"]) == 1


def test_the_first_answer_tells_the_phases_of_the_cold_start() -> None:
    with Server() as cold:
        first, second = (predict(cold, CAT.read_bytes()) for _ in range(2))
        (record,) = [record for record in cold.records() if record["message"] == "cold start"]
    found = steps(first)
    assert list(found) == ["queue", "prepare", "execute", "output", *COLD_PHASES]
    assert list(steps(second)) == ["queue", "prepare", "execute", "output"]
    phases = {name.removeprefix("cold-"): ms for name, ms in found.items() if "cold-" in name}
    assert record["cold_start_ms"] == phases
    assert all(ms > 0 for ms in phases.values())
    parts = sum(ms for name, ms in phases.items() if name != "total")
    assert parts <= phases["total"] + 10  # the system tells a process's start in 10 ms steps
    assert record["severity"] == "INFO"


def truncated(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])


def changed(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)


def missing(folder: Path) -> None:
    (folder / "model.onnx").unlink()


@pytest.mark.parametrize("harm", [truncated, changed, missing])
def test_a_damaged_model_is_not_ready_and_never_answers(tmp_path: Path, harm: Any) -> None:
    folder = shutil.copytree(BUNDLED, tmp_path / "efficientnet-lite0")
    toml = (folder / "model.toml").read_text("utf-8")
    (folder / "model.toml").write_text(toml.partition("[[variant]]")[0])  # else one is a spare
    expected = sha256(folder / "model.onnx")
    harm(folder)
    with Server({"ZEROPOINT_MODELS": str(tmp_path)}) as running:
        refusals = [predict(running, CAT.read_bytes()) for _ in range(3)]
        refusals.append(requests.get(running.url + "/readyz", timeout=10))
        alive = requests.get(running.url + "/livez", timeout=10)
        told = [record["message"] for record in running.records() if record["severity"] == "ERROR"]
    for response in refusals:
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "model_unavailable"
        assert int(response.headers["retry-after"]) >= 1
        assert expected not in response.text
    assert alive.status_code == 200
    (line,) = told
    assert "efficientnet-lite0/model.onnx: expected" in line
    assert expected in line
    if harm is not missing:
        assert sha256(folder / "model.onnx") in line


def test_a_repository_without_models_is_not_ready(tmp_path: Path) -> None:
    with Server({"ZEROPOINT_MODELS": str(tmp_path / "nowhere")}) as running:
        assert requests.get(running.url + "/readyz", timeout=10).status_code == 503
        assert predict(running, CAT.read_bytes()).status_code == 503
        assert requests.get(running.url + "/models", timeout=10).json() == {"models": []}


def test_another_model_failing_leaves_the_default_answering(tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    changed(write_colour_model(tmp_path, "broken"))
    with Server({"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_MODEL": "colour"}) as running:
        url = running.url + "/predict/broken"
        assert requests.post(url, data=picture("red"), timeout=10).status_code == 503
        assert predict(running, picture("red")).json()["predictions"][0]["label"] == "red"


def test_it_is_served_from_the_folder_of_the_function() -> None:
    command = (*FRAMEWORK[:2], "main.py", *FRAMEWORK[3:])
    with Server(command=command, cwd=ROOT / "function") as running:
        assert predict(running, CAT.read_bytes()).status_code == 200


def test_the_folder_of_the_function_is_all_that_is_deployed(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    function = shutil.copytree(ROOT / "function", tmp_path / "function", ignore=ignore)
    write_colour_model(function / "model_artifacts")
    command = (*FRAMEWORK[:2], "main.py", *FRAMEWORK[3:])
    # Before what is installed for the tests, so that nothing but the copy gives the package.
    with Server({"PYTHONPATH": str(function)}, command=command, cwd=function) as running:
        assert predict(running, picture("green")).json()["predictions"][0]["label"] == "green"


def test_the_command_serves_too_and_leaves_nothing_in_the_home_folder() -> None:
    command = (sys.executable, "-m", "zeropoint", "serve")
    with Server(command=command, cwd=ROOT / "function") as running:
        assert predict(running, CAT.read_bytes()).status_code == 200
        assert running.stop() == 0
        assert list(running.home.iterdir()) == []


def test_sigterm_ends_it_with_status_0() -> None:
    with Server() as running:
        predict(running, CAT.read_bytes())
        assert running.stop() == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ZEROPOINT_MAX_PIXELS", "many"),
        ("ZEROPOINT_TIMEOUT_S", "0"),
        ("ZEROPOINT_LOGGING", "paper"),
        ("ZEROPOINT_MODELS", "gs://"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(variable: str, value: str) -> None:
    with pytest.raises(RuntimeError, match="it ended at once") as caught, Server({variable: value}):
        pass
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == 1
    assert f"{variable} is '{value}'" in lines[0]


def test_a_phone_photo_in_json_is_answered_like_the_file(server: Server) -> None:
    photo = CAT.read_bytes()
    document = {"instances": [{"b64": base64.b64encode(photo).decode()}]}
    from_json = requests.post(server.url + "/predict", json=document, timeout=60).json()
    assert from_json["predictions"] == predict(server, photo).json()["predictions"]
