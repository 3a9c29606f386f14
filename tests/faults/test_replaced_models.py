"""A model replaced on disk while it is served: an answer is one release's or the other's, whole."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from servers import ROOT, Server, environment
from soak.weights import write_weighty_model
from tiny_models import sha256

SECONDS = 3.0
# Looks again and again at a file that its parent writes over.
LOOK = """
import sys, time
from pathlib import Path
from zeropoint import external_data, protobuf
from zeropoint.errors import ArtifactError
path, until_s = Path(sys.argv[1]), time.monotonic() + 2.0
print("ready", flush=True)
while time.monotonic() < until_s:
    try:
        external_data.refuse(path)
        protobuf.metadata(path)
    except ArtifactError:
        pass
"""


def releases(tmp_path: Path) -> dict[str, tuple[float, str]]:
    """Writes two releases of the model ``scale``; returns the factor and the digest of each.

    Both have one known answer, so that nothing but the digest tells a file from the other's.
    """
    found: dict[str, tuple[float, str]] = {}
    for version, factor in (("1", 3), ("2", 5)):
        write_weighty_model(tmp_path / version, "scale", factor, known=0.0)
        manifest = tmp_path / version / "scale" / "model.toml"
        text = manifest.read_text().replace('version = "1"', f'version = "{version}"')
        manifest.write_text(text)
        found[version] = (factor, f"sha256:{sha256(manifest.with_name('model.onnx'))}")
    return found


def relinked(models: Path, release: Path) -> None:
    """Replaces the folder in one step."""
    (models / "new").symlink_to(release)
    os.replace(models / "new", models / "scale")


def rewritten(models: Path, release: Path) -> None:
    """Replaces the files one after the other, each written over in its place."""
    for path in release.glob("model.*"):
        data = path.read_bytes()
        with (models / "scale" / path.name).open("wb") as file:  # which cuts it to nothing first
            for start in range(0, len(data), 1 << 20):
                file.write(data[start : start + (1 << 20)])
                file.flush()
        time.sleep(0.2)  # meanwhile the folder is of both


@pytest.mark.parametrize("replace", [relinked, rewritten])
def test_no_answer_is_of_two_releases(
    tmp_path: Path, replace: Callable[[Path, Path], None]
) -> None:
    known = releases(tmp_path)
    models = tmp_path / "models"
    write_weighty_model(models, "other", 7)
    if replace is relinked:
        relinked(models, tmp_path / "1" / "scale")
    else:
        shutil.copytree(tmp_path / "1" / "scale", models / "scale")
    size_bytes = (models / "other" / "model.onnx").stat().st_size
    settings = {
        "ZEROPOINT_MODELS": str(models),
        "ZEROPOINT_MODEL": "other",
        "ZEROPOINT_MAX_LOADED_BYTES": str(size_bytes * 3 // 2),
    }
    seen: Counter[str] = Counter()
    ended = threading.Event()

    def call(server: Server, name: str) -> Any:
        url = f"{server.url}/predict/{name}"
        answer = requests.post(url, json={"instances": [[2.0]]}, timeout=30)
        if answer.status_code == 503:
            assert answer.json()["error"]["code"] == "model_unavailable"
            return None
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return body["version"], body["predictions"][0]["y"][0] / 2.0, body["digest"]

    def watch(server: Server) -> None:
        until_s = time.monotonic() + SECONDS
        while time.monotonic() < until_s:
            found = call(server, "scale")
            seen[found[0] if found else "refused"] += 1
            assert found is None or known[found[0]] == found[1:]
            described = requests.get(f"{server.url}/models/scale", timeout=30)
            assert described.status_code in (200, 503), described.text
            found = call(server, "other")
            assert found is None or found[1] == 7.0

    def swap() -> None:
        number = 0
        while not ended.wait(0.1):
            number += 1
            replace(models, tmp_path / "12"[number % 2] / "scale")

    with Server(settings) as server, ThreadPoolExecutor(3) as pool:
        server.wait_until_ready()
        swaps = pool.submit(swap)
        try:
            for watched in [pool.submit(watch, server) for _ in range(2)]:
                watched.result()
        finally:
            ended.set()
        swaps.result()
        replace(models, tmp_path / "2" / "scale")
        wait_for_release(lambda: call(server, "scale"), lambda: call(server, "other"))
        errors = [one for one in server.records() if one["severity"] == "ERROR"]
        assert server.process.poll() is None
    print(f"\n{dict(seen)}, told: {[one['message'] for one in errors]}")
    assert seen["1"] + seen["2"] > 0
    for one in errors:  # a line each, with what was wrong
        assert "stack_trace" not in one, json.dumps(one, indent=1)


def wait_for_release(call: Callable[[], Any], call_other: Callable[[], Any]) -> None:
    """Waits until the second release answers, once the first has made room."""
    until_s = time.monotonic() + 60
    while not (found := call()) or found[0] != "2":
        assert time.monotonic() < until_s
        call_other()
        time.sleep(0.2)


def test_a_model_that_is_in_memory_stays_what_it_was(tmp_path: Path) -> None:
    known = releases(tmp_path)
    models = tmp_path / "models"
    models.mkdir()
    relinked(models, tmp_path / "1" / "scale")
    with Server({"ZEROPOINT_MODELS": str(models)}) as server:
        server.wait_until_ready()
        for gone in (False, True):
            if gone:
                (models / "scale").unlink()
            else:
                relinked(models, tmp_path / "2" / "scale")
            answer = requests.post(server.url + "/predict", json={"instances": [[2.0]]}, timeout=30)
            body = answer.json()
            assert (body["version"], body["digest"]) == ("1", known["1"][1])
            assert body["predictions"] == [{"y": [6.0]}]
            assert requests.get(server.url + "/readyz", timeout=30).ok


def test_a_file_that_shrinks_while_it_is_looked_at_does_not_end_the_process(
    tmp_path: Path,
) -> None:
    """As it would where the file is mapped into memory and a page of it is gone."""
    path = tmp_path / "model.onnx"
    data = bytes(8 << 20)
    path.write_bytes(data)
    looking = subprocess.Popen(
        [sys.executable, "-c", LOOK, str(path)],
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT / "function")}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert looking.stdout
    assert looking.stdout.readline() == "ready\n"
    while looking.poll() is None:
        path.write_bytes(data)  # which cuts it to nothing first
    _, problem = looking.communicate(timeout=30)
    assert (looking.returncode, problem) == (0, "")
