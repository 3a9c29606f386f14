"""Files that somebody brings: what is read of them, and in which words they are refused."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tiny_models import colour_graph
from tiny_tables import FITTED
from zeropoint.drafting.graph import Graph
from zeropoint.errors import ArtifactError

FLOAT = TensorProto.FLOAT


def info(
    name: str, dtype: int = FLOAT, shape: tuple[int | str, ...] = ("n", 2)
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    nodes: list[onnx.NodeProto],
    outputs: list[onnx.ValueInfoProto] | None = None,
    opset: int = 17,
    ir_version: int = 9,
    domains: tuple[str, ...] = (),
) -> bytes:
    graph = helper.make_graph(nodes, "brought", [info("x")], outputs or [info("y")])
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(one, 1) for one in domains)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    return bytes(made.SerializeToString())


def relu(domain: str = "", kind: str = "Relu") -> list[onnx.NodeProto]:
    return [helper.make_node(kind, ["x"], ["y"], domain=domain)]


SEQUENCE = helper.make_tensor_sequence_value_info("y", FLOAT, None)
REFUSED = {
    "no model": (b"<html>" * 9, "expected an ONNX model, got another file"),
    "cut short": (model(relu())[:60], "expected an ONNX model, got another file or a part of one"),
    "empty": (b"", "expected an ONNX model, got an empty file"),
    "custom": (model(relu("com.example", "Foo"), domains=("com.example",)), "ones of com.example"),
    "no import": (model(relu("com.example", "Foo")), "got custom ones of com.example"),
    "unknown": (model(relu(kind="Foo")), "has no operator Foo"),
    "types": (
        model(
            [
                helper.make_node("Cast", ["x"], ["c"], to=TensorProto.INT64),
                helper.make_node("Selu", ["c"], ["y"]),
            ]
        ),
        "cannot load it: This is an invalid model. Type Error",
    ),
    "opset": (model(relu(), opset=99), "got 99: export with opset_version="),
    "ir": (model(relu(), ir_version=99), "got 99: export with an older onnx package"),
    "sequence": (
        model([helper.make_node("SequenceConstruct", ["x"], ["y"])], [SEQUENCE]),
        "got seq(tensor(float)) for y: export the tensors themselves",
    ),
    "bfloat16": (
        model(
            [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16)],
            [info("y", TensorProto.BFLOAT16)],
        ),
        "got tensor(bfloat16) for y: export it with float32 or float16",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("installed", [True, False], ids=["onnx", "no onnx"])
def test_what_cannot_be_loaded_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, installed: bool
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "onnx", None)
    data, said = REFUSED[name]
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ArtifactError) as refused:
        Graph(path, 1)
    message = refused.value.message
    assert said in message
    assert message.startswith("m.onnx: ")
    assert "\n" not in message
    assert str(tmp_path) not in message


def test_external_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    made = colour_graph(weights=True)
    onnx.save(made, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ArtifactError, match="save the model again with its weights in it"):
        Graph(path, 1)


def test_an_unused_domain_is_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model(relu(), domains=("com.example",)))
    assert [spec.name for spec in Graph(path, 1).outputs] == ["y"]


def test_the_names_of_classes_are_those_of_the_classifier() -> None:
    graph = Graph(FITTED / "sklearn-pipeline.onnx", 1)
    assert graph.hints.labels == ("offered", "sold")
    assert graph.hints.categories == {
        "colour": ("blue", "green", "red"),
        "size": ("1", "2", "3"),
    }
    assert graph.width(graph.outputs[1]) == 2  # of a ZipMap, which only a try tells


def test_categories_of_a_matrix_are_found_by_its_columns(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ArrayFeatureExtractor", ["x", "second"], ["one"], domain="ai.onnx.ml"),
        helper.make_node(
            "OneHotEncoder", ["one"], ["y"], domain="ai.onnx.ml", cats_strings=["a", "b"]
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "matrix",
        [info("x", TensorProto.STRING)],
        [info("y", shape=("n", 1, 2))],
        [numpy_helper.from_array(np.array([1]), "second")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    assert Graph(path, 1).hints.categories == {"x[1]": ("a", "b")}


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("{0: 'cat', 1: 'dog'}", ("cat", "dog")),
        ('{"1": "dog", "0": "cat"}', ("cat", "dog")),
        ("['cat', 'a\\ndog']", ("cat", "a dog")),
        ("{'a': 'cat', 'b': 'dog'}", ()),
        ("__import__('os')", ()),
        ("cat, dog", ()),
    ],
)
@pytest.mark.parametrize("installed", [True, False], ids=["onnx", "no onnx"])
def test_an_exporters_names_are_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: str,
    labels: tuple[str, ...],
    installed: bool,
) -> None:
    made = colour_graph()
    helper.set_model_props(made, {"names": written})
    onnx.save(made, tmp_path / "m.onnx")
    if not installed:
        monkeypatch.setitem(sys.modules, "onnx", None)
    assert Graph(tmp_path / "m.onnx", 1).hints.labels == labels
