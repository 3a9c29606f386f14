"""Prepare, execute, output; and the known answer before any of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tiny_models import COLOUR_TOML, picture, sha256, write_colour_model, write_tensor_model
from zeropoint import loader
from zeropoint.artifact import LocalRepository
from zeropoint.errors import (
    ArtifactError,
    BodyTooLargeError,
    ClientError,
    InvalidError,
    ManifestError,
    UnsupportedMediaError,
)
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.settings import Settings

COLOURS = ("red", "green", "blue")


def load(repository: Path, settings: Settings | None = None, name: str = "colour") -> Model:
    return loader.load(LocalRepository(repository), name, settings or Settings())


def labels(found: Model, colours: tuple[str, ...], **parameters: Any) -> list[str]:
    answer = found.answer([Blob(picture(colour)) for colour in colours], parameters)
    return [prediction["label"] for prediction in answer.predictions]


@pytest.mark.parametrize("max_batch", [1, 2, 16])
@pytest.mark.parametrize("batch", ["batch", 1])
def test_predictions_come_in_the_order_of_the_instances(
    tmp_path: Path, max_batch: int, batch: int | str
) -> None:
    toml = COLOUR_TOML.replace('version = "1"', f'version = "1"\nmax_batch = {max_batch}')
    write_colour_model(tmp_path, toml=toml, batch=batch)
    assert labels(load(tmp_path), COLOURS * 3) == list(COLOURS) * 3


def test_no_instances_give_no_predictions(colour_repository: Path) -> None:
    assert load(colour_repository).answer([]).predictions == []


def test_an_answer_tells_its_steps(colour_repository: Path) -> None:
    answer = load(colour_repository).answer([Blob(picture("red"))])
    assert list(answer.timings) == ["queue", "prepare", "execute", "output"]
    assert all(seconds > 0 for seconds in answer.timings.values())


def test_a_load_tells_its_phases(colour_repository: Path) -> None:
    assert list(load(colour_repository).load_timings) == ["read", "imports", "session", "check"]


def test_one_bad_instance_refuses_the_request_and_is_named(colour_repository: Path) -> None:
    found = load(colour_repository)
    with pytest.raises(UnsupportedMediaError, match=r"^instance 2 of 3: expected a JPEG"):
        found.answer([Blob(picture("red")), Blob(b"no image"), Blob(picture("red"))])


def test_one_instance_alone_needs_no_number(colour_repository: Path) -> None:
    with pytest.raises(UnsupportedMediaError, match=r"^expected a JPEG"):
        load(colour_repository).answer([Blob(b"no image")])


def test_instances_over_the_limit_are_refused(colour_repository: Path) -> None:
    found = load(colour_repository, Settings(max_instances=2))
    with pytest.raises(BodyTooLargeError, match="at most 2 instances, got 3"):
        found.answer([Blob(b"")] * 3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"top_k": 0}, "parameters.top_k: Expected `int` >= 1"),
        ({"top_k": "1"}, "parameters.top_k: Expected `int | null`, got `str`"),
        ({"top_k": 4}, "expected top_k of at most 3, got more"),
        ({"secret": 1}, "parameters: expected an object with no other keys than top_k"),
    ],
)
def test_a_wrong_parameter_is_told_without_its_content(
    colour_repository: Path, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        load(colour_repository).answer([Blob(picture("red"))], parameters)
    assert caught.value.message == message


def test_another_known_answer_is_no_model(tmp_path: Path) -> None:
    write_colour_model(tmp_path, toml=COLOUR_TOML.replace('label = "red"', 'label = "blue"'))
    with pytest.raises(ArtifactError, match=r"red\.png: expected .*'blue'.* got label 'red'"):
        load(tmp_path)


def test_a_probability_beyond_the_tolerance_is_no_known_answer(tmp_path: Path) -> None:
    toml = COLOUR_TOML.replace("probability = 1.0", "probability = 0.9")
    write_colour_model(tmp_path, toml=toml)
    with pytest.raises(ArtifactError, match=r"got probability 0\.9999"):
        load(tmp_path)


def test_a_check_that_is_refused_is_no_known_answer(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path)
    toml = (folder / "model.toml").read_text()
    before = sha256(folder / "red.png")
    (folder / "red.png").write_bytes(b"no image")
    (folder / "model.toml").write_text(toml.replace(before, sha256(folder / "red.png")))
    with pytest.raises(ArtifactError, match=r"red\.png: .* got a refusal: expected a JPEG"):
        load(tmp_path)


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    write_colour_model(tmp_path, toml=COLOUR_TOML.replace("image-classification", "divination"))
    with pytest.raises(ManifestError, match="expected a task of image-classification"):
        load(tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path)
    toml = (folder / "model.toml").read_text()
    before = sha256(folder / "model.onnx")
    (folder / "model.onnx").write_bytes(b"no model at all")
    (folder / "model.toml").write_text(toml.replace(before, sha256(folder / "model.onnx")))
    with pytest.raises(ArtifactError, match=r"model\.onnx: expected an ONNX model, got"):
        load(tmp_path)


def test_what_the_task_refuses_is_the_callers_fault(colour_repository: Path) -> None:
    with pytest.raises(ClientError):
        load(colour_repository).answer([{"not": "an image"}])


def write_batched_model(repository: Path, outputs: dict[str, list[int | str]]) -> None:
    """Writes the model ``batched`` with a max_batch of 4, its outputs declared as they are told.

    Of each row of ``x`` it gives the sum ``y``, and ``known``, always three numbers.
    """
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["x", "axis"], ["y"], keepdims=0),
            helper.make_node("Identity", ["three"], ["known"]),
        ],
        "batched",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ],
        [
            numpy_helper.from_array(np.array([1]), "axis"),
            numpy_helper.from_array(np.ones(3, np.float32), "three"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder = write_tensor_model(repository, "batched", model, [1.0, 2.0], {"y": 3.0})
    manifest = folder / "model.toml"
    manifest.write_text("max_batch = 4\n" + manifest.read_text())


def test_an_output_that_is_declared_wrong_keeps_nobody_from_batches(tmp_path: Path) -> None:
    write_batched_model(tmp_path, {"y": [1]})  # as LightGBM's converter declares labels
    found = load(tmp_path, name="batched")
    before = found.batcher.passes
    answer = found.answer([[float(n), 1.0] for n in range(8)])
    assert answer.predictions == [{"y": n + 1.0} for n in range(8)]
    assert found.batcher.passes == before + 2


def test_an_output_that_is_no_row_of_each_instance_refuses_max_batch(tmp_path: Path) -> None:
    write_batched_model(tmp_path, {"y": ["n"], "known": [3]})
    with pytest.raises(ArtifactError, match="max_batch: expected outputs of 2 rows"):
        load(tmp_path, name="batched")


@pytest.mark.parametrize("rows", [0, 1, 4, 5000, 5001])
def test_raw_tensors_of_many_rows_go_in_passes_of_max_batch(tmp_path: Path, rows: int) -> None:
    write_batched_model(tmp_path, {"y": ["n"]})
    found = load(tmp_path, name="batched")
    before = found.batcher.passes
    x = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    answer = found.execute({"x": x})
    np.testing.assert_allclose(answer.tensors["y"], x.sum(axis=1), rtol=1e-5)
    assert found.batcher.passes - before == max(1, -(-rows // 4))
