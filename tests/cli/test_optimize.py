"""zeropoint optimize and zeropoint check --deep, as people type them."""

import hashlib
import json
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from servers import ROOT, environment, zeropoint
from tiny_candidates import graph, save, write_artifact, write_photos
from tiny_models import sha256

_WAIT_S = 60.0
_MARKED = "# A card\n\n<!-- optimized -->\nsoon\n<!-- /optimized -->\n"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos, and one file that is none."""
    folder = write_photos(tmp_path_factory.mktemp("samples") / "photos")
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository of one model, whose file is larger than it has to be."""
    folder = write_artifact(tmp_path / "models", ballast=100_000)
    (folder / "card.md").write_text(_MARKED)
    return tmp_path / "models"


def tree(folder: Path) -> dict[str, str]:
    """Returns the digests of all files below a folder, and the names of the folders."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            path.read_bytes() if path.is_file() else b""
        ).hexdigest()
        for path in folder.rglob("*")
    }


def test_it_writes_the_winner_and_a_deep_check_holds_it_to_its_gate(
    tmp_path: Path, models: Path, photos: Path
) -> None:
    settings, folder = {"ZEROPOINT_MODELS": str(models)}, models / "channels"
    asked = ("optimize", "channels", "--samples", str(photos), "--only", "baked,folded")
    done = zeropoint(tmp_path, *asked, settings=settings)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "40 samples (1 refused, 0 doubles), 10 for calibration" in done.stdout
    assert done.stderr == ""
    toml = (folder / "model.toml").read_text()
    assert "# the end" in toml
    values = tomllib.loads(toml)
    (variant,) = values["variant"]
    assert variant["name"] in ("baked", "folded")
    assert f"{variant['name']} wins" in done.stdout
    assert variant["file"]["sha256"] == sha256(folder / variant["file"]["path"])
    assert values["gate"]["metric"] == "top-1 agreement"
    told = json.loads((folder / "report" / "report.json").read_text())
    assert told["winner"] == variant["name"]
    assert str(tmp_path) not in json.dumps(told)
    assert (folder / "report" / "report.md").read_text().startswith("# channels 1, optimized")
    assert (folder / "report" / "plot.svg").read_bytes().startswith(b"<?xml")
    assert f"| **{variant['name']}** |" in (folder / "card.md").read_text()
    assert sorted(path.name for path in models.iterdir()) == ["channels"]

    deep = ("check", "channels", "--deep", "--samples", str(photos))
    checked = zeropoint(tmp_path, *deep, settings=settings)
    assert checked.returncode == 0, checked.stdout
    assert f"ok    channels 1 as {variant['name']}" in checked.stdout
    assert f"{variant['name']}, 0.00 points of top-1 agreement lost of at most 1" in checked.stdout

    wrong = save(graph(shift=1), folder / variant["file"]["path"])
    (folder / "model.toml").write_text(toml.replace(variant["file"]["sha256"], sha256(wrong)))
    failed = zeropoint(tmp_path, *deep, settings=settings)
    assert failed.returncode == 1
    assert "100.00 points worse" in failed.stdout


def test_a_copy_is_written_elsewhere(tmp_path: Path, models: Path, photos: Path) -> None:
    before = tree(models)
    output = tmp_path / "out" / "channels"
    asked = ("optimize", str(models / "channels"), "--samples", str(photos), "--only", "baked")
    done = zeropoint(tmp_path, *asked, "--output", str(output))
    assert done.returncode == 0, done.stderr + done.stdout
    assert tree(models) == before
    assert [path.name for path in output.parent.iterdir()] == ["channels"]
    checked = zeropoint(tmp_path, "check", settings={"ZEROPOINT_MODELS": str(output)})
    assert checked.returncode == 0, checked.stdout
    again = zeropoint(tmp_path, *asked, "--output", str(output))
    assert again.returncode == 2
    assert "expected a folder that is not there yet" in again.stderr


def test_no_winner_is_said_and_nothing_is_written(
    tmp_path: Path, models: Path, photos: Path
) -> None:
    before = tree(models)
    lines = [{"file": str(path), "label": "red"} for path in sorted(photos.glob("*.png"))]
    (tmp_path / "wrong.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = ("optimize", "channels", "--samples", str(tmp_path / "wrong.jsonl"), "--only", "int4")
    done = zeropoint(tmp_path, *asked, settings={"ZEROPOINT_MODELS": str(models)})
    assert done.returncode == 1
    assert "accuracy may be 1 point worse" in done.stdout
    assert "no candidate passes; nothing is written" in done.stdout
    assert tree(models) == before


def test_ctrl_c_leaves_everything_as_it_was(tmp_path: Path, models: Path, photos: Path) -> None:
    before = tree(models)
    process = subprocess.Popen(
        [sys.executable, "-m", "zeropoint", "optimize", "channels", "--samples", str(photos)],
        cwd=ROOT / "function",
        env=environment(tmp_path, {"ZEROPOINT_MODELS": str(models)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until_s = time.monotonic() + _WAIT_S
        while not list(models.glob(".optimize-*/*.onnx")) and time.monotonic() < until_s:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=_WAIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert told.strip() == "Aborted!"
    assert tree(models) == before


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("optimize", "channels"), 2, "expected --samples: a folder of photos or texts"),
        (("check", "channels", "--deep"), 2, "expected MODEL and --samples with --deep"),
        (("check", "channels", "--samples", "."), 2, "expected --samples with --deep only"),
        (("optimize", "channels", "--samples", "few"), 1, "expected at least 20 different samples"),
        (("optimize", "other", "--samples", "few"), 1, "expected a model other, got none"),
    ],
)
def test_what_is_missing_is_told(
    tmp_path: Path, models: Path, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    few = write_photos(tmp_path / "few", 5)
    arguments = tuple(str(few) if one == "few" else one for one in arguments)
    done = zeropoint(tmp_path, *arguments, settings={"ZEROPOINT_MODELS": str(models)})
    assert done.returncode == status
    assert sentence in " ".join(done.stderr.split())


def test_help_tells_the_exit_status(tmp_path: Path) -> None:
    told = zeropoint(tmp_path, "optimize", "--help").stdout
    assert "Exit status 1 if none passes: then nothing is written." in " ".join(told.split())


def test_an_artifact_without_variants_has_nothing_to_compare(
    tmp_path: Path, models: Path, photos: Path
) -> None:
    deep = ("check", "channels", "--deep", "--samples", str(photos))
    done = zeropoint(tmp_path, *deep, settings={"ZEROPOINT_MODELS": str(models)})
    assert done.returncode == 0
    assert "no variant to compare" in done.stdout
