"""zeropoint batch: every row once, in order, whatever is in it and whatever ends the command."""

import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import requests

from batch.inputs import write_sites, written
from servers import ROOT, Server, environment, zeropoint
from storage_server import StorageServer
from test_draining import wait_for
from tiny_models import picture, write_colour_model, write_slow_model

COLOURS = ("red", "green", "blue")
_KILLS = int(os.environ.get("ZEROPOINT_KILLS", "8"))
PHISHING = {"ZEROPOINT_MODELS": str(ROOT / "model_artifacts"), "ZEROPOINT_MODEL": "phishing"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photos, one of them broken, one in a folder of its own, and other files."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(40):
        (folder / f"{number:02}.png").write_bytes(picture(COLOURS[number % 3]))
    (folder / "17.png").write_bytes(b"no photo")
    (folder / "more" / "last.jpg").write_bytes(picture("green", format="JPEG"))
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.png").write_bytes(b"no photo")
    return folder


def batch(home: Path, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    settings = {"ZEROPOINT_MODELS": str(home / "models"), "ZEROPOINT_MODEL": "colour", **variables}
    return zeropoint(home, "batch", *map(str, arguments), settings=settings)


def text_of(out: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(out.glob("predictions-*")))


def rows_of(done: "subprocess.CompletedProcess[str]", out: Path, status: int) -> list[Any]:
    assert (done.returncode, done.stderr) == (status, ""), done.stderr
    return written(out)


def test_photos_are_rows_in_the_order_of_their_names(tmp_path: Path, photos: Path) -> None:
    write_colour_model(tmp_path / "models")
    out = tmp_path / "out"
    done = batch(tmp_path, photos, "--out", out)
    rows = rows_of(done, out, 3)
    names = [*(f"{number:02}.png" for number in range(40)), "more/last.jpg"]
    assert [row["id"] for row in rows] == [f"{photos}/{name}" for name in names]
    labels = [row["prediction"]["label"] for row in rows if "prediction" in row]
    assert labels == [*(COLOURS[n % 3] for n in range(40) if n != 17), "green"]
    assert done.stdout.startswith("41 rows in ")
    assert "errors: 1 unsupported_media; 1 file in" in done.stdout
    with Server({"ZEROPOINT_MODELS": str(tmp_path / "models")}) as server:
        server.wait_until_ready()
        broken = (photos / "17.png").read_bytes()
        said = requests.post(server.url + "/predict", data=broken, timeout=10).json()
        good = requests.post(server.url + "/predict", data=picture("red"), timeout=10).json()
    assert rows[17]["error"] == said["error"]
    assert rows[0]["prediction"] == good["predictions"][0]


def test_rows_of_a_table_are_answered_as_a_server_answers_them(tmp_path: Path) -> None:
    table = tmp_path / "sites.csv"
    write_sites(table, 5_000)
    lines = table.read_text().splitlines()
    lines[101] = lines[101].replace("0", "7")  # row 101: another category
    lines[4_321] += ",1"  # row 4,321: a value too many
    table.write_text("\n".join(lines))
    out = tmp_path / "out"
    rows = rows_of(batch(tmp_path, table, "--out", out, **PHISHING), out, 3)
    assert [row["id"] for row in rows] == [f"{table}#{number}" for number in range(1, 5_001)]
    failed = {number: row["error"] for number, row in enumerate(rows, 1) if "error" in row}
    assert {number: one["code"] for number, one in failed.items()} == {
        101: "invalid",
        4_321: "malformed",
    }
    names = lines[0].split(",")
    some = [1, 99, 101, 102, 2_500, 5_000]
    with Server(PHISHING) as server:
        server.wait_until_ready()
        for number in some:
            values = [json.loads(value) for value in lines[number].split(",")]
            body = {"instances": [dict(zip(names, values, strict=True))]}
            said = requests.post(server.url + "/predict", json=body, timeout=10).json()
            if number in failed:
                assert failed[number] == said["error"]
            else:
                told = rows[number - 1]["prediction"]
                assert told["label"] == said["predictions"][0]["label"]
                assert told["probability"] == pytest.approx(said["predictions"][0]["probability"])


@pytest.mark.parametrize("name", ["sites.jsonl", "sites.jsonl.gz", "sites.csv.gz", "sites.parquet"])
def test_the_files_kind_changes_nothing(tmp_path: Path, name: str) -> None:

    table = tmp_path / "sites.csv"
    write_sites(table, 300)
    read = pa_csv.read_csv(table)
    if name.endswith(".parquet"):
        pq.write_table(read, tmp_path / name)
    else:
        text = table.read_text()
        if ".jsonl" in name:
            text = "".join(json.dumps(row) + "\n" for row in read.to_pylist())
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    first = rows_of(batch(tmp_path, table, "--out", tmp_path / "a", **PHISHING), tmp_path / "a", 0)
    done = batch(tmp_path, tmp_path / name, "--out", tmp_path / "b", **PHISHING)
    other = rows_of(done, tmp_path / "b", 0)
    assert [row["prediction"] for row in other] == [row["prediction"] for row in first]


def test_parquet_has_a_column_for_each_part_of_a_row(tmp_path: Path, photos: Path) -> None:
    write_colour_model(tmp_path / "models")
    options = ("--out", tmp_path / "out", "--format", "parquet", "--shard-rows", 20)
    assert batch(tmp_path, photos, *options).returncode == 3
    files = sorted((tmp_path / "out").glob("predictions-*.parquet"))
    tables = [pq.read_table(file) for file in files]
    assert [table.num_rows for table in tables] == [32, 9]  # whole chunks
    rows = [row for table in tables for row in table.to_pylist()]
    assert list(rows[0]) == ["id", "prediction", "error_code", "error_message"]
    assert json.loads(rows[0]["prediction"])["label"] == "red"
    assert (rows[17]["prediction"], rows[17]["error_code"]) == (None, "unsupported_media")
    assert sum(row["error_code"] is None for row in rows) == 40


def test_parameters_and_the_column_of_ids(tmp_path: Path) -> None:
    write_colour_model(tmp_path / "models")
    (tmp_path / "red.png").write_bytes(picture("red"))
    done = batch(
        tmp_path, tmp_path / "red.png", "--out", tmp_path / "a", "--parameters", '{"top_k": 3}'
    )
    (row,) = rows_of(done, tmp_path / "a", 0)
    assert len(row["prediction"]["top"]) == 3
    table = tmp_path / "sites.csv"
    write_sites(table, 10)
    head, *lines = table.read_text().splitlines()
    named = [f"key,{head}", *(f"site-{number},{line}" for number, line in enumerate(lines))]
    table.write_text("\n".join(named))
    out = tmp_path / "b"
    done = batch(tmp_path, table, "--out", out, "--id-column", "key", **PHISHING)
    assert [row["id"] for row in rows_of(done, out, 0)] == [f"site-{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "expected files in nowhere, got none"),
        (["*.bmp"], r"expected files in \*\.bmp, got none"),
        (["sites.csv", "--id-column", "no"], "sites.csv: expected a column no, got none"),
        (["sites.csv", "--parameters", '{"top_k": 1}'], "parameters: expected an object with no"),
        (["sites.csv", "--parameters", "{"], "expected a JSON object"),
        (["sites.csv", "--option", "project=p"], "expected --runner beside it"),
        (["cat.jpg"], "expected .jsonl, .ndjson, .csv, .parquet"),
        (["."], "expected files that end in .jsonl"),
        (["sites.csv", "--model", "no"], "expected a model no, got none"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_sites(tmp_path / "sites.csv", 3)
    (tmp_path / "cat.jpg").write_bytes(b"")
    if arguments == ["."]:
        (tmp_path / "sites.csv").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "zeropoint", "batch", *arguments, "--out", "out"],
        cwd=tmp_path,
        env=environment(tmp_path, PHISHING),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) < 6
    assert "Traceback" not in done.stderr
    assert said.replace("\\", "") in done.stderr
    assert not list(tmp_path.glob("out/predictions*"))


# After a stop


def started(home: Path, *arguments: object, **variables: str) -> "subprocess.Popen[str]":
    settings = {"ZEROPOINT_MODELS": str(home / "models"), **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "zeropoint", "batch", *map(str, arguments)],
        env=environment(home, settings, measured=False),  # that it starts as quickly as it does
        cwd=ROOT / "function",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_told_to_stop_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    write_slow_model(tmp_path / "models")
    lines = tmp_path / "turns.jsonl"
    lines.write_text("1\n" * 3_000)
    out = tmp_path / "out"
    variables = {"ZEROPOINT_MODEL": "slow", "ZEROPOINT_CPUS": "1"}
    with started(tmp_path, lines, "--out", out, "--shard-rows", 100, **variables) as process:
        wait_for((out / "_journal.json").exists)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "interrupted: " in said
    assert "--resume" in said
    before = written(out)
    assert 0 < len(before) < 3_000
    done = batch(tmp_path, lines, "--out", out, "--resume", **variables)
    rows = rows_of(done, out, 0)
    assert rows[: len(before)] == before
    assert [row["id"] for row in rows] == [f"{lines}#{n}" for n in range(1, 3_001)]


def test_after_any_kill_no_row_is_missing_or_double(tmp_path: Path) -> None:
    table = tmp_path / "sites.csv"
    write_sites(table, 200_000)
    once, out = tmp_path / "once", tmp_path / "out"
    options = ("--shard-rows", 5_000)
    assert batch(tmp_path, table, "--out", once, *options, **PHISHING).returncode == 0
    wanted = text_of(once)
    chance = random.Random(0)  # noqa: S311 - the same moments at each run
    kills = resumed = 0
    while kills < _KILLS or resumed < 3:
        assert kills < 100
        resume = ["--resume"] if (out / "_journal.json").exists() else []
        with started(tmp_path, table, "--out", out, *options, *resume, **PHISHING) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.2, 0.9))
            process.kill()
            process.communicate()
        if process.returncode == 0:
            assert text_of(out) == wanted
            shutil.rmtree(out)
        else:
            assert process.returncode == -signal.SIGKILL
            kills += 1
            resumed += bool(resume)
    done = batch(tmp_path, table, "--out", out, *options, "--resume", **PHISHING)
    assert done.returncode == 0, done.stderr
    assert text_of(out) == wanted
    left = [path.name for path in out.iterdir()]
    assert {
        name for name in left if not name.startswith(("predictions-", "_journal.json"))
    } == set()


