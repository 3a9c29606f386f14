"""The main job, on real server processes: a photo in, a labelled answer out, from a cold start.

What goes wrong with a start or a model is in tests/conformance.
"""

import base64
import shutil
import sys
from pathlib import Path

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


def test_a_repository_without_models_is_not_ready(tmp_path: Path) -> None:
    with Server({"ZEROPOINT_MODELS": str(tmp_path / "nowhere")}) as running:
        assert requests.get(running.url + "/readyz", timeout=10).status_code == 503
        assert predict(running, CAT.read_bytes()).status_code == 503
        assert requests.get(running.url + "/models", timeout=10).json() == {"models": []}


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


def test_a_phone_photo_in_json_is_answered_like_the_file(server: Server) -> None:
    photo = CAT.read_bytes()
    document = {"instances": [{"b64": base64.b64encode(photo).decode()}]}
    from_json = requests.post(server.url + "/predict", json=document, timeout=60).json()
    assert from_json["predictions"] == predict(server, photo).json()["predictions"]
