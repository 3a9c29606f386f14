"""The command as people type it: real processes, their output and their exit status."""

import json
from pathlib import Path

import pytest

from conftest import CAT
from servers import zeropoint
from tiny_models import picture, write_colour_model


@pytest.mark.parametrize("verb", [(), ("serve",), ("predict",), ("models",), ("check",)])
def test_every_verb_has_help(tmp_path: Path, verb: tuple[str, ...]) -> None:
    done = zeropoint(tmp_path, *verb, "--help")
    assert done.returncode == 0
    assert "Usage: zeropoint" in done.stdout


def test_an_unknown_verb_is_told(tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "fly")
    assert done.returncode == 2
    assert "No such command 'fly'" in done.stderr


def test_predict_prints_a_table_for_people(tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "predict", str(CAT))
    assert done.returncode == 0
    name, first, second, *_ = done.stdout.splitlines()
    assert name == str(CAT)
    assert 35 < float(first.split()[0].rstrip("%")) < 43  # the original's 38.5, or a variant's
    assert first.endswith("tiger cat")
    assert second.endswith("Egyptian cat")


def test_predict_prints_json_for_programs(tmp_path: Path) -> None:
    done = zeropoint(
        tmp_path, "predict", str(CAT), str(CAT), "--json", "--parameters", '{"top_k":1}'
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["file"] for row in rows] == [str(CAT)] * 2
    assert [len(row["prediction"]["top"]) for row in rows] == [1, 1]


def test_predict_tells_a_refused_file_and_answers_the_others(tmp_path: Path) -> None:
    write_colour_model(tmp_path / "models")
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.png").write_bytes(picture("blue"))
    settings = {"ZEROPOINT_MODELS": str(tmp_path / "models")}
    files = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    done = zeropoint(tmp_path, "predict", *files, settings=settings)
    assert done.returncode == 1
    assert "a.png: expected a JPEG" in done.stderr
    assert "blue" in done.stdout


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "models", settings={"ZEROPOINT_CPUS": "all"})
    assert done.returncode == 1
    assert done.stderr.startswith("zeropoint: ZEROPOINT_CPUS is 'all'. Expected `float`")
    assert len(done.stderr.splitlines()) == 1


def test_models_are_listed(tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "models", "--json")
    names = [row["name"] for row in json.loads(done.stdout)["models"]]
    assert "efficientnet-lite0" in names
    assert "efficientnet-lite0  1  image-classification" in zeropoint(tmp_path, "models").stdout


def test_an_empty_repository_is_told(tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "models", settings={"ZEROPOINT_MODELS": str(tmp_path)})
    assert "no models in" in done.stdout


def test_check_proves_each_model(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_colour_model(models)
    settings = {"ZEROPOINT_MODELS": str(models)}
    done = zeropoint(tmp_path, "check", settings=settings)
    assert done.returncode == 0
    assert done.stdout.startswith("ok    colour 1  sha256:")
    broken = write_colour_model(models, "broken")
    (broken / "model.onnx").write_bytes(b"")
    done = zeropoint(tmp_path, "check", settings=settings)
    assert done.returncode == 1
    assert "FAIL  broken: broken/model.onnx: expected sha256" in done.stdout
    assert "ok    colour" in done.stdout


def test_settings_are_printed_and_a_changed_one_is_marked(tmp_path: Path) -> None:
    settings = {"ZEROPOINT_CPUS": "1.5", "ZEROPOINT_MAX_PIXEL": "1"}
    done = zeropoint(tmp_path, "settings", settings=settings)
    assert "* ZEROPOINT_CPUS " in done.stdout
    assert "  ZEROPOINT_MAX_PIXELS " in done.stdout
    assert "ZEROPOINT_MAX_PIXEL is set, but is no setting" in done.stderr
    values = json.loads(zeropoint(tmp_path, "settings", "--json", settings=settings).stdout)
    assert values["ZEROPOINT_CPUS"] == 1.5