def test_results_are_not_written_over(tmp_path: Path, photos: Path) -> None:
    write_colour_model(tmp_path / "models")
    out = tmp_path / "out"
    assert batch(tmp_path, photos, "--out", out).returncode == 3
    before = written(out)
    again = batch(tmp_path, photos, "--out", out)
    assert again.returncode == 1
    assert "expected an OUT without a batch's output" in again.stderr
    resumed = batch(tmp_path, photos, "--out", out, "--resume")
    assert resumed.returncode == 3
    assert f"41 rows, all there are, in {out} already" in resumed.stderr
    other = batch(tmp_path, photos, "--out", out, "--resume", "--parameters", '{"top_k": 1}')
    assert "expected the job that OUT is of, got another parameters" in other.stderr
    (photos / "41.png").write_bytes(picture("red"))
    other = batch(tmp_path, photos, "--out", out, "--resume")
    assert "expected the job that OUT is of, got another input" in other.stderr
    assert written(out) == before


# As tasks of a job


def test_the_tasks_of_a_job_share_the_rows(tmp_path: Path, photos: Path) -> None:
    write_colour_model(tmp_path / "models")
    once, out = tmp_path / "once", tmp_path / "out"
    batch(tmp_path, photos, "--out", once)
    for attempt in ("0", "1", "0"):  # done, tried again, and in another execution
        for index in range(4):
            task = {
                "CLOUD_RUN_TASK_INDEX": str(index),
                "CLOUD_RUN_TASK_COUNT": "4",
                "CLOUD_RUN_TASK_ATTEMPT": attempt,
            }
            assert batch(tmp_path, photos, "--out", out, **task).returncode in (0, 3)
        rows = written(out)
        assert sorted(rows, key=lambda row: row["id"]) == sorted(
            written(once), key=lambda row: row["id"]
        )
        names = Counter(path.name[: len("predictions-00000-of-00004")] for path in out.iterdir())
        assert [names[f"predictions-{index:05}-of-00004"] for index in range(4)] == [1] * 4


