"""The pipeline of Apache Beam writes what a local batch writes, whoever its workers are.

Beam's packages do not go with ours, so it is installed in a virtual environment of its own: about
600 MB, in about a minute.
"""

import importlib.util
import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batch.inputs import write_sites, written
from environments import python_with
from servers import ROOT, environment, zeropoint
from storage_server import StorageServer
from tiny_models import picture, write_colour_model

COLOURS = ("red", "green", "blue")
MODELS = str(ROOT / "model_artifacts")
THREADS = ("direct_num_workers=2", "direct_running_mode=multi_threading")
PROCESSES = ("direct_num_workers=2", "direct_running_mode=multi_processing")
# Coverage is begun by hand, as nothing of it is installed in that environment's start.
_MAIN = """\
import os
if any(name.startswith("COVERAGE_") for name in os.environ):
    import coverage
    coverage.process_startup()
from zeropoint.cli import main
main()
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """An interpreter that has Beam."""
    return python_with("beam", ROOT / "tests" / "beam-requirements.txt")


def beam(
    python: Path, home: Path, *arguments: object, runner: str = "DirectRunner", **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Runs a batch by Beam, with a home of its own, where it leaves what it leaves behind."""
    paths = {"PYTHONPATH": str(ROOT / "function"), "TMPDIR": str(home)}
    return subprocess.run(
        [python, "-c", _MAIN, "batch", *map(str, arguments), "--runner", runner],
        cwd=ROOT / "function",
        env=environment(home, {**paths, **variables}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def local(home: Path, *arguments: object, **variables: str) -> list[dict[str, Any]]:
    """Returns the rows of a local batch, sorted by id."""
    out = home / "local"
    done = zeropoint(home, "batch", *map(str, arguments), "--out", str(out), settings=variables)
    assert done.returncode in (0, 3), done.stderr
    return sorted(written(out), key=lambda row: str(row["id"]))


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Returns the rows that Beam wrote, of either kind of file, sorted by id."""
    rows = written(out)
    for file in sorted(out.glob("predictions-*.parquet")):
        for row in pq.read_table(file).to_pylist():
            error = {"code": row["error_code"], "message": row["error_message"]}
            kept = {"prediction": json.loads(row["prediction"])} if row["prediction"] else {}
            rows.append({"id": row["id"], **(kept or {"error": error})})
    return sorted(rows, key=lambda row: str(row["id"]))


def assert_same(rows: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Asserts the same ids, each once, the same predictions and the same errors."""
    assert [row["id"] for row in rows] == [row["id"] for row in wanted]
    for row, other in zip(rows, wanted, strict=True):
        assert row.keys() == other.keys()
        if "error" in row:
            assert row["error"].items() <= other["error"].items()
        else:
            assert close(row["prediction"], other["prediction"]), (row, other)


def close(one: Any, other: Any) -> bool:
    """Tells whether two predictions are the same, their numbers to 1e-6."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, abs_tol=1e-6)
    return bool(one == other)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photos, one of them broken, one in a folder of its own, and another file."""
    write_colour_model(tmp_path / "models")
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(30):
        (folder / f"{number:02}.png").write_bytes(picture(COLOURS[number % 3]))
    (folder / "17.png").write_bytes(picture("red")[:50])
    (folder / "more" / "last.jpg").write_bytes(picture("green", format="JPEG"))
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.mark.parametrize(
    ("form", "options"),
    [("parquet", THREADS), ("jsonl", PROCESSES)],
    ids=["in threads, as Parquet", "in processes"],
)
def test_photos_are_answered_as_by_a_local_batch(
    python: Path, tmp_path: Path, photos: Path, form: str, options: tuple[str, ...]
) -> None:
    variables = {"ZEROPOINT_MODELS": str(tmp_path / "models")}
    wanted = local(tmp_path, photos, "--parameters", '{"top_k": 3}', **variables)
    out = tmp_path / "out"
    chosen = [word for option in options for word in ("--option", option)]
    arguments = [photos, photos / "00.png", "--out", out, "--format", form]
    arguments += ["--parameters", '{"top_k": 3}']
    done = beam(python, tmp_path, *arguments, *chosen, **variables)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("31 rows in ")
    assert "errors: 1 image_broken; in " in done.stdout
    assert_same(rows_of(out), wanted)
    assert {path.suffix for path in out.iterdir()} == {f".{form}"}
    assert not (tmp_path / ".apache_beam").exists()  # it keeps runners that it downloads there


@pytest.mark.parametrize(
    ("form", "options"),
    [("parquet", ()), ("jsonl", PROCESSES)],
    ids=["as Parquet", "in processes"],
)
def test_rows_of_tables_are_answered_as_by_a_local_batch(
    python: Path, tmp_path: Path, form: str, options: tuple[str, ...]
) -> None:
    table = tmp_path / "sites.csv"
    write_sites(table, 10_000)
    lines = table.read_text().splitlines()
    lines[101] = lines[101].replace("0", "7")  # row 101: another category
    lines[4_321] += ",1"  # row 4,321: a value too many
    table.write_text("\n".join(lines))
    more = tmp_path / "more.jsonl"
    names = lines[0].split(",")
    row = json.dumps(dict(zip(names, map(json.loads, lines[1].split(",")), strict=True)))
    more.write_text(f'{row}\n{{"no": \n{{"shoes": 1}}\n{row}\n')
    variables = {"ZEROPOINT_MODELS": MODELS, "ZEROPOINT_MODEL": "phishing"}
    wanted = local(tmp_path, table, more, **variables)
    assert len(wanted) == 10_004
    out = tmp_path / "out"
    chosen = [word for option in options for word in ("--option", option)]
    done = beam(python, tmp_path, table, more, "--out", out, "--format", form, *chosen, **variables)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("10,004 rows in ")
    assert "errors: 2 invalid, 2 malformed; in " in done.stdout
    assert_same(rows_of(out), wanted)


def test_a_batch_without_failed_rows_ends_well_and_is_not_written_over(
    python: Path, tmp_path: Path, photos: Path
) -> None:
    (photos / "17.png").unlink()
    out = tmp_path / "out"
    variables = {"ZEROPOINT_MODELS": str(tmp_path / "models")}
    done = beam(python, tmp_path, photos, "--out", out, "--option", "nonsense=1", **variables)
    assert (done.returncode, done.stdout.split(" in ")[0]) == (0, "30 rows"), done.stderr
    assert "; no errors; in " in done.stdout
    assert "--nonsense=1" in done.stderr  # that Beam does not know it
    before = written(out)
    again = beam(python, tmp_path, photos, "--out", out, **variables)
    assert again.returncode == 1
    assert again.stderr.startswith("zeropoint: expected an OUT without a batch's output")
    assert written(out) == before


def test_what_ends_a_pipeline_is_one_line(python: Path, tmp_path: Path) -> None:
    variables = {"ZEROPOINT_MODELS": MODELS, "ZEROPOINT_MODEL": "phishing"}
    table = tmp_path / "sites.csv"
    write_sites(table, 3)
    arguments = [table, "--out", tmp_path / "out", "--id-column", "no"]
    done = beam(python, tmp_path, *arguments, **variables)
    assert done.returncode == 1
    assert "expected a column no, got none" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("zeropoint: ")
    arguments = [table, "--out", tmp_path / "out", "--parameters", '{"top_k": 1}']
    done = beam(python, tmp_path, *arguments, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("zeropoint: parameters: expected an object with no")


# On Dataflow


class _Metadata(BaseHTTPRequestHandler):
    """What a machine of Google's gives to who runs there: a token, which nobody looks at here."""

    def do_GET(self) -> None:
        answers = {
            "/computeMetadata/v1/project/project-id": "my-project",
            "/computeMetadata/v1/instance/service-accounts/default/": {"email": "a@b.c"},
            "/computeMetadata/v1/instance/service-accounts/default/token": {
                "access_token": "token",
                "expires_in": 3600,
                "token_type": "Bearer",
            },
            "/": "",
        }
        found = answers.get(self.path.split("?")[0])
        text = found if isinstance(found, str) else json.dumps(found)
        self.send_response(404 if found is None else 200)
        self.send_header("Metadata-Flavor", "Google")
        kind = "application/text" if isinstance(found, str) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cloud() -> Iterator[tuple[StorageServer, dict[str, str]]]:
    """Cloud Storage on this machine, and the variables by which Google's clients find it."""
    metadata = ThreadingHTTPServer(("127.0.0.1", 0), _Metadata)
    thread = threading.Thread(target=metadata.serve_forever, args=(0.02,))
    thread.start()
    host = f"127.0.0.1:{metadata.server_address[1]}"
    try:
        with StorageServer() as storage:
            yield (
                storage,
                {
                    "STORAGE_EMULATOR_HOST": storage.url,
                    "GCE_METADATA_HOST": host,
                    "GCE_METADATA_IP": host,
                    "GOOGLE_CLOUD_PROJECT": "my-project",
                },
            )
    finally:
        metadata.shutdown()
        thread.join()
        metadata.server_close()


def test_a_job_for_dataflow_is_described_whole(
    python: Path, tmp_path: Path, photos: Path, cloud: tuple[StorageServer, dict[str, str]]
) -> None:
    """Its description goes to Cloud Storage as a template does, and nothing but that is run."""
    storage, variables = cloud
    for path in photos.glob("*.png"):
        storage.put("data", f"in/{path.name}", path.read_bytes())
    image = "europe-west1-docker.pkg.dev/my-project/zeropoint/worker:1"
    options = {
        "project": "my-project",
        "region": "europe-west1",
        "temp_location": "gs://data/temp",
        "template_location": "gs://data/template.json",
        "sdk_container_image": image,
        "max_num_workers": "20",
        "machine_type": "n2-standard-4",
    }
    chosen = [word for pair in options.items() for word in ("--option", "=".join(pair))]
    models = {"ZEROPOINT_MODELS": str(tmp_path / "models")}
    out = tmp_path / "out"
    done = beam(
        python,
        tmp_path,
        *("gs://data/in", "--out", out, "--parameters", '{"top_k": 1}', *chosen),
        runner="DataflowRunner",
        **models,
        **variables,
    )
    assert (done.returncode, done.stdout) == (0, "the job is described, and was not run\n"), (
        done.stderr
    )
    described = json.loads(storage.objects("data")["template.json"])["environment"]
    (pool,) = described["workerPools"]
    assert [one["containerImage"] for one in pool["sdkHarnessContainerImages"]] == [image]
    assert pool["machineType"] == "n2-standard-4"
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 20
    told = described["sdkPipelineOptions"]["options"]
    assert {name: str(told[name]) for name in ("project", "region")} == {
        "project": "my-project",
        "region": "europe-west1",
    }
    graph = storage.objects("data")[told["pipelineUrl"].removeprefix("gs://data/")]
    assert b"in/00.png" not in graph  # a worker finds the files: a description has a size limit
    assert not out.exists()

    ran = run_graph(python, tmp_path, told["pipelineUrl"], variables)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["images"] == [image]
    names = {name.split("/")[0] for name in found["transforms"]}
    assert {"inputs", "find files", "spread files", "read", "spread rows"} <= names
    assert {"answer", "count", "write"} <= names
    wanted = local(tmp_path, photos, "--parameters", '{"top_k": 1}', **models)
    for row in wanted:
        row["id"] = row["id"].replace(f"{photos}/", "gs://data/in/")
    assert_same(rows_of(out), [row for row in wanted if "/more/" not in row["id"]])

    manifest = tmp_path / "models" / "colour" / "model.toml"
    manifest.write_text(manifest.read_text().replace('version = "1"', 'version = "2"'))
    ran = run_graph(python, tmp_path, told["pipelineUrl"], variables)
    assert ran.returncode == 1
    assert "expected the model that the batch was begun with, got another" in ran.stderr


def run_graph(
    python: Path, home: Path, graph: str, variables: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Runs the graph of a staged job to its end."""
    paths = {"PYTHONPATH": str(ROOT / "function"), "TMPDIR": str(home)}
    return subprocess.run(
        [python, Path(__file__).with_name("beam_graph.py"), graph],
        cwd=home,
        env=environment(home, {**paths, **variables}, measured=False),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_option_that_lacks_is_told_before_anything_runs(
    python: Path, tmp_path: Path, photos: Path
) -> None:
    done = beam(
        python,
        tmp_path,
        *(photos, "--out", tmp_path / "out"),
        runner="DataflowRunner",
        ZEROPOINT_MODELS=str(tmp_path / "models"),
    )
    assert done.returncode == 1
    assert "zeropoint: --option: " in done.stderr
    assert "Missing required option: project" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("apache_beam") is not None, reason="it is installed")
def test_without_beam_one_line_says_what_to_install(tmp_path: Path, photos: Path) -> None:
    done = zeropoint(
        tmp_path,
        *("batch", str(photos), "--out", str(tmp_path / "out"), "--runner", "DirectRunner"),
        settings={"ZEROPOINT_MODELS": str(tmp_path / "models")},
    )
    said = "zeropoint: --runner needs Apache Beam: pip install 'zeropoint[beam]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize("more", [("--format", "parquet"), ("sites.parquet",)])
def test_without_pyarrow_one_line_says_what_to_install(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    write_sites(tmp_path / "sites.csv", 1)
    (tmp_path / "sites.parquet").write_bytes(b"PAR1")
    hidden = "import sys; sys.modules['pyarrow'] = None; from zeropoint.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "batch", "sites.csv", "--out", "out", *more],
        cwd=tmp_path,
        env=environment(
            tmp_path,
            {
                "PYTHONPATH": str(ROOT / "function"),
                "ZEROPOINT_MODELS": MODELS,
                "ZEROPOINT_MODEL": "phishing",
            },
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = "zeropoint: Parquet needs pyarrow: pip install 'zeropoint[batch]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
