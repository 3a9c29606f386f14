"""Prepare, execute, output; and the known answer before any of them."""

from pathlib import Path
from typing import Any

import pytest

from tiny_models import COLOUR_TOML, picture, sha256, write_colour_model
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
    answer = found.predict([Blob(picture(colour)) for colour in colours], parameters)
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
    assert load(colour_repository).predict([]).predictions == []


def test_an_answer_tells_its_steps(colour_repository: Path) -> None:
    answer = load(colour_repository).predict([Blob(picture("red"))])
    assert list(answer.timings) == ["queue", "prepare", "execute", "output"]
    assert all(seconds > 0 for seconds in answer.timings.values())


def test_a_load_tells_its_phases(colour_repository: Path) -> None:
    assert list(load(colour_repository).load_timings) == ["imports", "read", "session", "check"]


def test_one_bad_instance_refuses_the_request_and_is_named(colour_repository: Path) -> None:
    found = load(colour_repository)
    with pytest.raises(UnsupportedMediaError, match=r"^instance 2 of 3: expected a JPEG"):
        found.predict([Blob(picture("red")), Blob(b"no image"), Blob(picture("red"))])


def test_one_instance_alone_needs_no_number(colour_repository: Path) -> None:
    with pytest.raises(UnsupportedMediaError, match=r"^expected a JPEG"):
        load(colour_repository).predict([Blob(b"no image")])


def test_instances_over_the_limit_are_refused(colour_repository: Path) -> None:
    found = load(colour_repository, Settings(max_instances=2))
    with pytest.raises(BodyTooLargeError, match="at most 2 instances, got 3"):
        found.predict([Blob(b"")] * 3)


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
        load(colour_repository).predict([Blob(picture("red"))], parameters)
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
    with pytest.raises(ArtifactError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        load(tmp_path)


def test_what_the_task_refuses_is_the_callers_fault(colour_repository: Path) -> None:
    with pytest.raises(ClientError):
        load(colour_repository).predict([{"not": "an image"}])