def test_a_bucket_is_read_and_written_as_a_folder_is(tmp_path: Path, photos: Path) -> None:
    write_colour_model(tmp_path / "models")
    once = tmp_path / "once"
    batch(tmp_path, photos, "--out", once)
    with StorageServer() as storage:
        for path in photos.rglob("*.*"):
            storage.put("data", f"in/{path.relative_to(photos)}", path.read_bytes())
        storage.put("data", "in-other/no.png", b"")
        cloud = {
            "STORAGE_EMULATOR_HOST": storage.url,
            "GOOGLE_CLOUD_PROJECT": "p",
        }
        done = batch(
            tmp_path, "gs://data/in", "--out", "gs://data/out/a", "--shard-rows", 20, **cloud
        )
        assert done.returncode == 3, done.stderr
        stored = storage.objects("data")
        files = sorted(name for name in stored if name.startswith("out/a/predictions"))
        assert len(files) == 2
        rows = [json.loads(line) for name in files for line in stored[name].splitlines()]
        wanted = [json.dumps(row).replace(f"{photos}/", "gs://data/in/") for row in written(once)]
        assert [json.dumps(row) for row in rows] == wanted
        assert json.loads(stored["out/a/_journal.json"])["done"] is True
        done = batch(tmp_path, "gs://data/in/*.jpg", "--out", "gs://data/out/b", **cloud)
        assert "expected files in gs://data/in/*.jpg, got none" in done.stderr
        done = batch(tmp_path, "gs://data/in/**/*.jpg", "--out", "gs://data/out/b", **cloud)
        assert done.stdout.startswith("1 row in "), done.stderr
        storage.fail_next("GET /download", 503, 1000)
        done = batch(
            tmp_path, "gs://data/in", "--out", "gs://data/out/c", ZEROPOINT_TIMEOUT_S="2", **cloud
        )
        assert done.returncode == 1
