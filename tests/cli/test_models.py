"""zeropoint models: listed, updated and rolled back, as people type it; and who reads them then."""

import json
import subprocess
from pathlib import Path

import pytest
import requests

from batch.inputs import written
from releases import kept, version_of, write_release
from servers import Server, zeropoint
from storage_server import StorageServer
from tiny_models import picture
from zeropoint.cli.optimize import opened
from zeropoint.optimize.writing import workshop
from zeropoint.settings import Settings
from zeropoint.versions import Versions

SETTINGS = Settings(cpus=1)
RUNNING = "A running server keeps what it has loaded until it starts again"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with the version 1 of ``colour``; versions 2 and 3 lie beside it."""
    write_release(tmp_path / "models", "1")
    for version in "23":
        write_release(tmp_path / version, version)
    return tmp_path / "models"


def command(
    models: Path, *arguments: object, **variables: str
) -> "subprocess.CompletedProcess[str]":
    settings = {"ZEROPOINT_MODELS": str(models), **variables}
    return zeropoint(models.parent, *map(str, arguments), settings=settings)


def said(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_model_is_updated_and_rolled_back(models: Path) -> None:
    first, second = said(command(models, "models", "update", models.parent / "2" / "colour"))
    assert first == "ok    colour 2 is the current version"
    assert second.startswith(RUNNING)
    (line,) = said(command(models, "models"))
    assert line.startswith("colour  2  image-classification  CC0-1.0  sha256:")
    again = said(command(models, "models", "update", models.parent / "2", "--name", "colour"))
    assert again == ["colour: nothing to do, it is the current version"]
    rows = said(command(models, "models", "versions", "colour"))
    assert [row.split("  ")[:2] for row in rows] == [["0", "1"], ["1", "2"]]
    assert rows[0].endswith("  rollback goes here")
    assert rows[1].endswith("  current")
    first, second = said(command(models, "models", "rollback", "colour"))
    assert first == "ok    colour 1 is the current version again"
    assert second.startswith(RUNNING)
    listed = json.loads(command(models, "models", "versions", "colour", "--json").stdout)
    assert [(row["number"], row["current"]) for row in listed] == [(0, True), (1, False)]
    assert version_of(models) == "1"


def test_a_refusal_is_one_line(models: Path) -> None:
    (models.parent / "2" / "colour" / "labels.txt").write_text("a\nb\nc\n")
    before = kept(models)
    for arguments, expected in (
        (("update", models.parent / "2"), "zeropoint: colour/labels.txt: expected sha256 "),
        (("update", models.parent / "absent"), "expected a model, got none"),
        (("rollback", "colour"), "expected a version before the current one, got none"),
        (("versions", "absent"), "expected a model absent, got none"),
    ):
        done = command(models, "models", *arguments)
        assert done.returncode == 1
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert done.stdout == ""
    assert kept(models) == before


def test_a_running_server_keeps_its_version_until_it_starts_again(models: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(models)}

    def answers(server: Server, version: str) -> None:
        answer = requests.post(server.url + "/predict", data=picture("blue"), timeout=30)
        body = answer.json()
        assert body["predictions"][0]["label"] == f"blue-{version}"
        assert body["version"] == version
        described = requests.get(server.url + "/models/colour", timeout=30).json()
        assert described["version"] == version

    with Server(settings) as server:
        server.wait_until_ready()
        answers(server, "1")
        for version in "23":
            said(command(models, "models", "update", models.parent / version))
            answers(server, "1")
    with Server(settings) as server:
        server.wait_until_ready()
        answers(server, "3")
        began = (models / "colour" / ".current").resolve()
        for arguments in (("rollback", "colour"), ("update", models.parent / "3")):
            said(command(models, "models", *arguments))
        assert not began.exists()
        answers(server, "3")
    said(command(models, "models", "rollback", "colour"))
    with Server({"ZEROPOINT_MODELS": str(models / "colour")}) as server:
        server.wait_until_ready()
        answers(server, "2")


def test_every_command_takes_the_current_version(models: Path, tmp_path: Path) -> None:
    said(command(models, "models", "update", models.parent / "2"))
    photo = tmp_path / "photos" / "green.png"
    photo.parent.mkdir()
    photo.write_bytes(picture("green"))
    (line,) = said(command(models, "check"))
    assert line.startswith("ok    colour 2  ")
    assert "green-2" in command(models, "predict", photo).stdout
    said(command(models, "batch", photo.parent, "--out", tmp_path / "out"))
    assert written(tmp_path / "out")[0]["prediction"]["label"] == "green-2"
    first = (models / "colour" / "model.toml").read_bytes()
    said(command(models, "tune", "colour", "--most", "1", "--write"))
    assert (models / "colour" / "model.toml").read_bytes() == first
    assert "max_batch" in (models / "colour" / ".current" / "model.toml").read_text()
    model = models / "colour" / ".current" / "model.onnx"
    options = ("--name", "alike", "--like", "colour", "--input", photo, "--into", models)
    assert command(models, "new", model, *options).returncode == 0
    assert (models / "alike" / "labels.txt").read_text() == "red-2\ngreen-2\nblue-2\n"
    assert version_of(models) == "2"


def test_an_optimization_is_of_the_current_version(models: Path) -> None:
    said(command(models, "models", "update", models.parent / "2"))
    current = (models / "colour" / ".current").resolve()
    for asked in ("colour", str(models / "colour")):
        repository, name = opened(asked, Settings(models=str(models)))
        folder = repository.manifest_path(name).parent
        assert folder.resolve() == current
        with workshop(folder) as work:  # from which files are moved into the folder
            assert work.parent == current.parent
            assert [row.version for row in Versions(repository, name, SETTINGS).known()] == [*"12"]


def test_an_update_may_come_from_a_bucket_but_not_go_to_one(models: Path) -> None:
    with StorageServer() as storage:
        for path in (models.parent / "2" / "colour").iterdir():
            storage.put("bucket", f"models/colour/{path.name}", path.read_bytes())
        place = {"STORAGE_EMULATOR_HOST": storage.url}
        said(command(models, "models", "update", "gs://bucket/models", **place))
        assert version_of(models) == "2"
        place["ZEROPOINT_MODELS"] = "gs://bucket/models"
        done = zeropoint(models.parent, "models", "update", str(models / "colour"), settings=place)
        assert done.returncode == 1
        assert "expected a repository of this machine, got gs://bucket/models" in done.stderr


def test_the_help_has_examples_and_options_stay_where_they_belong(models: Path) -> None:
    done = command(models, "models", "--help")
    for verb in ("update", "rollback", "versions", "--json"):
        assert verb in done.stdout
    assert "zeropoint models update gs://" in command(models, "models", "update", "--help").stdout
    done = command(models, "models", "--json", "rollback", "colour")
    assert done.returncode == 2
    assert "expected --json after rollback" in done.stderr
