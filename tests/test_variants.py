"""Of a model's files the best that runs here, and runs right, is loaded."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import requests
from onnx import helper, numpy_helper

from servers import Server
from tiny_models import colour_graph, picture, sha256, write_colour_model
from zeropoint import hardware
from zeropoint.artifact import LocalRepository
from zeropoint.errors import ArtifactError, ManifestError
from zeropoint.instances import Blob
from zeropoint.loader import load
from zeropoint.model import Model
from zeropoint.session import BAKED
from zeropoint.settings import Settings


def add_variant(folder: Path, name: str, model: onnx.ModelProto, requires: str = "[]") -> None:
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    with (folder / "model.toml").open("a") as toml:
        toml.write(
            f'\n[[variant]]\nname = "{name}"\nrequires = {requires}\n'
            f'file = {{ path = "{path.name}", sha256 = "{sha256(path)}" }}\n'
        )


def right() -> onnx.ModelProto:
    model = colour_graph(weights=True)
    helper.set_model_props(model, {BAKED: "extended"})
    return model


def wrong() -> onnx.ModelProto:
    """Returns a model that takes red for green."""
    model = colour_graph(weights=True)
    swapped = numpy_helper.from_array(np.eye(3, dtype=np.float32)[[1, 0, 2]], "weights")
    model.graph.initializer[0].CopyFrom(swapped)
    return model


def chosen(folder: Path, variant: str = "") -> Model:
    return load(LocalRepository(folder.parent), folder.name, Settings(), variant=variant)


def test_rows_of_a_variant_that_goes_alone_share_no_pass(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path)
    add_variant(folder, "alone", right())
    with (folder / "model.toml").open("a") as toml:
        toml.write("alone = true\nthreads = 1\n")
    model = chosen(folder)
    before = model.counts.passes
    photos = [Blob(picture(colour)) for colour in ("red", "blue", "lime")]
    labels = [one["label"] for one in model.answer(photos).predictions]
    assert labels == ["red", "blue", "green"]
    rows = np.zeros((4, *(dim or 1 for dim in model.inputs[0].shape[1:])), np.float32)
    (given,) = model.execute({model.inputs[0].name: rows}).tensors.values()
    assert len(given) == 4
    assert model.counts.passes - before == model.counts.rows - 1 == 3 + 4


def test_the_first_variant_that_runs_here_is_loaded_and_told(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path)
    add_variant(folder, "quick", right())
    model = chosen(folder)
    assert model.variant == "quick"
    assert model.digest == f"sha256:{sha256(folder / 'quick.onnx')}"
    assert model.answer([Blob(picture("blue"))]).predictions[0]["label"] == "blue"
    assert chosen(folder, "original").digest == f"sha256:{sha256(folder / 'model.onnx')}"


def test_a_variant_for_another_machine_is_not_chosen(tmp_path: Path) -> None:
    missing = sorted(hardware.WORDS - hardware.features())[0]
    folder = write_colour_model(tmp_path)
    add_variant(folder, "elsewhere", right(), f'["{missing}"]')
    add_variant(folder, "accelerated", right(), '["NoSuchExecutionProvider"]')
    assert chosen(folder).variant == "original"
    assert chosen(folder, "elsewhere").variant == "elsewhere"  # who names it, gets it


def test_a_variant_that_needs_what_is_there_is_chosen(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path)
    words = [*sorted(hardware.features()), "CPUExecutionProvider"]
    add_variant(folder, "here", right(), str(words).replace("'", '"'))
    assert chosen(folder).variant == "here"


@pytest.mark.parametrize("fault", ["wrong", "damaged", "missing"])
def test_a_variant_that_is_not_right_here_is_passed_over(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_colour_model(tmp_path)
    add_variant(folder, "saturated", wrong() if fault == "wrong" else right())
    if fault == "damaged":
        (folder / "saturated.onnx").write_bytes(b"half")
    if fault == "missing":
        (folder / "saturated.onnx").unlink()
    add_variant(folder, "quick", right())
    assert chosen(folder).variant == "quick"
    assert "variant saturated is passed over" in caplog.text
    with pytest.raises(ArtifactError):
        chosen(folder, "saturated")


def test_an_artifact_may_lack_its_original_where_a_variant_runs(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path)
    add_variant(folder, "quick", right())
    (folder / "model.onnx").unlink()
    assert chosen(folder).variant == "quick"


def test_an_unknown_variant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="expected a variant of original, got 'nope'"):
        chosen(write_colour_model(tmp_path), "nope")


@pytest.mark.parametrize(
    ("name", "requires", "said"),
    [
        ("quick", '["sse9"]', "sse9"),
        ("original", "[]", "another name than 'original'"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(
    tmp_path: Path, name: str, requires: str, said: str
) -> None:
    folder = write_colour_model(tmp_path)
    add_variant(folder, name, right(), requires)
    with pytest.raises(ManifestError, match=said):
        chosen(folder)


def test_a_server_names_the_variant_that_it_serves(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path / "models")
    add_variant(folder, "quick", right())
    with Server({"ZEROPOINT_MODELS": str(tmp_path / "models")}) as server:
        server.wait_until_ready()
        told = requests.get(server.url + "/models/colour", timeout=10).json()
        ready = requests.get(server.url + "/readyz", timeout=10).json()
        answer = requests.post(server.url + "/predict", data=picture("red"), timeout=10)
    assert (told["variant"], told["variants"]) == ("quick", ["quick", "original"])
    digest = f"sha256:{sha256(folder / 'quick.onnx')}"
    assert {told["digest"], ready["digest"], answer.headers["X-Model-Digest"]} == {digest}
