"""Candidates are made, answer, and leave nothing else behind."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tiny_layers import SIDE, convolutions, matrices, photos, texts
from zeropoint import hardware
from zeropoint.optimize.candidates import Candidate, Job, candidates
from zeropoint.session import Session
from zeropoint.tasks.image import ImageTable, Resize

IMAGE = ImageTable(
    resize=Resize(kernel="box", width=SIDE, height=SIDE), mean=(127.0,) * 3, std=(128.0,) * 3
)


def job(folder: Path, model: onnx.ModelProto, **changes: Any) -> Job:
    source = folder / "source.onnx"
    onnx.save(model, source)
    (folder / "work").mkdir()
    given: dict[str, Any] = {
        "source": source,
        "calibration": photos(6),
        "folder": folder / "work",
        "image": IMAGE,
        "judge": lambda path: 0.0,
    }
    return Job(**{**given, **changes})


def made(work: Job, progress: Callable[[str], None] = print) -> dict[str, Candidate]:
    return {one.name: one for one in candidates(work, progress)}


def test_a_photo_models_candidates_take_pixels_and_answer_nearly_the_same(tmp_path: Path) -> None:
    work = job(tmp_path, convolutions())
    found = made(work)
    assert list(found) == ["baked", "folded", "int8", "int8-mixed"]
    assert {path.name for path in work.folder.iterdir()} == {f"{name}.onnx" for name in found}
    (asked,) = photos(1, seed=5)
    pixels = {"x": (asked["x"] * 128.0 + 127.0).astype(np.uint8)}
    wanted = Session(work.source, 1).run(asked)["y"]
    for name, candidate in found.items():
        assert candidate.path.parent == work.folder
        assert set(candidate.requires) <= hardware.WORDS
        session = Session(candidate.path, 1)
        (spec,) = session.inputs
        assert spec.shape == (None, 3, SIDE, SIDE)  # the batch still varies
        assert spec.dtype == np.float32
        assert spec.pixels == (name != "baked")
        got = session.run(asked if name == "baked" else pixels)["y"]
        room = 0.2 if name.startswith("int8") else 1e-4
        np.testing.assert_allclose(got, wanted, atol=room * np.abs(wanted).max())
        two = {
            key: value.repeat(2, axis=0) for key, value in (asked, pixels)[name != "baked"].items()
        }
        assert session.run(two)["y"].shape == (2, *wanted.shape[1:])


def test_a_text_models_candidates(tmp_path: Path) -> None:
    work = job(tmp_path, matrices(), image=None, calibration=texts(6))
    found = made(work)
    assert list(found) == ["baked", "int8-dynamic", "int4"]
    sizes = {name: one.path.stat().st_size for name, one in found.items()}
    assert sizes["int8-dynamic"] < 0.4 * work.source.stat().st_size


def test_half_only_where_it_is_asked_for(tmp_path: Path) -> None:
    work = job(tmp_path, matrices(), image=None, calibration=texts(2), half=True, only=["fp16"])
    assert list(made(work)) == ["fp16"]


def test_what_cannot_be_made_is_told_and_left_out(tmp_path: Path) -> None:
    told: list[str] = []
    work = job(tmp_path, convolutions(), calibration=[])
    assert list(made(work, told.append)) == ["baked", "folded"]
    assert "int8: left out: expected samples to calibrate on, got none" in told
    assert {path.name for path in work.folder.iterdir()} == {"baked.onnx", "folded.onnx"}


def test_a_model_without_layers_is_only_baked(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "relu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    samples = [{"x": np.ones((1, 2), np.float32)}]
    assert list(made(job(tmp_path, model, image=None, calibration=samples))) == ["baked"]


@pytest.mark.parametrize("during", ["int8: rounding the weights", "sensitivity: layer 2 of 4"])
def test_an_interrupt_leaves_no_half_written_candidate(tmp_path: Path, during: str) -> None:
    work = job(tmp_path, convolutions())
    before = tempfile.gettempdir()
    left = set(Path(before).glob("ort.quant.*"))

    def interrupt(told: str) -> None:
        if told == during:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(work, interrupt)
    assert all(path.suffix == ".onnx" for path in work.folder.iterdir())
    assert not (work.folder / "int8-mixed.onnx").exists()
    assert set(Path(before).glob("ort.quant.*")) <= left


def test_candidates_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found.append(made(job(tmp_path / name, convolutions())))
    for name in found[0]:
        assert found[0][name].path.read_bytes() == found[1][name].path.read_bytes()
