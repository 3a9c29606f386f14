"""A long batch: one machine, the tasks of a job, and every row once in each.

In the short form it has few rows; `make soak` has 5,000 photos and a million rows.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batch.inputs import write_photos, write_sites, written
from servers import ROOT, environment
from soak.process import SOAK_S

_PHOTOS, _ROWS = (5_000, 1_000_000) if SOAK_S else (40, 20_000)
_TASKS = 4


def batch(home: Path, *arguments: object, **variables: str) -> None:
    settings = {"ZEROPOINT_MODELS": str(ROOT / "model_artifacts"), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "zeropoint", "batch", *map(str, arguments)],
        env=environment(home, settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    print(done.stdout.strip())
    assert (done.returncode, done.stderr) == (0, "")


def told(rows: list[dict[str, Any]]) -> dict[str, tuple[str, float]]:
    found = {row["id"]: row["prediction"] for row in rows}
    assert len(found) == len(rows)  # no id twice
    return {key: (one["label"], one["probability"]) for key, one in found.items()}


@pytest.mark.parametrize("model", ["efficientnet-lite0", "phishing"])
def test_the_tasks_of_a_job_answer_what_one_machine_does(tmp_path: Path, model: str) -> None:
    if model == "phishing":
        source, count = tmp_path / "sites.csv", _ROWS
        write_sites(source, count)
    else:
        source, count = tmp_path / "photos", _PHOTOS
        write_photos(source, count)
    batch(tmp_path, source, "--out", tmp_path / "one", "--model", model)
    for index in range(_TASKS):
        task = {"CLOUD_RUN_TASK_INDEX": str(index), "CLOUD_RUN_TASK_COUNT": str(_TASKS)}
        batch(tmp_path, source, "--out", tmp_path / "many", "--model", model, **task)
    one = told(written(tmp_path / "one"))
    assert len(one) == count
    many = told(written(tmp_path / "many"))
    assert many.keys() == one.keys()
    for key, (label, probability) in one.items():
        assert many[key][0] == label
        assert many[key][1] == pytest.approx(probability, abs=1e-6)
