"""Which task a model is taken for, and what is said of the others."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from servers import ROOT
from tiny_decoders import decoder_graph
from tiny_detectors import constant_graph
from tiny_models import colour_graph
from tiny_tables import FITTED, weighed_graph
from tiny_texts import text_graph
from zeropoint.drafting import fit
from zeropoint.drafting.draft import Asked
from zeropoint.drafting.graph import Graph
from zeropoint.errors import ManifestError
from zeropoint.tasks import TASKS

FLOAT = TensorProto.FLOAT


def read(folder: Path, model: onnx.ModelProto) -> Graph:
    onnx.save(model, folder / "m.onnx")
    return Graph(folder / "m.onnx", 1)


def passed_on(*inputs: tuple[str, int, list[int | str]]) -> onnx.ModelProto:
    """Returns a model that gives each of its inputs as an output of its own."""
    nodes = [helper.make_node("Identity", [name], [f"{name}_y"]) for name, _, _ in inputs]
    given = [helper.make_tensor_value_info(*one) for one in inputs]
    found = [
        helper.make_tensor_value_info(f"{name}_y", type_, dims) for name, type_, dims in inputs
    ]
    graph = helper.make_graph(nodes, "passed", given, found)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


PHOTOS: list[int | str] = ["n", 3, 8, 8]
BOXES, SCORES = np.zeros((9, 4), np.float32), np.zeros((9, 7), np.float32)
CLEAR = {
    "a photo's scores": (colour_graph(), "image-classification"),
    "boxes and scores": (constant_graph(b=BOXES, s=SCORES), "object-detection"),
    "boxes with scores": (constant_graph(y=np.zeros((11, 40), np.float32)), "object-detection"),
    "scores of texts": (text_graph("scores"), "text-classification"),
    "vectors of tokens": (text_graph("hidden"), "text-embedding"),
    "a vector of a text": (text_graph("pooled"), "text-embedding"),
    "keys and values of all before": (decoder_graph("lengths"), "text-generation"),
    "the same, appended": (decoder_graph("appended"), "text-generation"),
    "a scalar": (passed_on(("x", FLOAT, [])), "tensor"),
    "three photos": (
        passed_on(("a", FLOAT, PHOTOS), ("b", FLOAT, PHOTOS), ("c", FLOAT, PHOTOS)),
        "tensor",
    ),
    "four photos a pass": (colour_graph(batch=4), "tensor"),
    "grey photos": (passed_on(("x", FLOAT, ["n", 1, 8, 8])), "tensor"),
}


@pytest.mark.parametrize("name", CLEAR)
def test_the_task_is_guessed_where_it_is_clear(tmp_path: Path, name: str) -> None:
    model, task = CLEAR[name]
    assert fit.choose(read(tmp_path, model), Asked()) == task


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("lightgbm", "tabular-classification"),
        ("sklearn-pipeline", "tabular-classification"),
        ("sklearn-several", "tabular-regression"),
    ],
)
def test_the_operators_tell_of_tables(name: str, task: str) -> None:
    assert fit.choose(Graph(FITTED / f"{name}.onnx", 1), Asked()) == task


def test_labels_tell_a_classifier(tmp_path: Path) -> None:
    graph = read(tmp_path, weighed_graph([[1.0, 0.0]]))
    assert fit.choose(graph, Asked(labels=tmp_path / "any")) == "tabular-classification"


def test_what_is_not_clear_is_asked_with_all_reasons(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as asked:
        fit.choose(read(tmp_path, weighed_graph([[1.0, 0.0]])), Asked())
    first, *lines = asked.value.message.splitlines()
    assert first.endswith("as it fits tabular-classification and tabular-regression:")
    assert [line.split(":")[0].strip() for line in lines] == list(TASKS)
    assert lines[0].startswith("  image-classification: it takes an input [n, 3, height, width]")
    assert lines[2] == "  tabular-classification: fits"


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("three photos", "image-classification", "it has 3 inputs, and a photo fills one: a: "),
        ("four photos a pass", "image-classification", "every forward pass has 4 photos"),
        ("grey photos", "image-classification", "it takes an input"),
        ("a photo's scores", "object-detection", "it gives boxes"),
        ("a scalar", "tabular-regression", "it takes one input [n, columns]"),
        ("vectors of tokens", "text-classification", "it gives one output [n, classes]"),
        ("vectors of tokens", "tabular-regression", "its inputs are tokens"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, task: str, said: str
) -> None:
    with pytest.raises(ManifestError) as refused:
        fit.choose(read(tmp_path, CLEAR[name][0]), Asked(), task)
    assert f"m.onnx: is no model of {task}: {said}" in refused.value.message
    assert "It would fit" in refused.value.message


def test_photos_as_float16_are_refused_with_what_helps(tmp_path: Path) -> None:
    graph = read(tmp_path, passed_on(("x", TensorProto.FLOAT16, ["n", 3, 8, 8])))
    with pytest.raises(ManifestError, match="keep_io_types"):
        fit.choose(graph, Asked(), "image-classification")
    assert fit.choose(graph, Asked()) == "tensor"


def test_every_task_can_be_drafted() -> None:
    assert fit.KINDS.keys() == TASKS.keys()


@pytest.mark.parametrize("name", ["iris", "rents", "digits"])
def test_newcomers_models_are_clear(name: str) -> None:
    graph = Graph(ROOT / "tests" / "newcomers" / f"{name}.onnx", 1)
    assert fit.choose(graph, Asked()) != "tensor"
