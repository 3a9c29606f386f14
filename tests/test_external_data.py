"""Models that keep weights in other files are refused, wherever in the model they name them."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies
from onnx import TensorProto, helper, numpy_helper

from servers import ROOT
from tiny_models import colour_graph
from zeropoint import external_data
from zeropoint.errors import ArtifactError

BUNDLED = ROOT / "model_artifacts" / "efficientnet-lite0" / "model.onnx"
Change = Callable[[onnx.ModelProto], None]


def tensor(outside: bool) -> onnx.TensorProto:
    """Returns a tensor whose bytes lie in another file, or inside."""
    found = numpy_helper.from_array(np.eye(3, dtype=np.float32), "tensor")
    if outside:
        found.ClearField("raw_data")
        found.data_location = TensorProto.EXTERNAL
        found.external_data.add(key="location", value="/etc/passwd")
    return found


def constant(**attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["constant"], **attributes)


def graph(*nodes: onnx.NodeProto, weights: tuple[onnx.TensorProto, ...] = ()) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "inner", [], [], list(weights))


def sparse(values: onnx.TensorProto, indices: onnx.TensorProto) -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(values, indices, [9])


def places(outside: bool) -> dict[str, Change]:
    """Returns everywhere that a model may have a tensor, by a change that puts one there."""
    one, inside = tensor(outside), tensor(False)
    branch = graph(weights=(one,))
    attributes: dict[str, dict[str, Any]] = {
        "attribute": {"value": one},
        "attribute of tensors": {"values": [inside, one]},
        "sparse attribute": {"sparse_value": sparse(one, inside)},
        "sparse attributes": {"sparse_values": [sparse(inside, one)]},
        "branch": {"then_branch": branch, "else_branch": graph()},
        "constant in a branch": {"then_branch": graph(constant(value=one))},
        "branch in a branch": {"then_branch": graph(constant(body=branch))},
        "branches": {"branches": [graph(), branch]},
    }
    nodes = {name: constant(**given) for name, given in attributes.items()}
    training = onnx.TrainingInfoProto(algorithm=branch)
    beginning = onnx.TrainingInfoProto(initialization=branch)
    function = onnx.FunctionProto(name="f", node=[constant(value=one)])
    default = onnx.FunctionProto(attribute_proto=[helper.make_attribute("a", one)])

    def in_node(node: onnx.NodeProto) -> Change:
        return lambda model: model.graph.node.append(node)

    return {name: in_node(node) for name, node in nodes.items()} | {
        "initializer": lambda model: model.graph.initializer.append(one),
        "sparse": lambda model: model.graph.sparse_initializer.append(sparse(one, inside)),
        "sparse indices": lambda model: model.graph.sparse_initializer.append(sparse(inside, one)),
        "training": lambda model: model.training_info.append(training),
        "start of training": lambda model: model.training_info.append(beginning),
        "function": lambda model: model.functions.append(function),
        "default of a function": lambda model: model.functions.append(default),
    }


def saved(path: Path, change: Change, name: str = "colour") -> Path:
    model = colour_graph(weights=True)
    model.graph.node[0].name = name
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("place", places(True))
def test_external_data_is_refused_wherever_it_is(tmp_path: Path, place: str) -> None:
    path = saved(tmp_path / "model.onnx", places(True)[place])
    with pytest.raises(ArtifactError, match=r"^model\.onnx: .* got external data; save the model"):
        external_data.refuse(path)


@pytest.mark.parametrize("place", places(False))
def test_the_same_tensor_inside_is_taken(tmp_path: Path, place: str) -> None:
    # With the word in a name the model is really walked.
    external_data.refuse(saved(tmp_path / "model.onnx", places(False)[place], "a location"))


def test_a_model_that_onnx_saved_in_two_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    options: dict[str, Any] = {"save_as_external_data": True, "size_threshold": 0}
    onnx.save(colour_graph(weights=True), path, location="weights.bin", **options)
    assert (tmp_path / "weights.bin").is_file()
    with pytest.raises(ArtifactError, match="external data"):
        external_data.refuse(path)


def test_the_word_in_a_name_or_text_is_no_external_data(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.doc_string = "location"
        model.metadata_props.add(key="location", value="/etc/passwd")
        model.graph.input[0].type.denotation = "location"
        model.graph.node.append(constant(value_string="location"))

    external_data.refuse(saved(tmp_path / "model.onnx", change, "location"))


def test_the_bundled_model_is_taken() -> None:
    external_data.refuse(BUNDLED)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    with pytest.raises(ArtifactError, match=r"^model\.onnx: .* got an empty file$"):
        external_data.refuse(path)


@pytest.mark.parametrize(
    "data",
    [
        b"location",
        b"\x3a\xff\xff\xff\xff\x0flocation",  # a graph longer than the file
        b"\x3alocation"[:2] + b"location",  # a field longer than its graph
        b"\xff" * 11 + b"location",  # a number without end
        b"location\x08\xff",  # a number that the file cuts
    ],
)
def test_another_file_with_the_word_in_it_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="expected an ONNX model, got another file"):
        external_data.refuse(path)


def test_branches_nested_without_end_are_refused(tmp_path: Path) -> None:
    data = b"location"
    for _ in range(2000):
        for field in (6, 5, 1):  # attribute: graph; node: attribute; graph: node
            data = bytes([field << 3 | 2]) + varint(len(data)) + data
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x3a" + varint(len(data)) + data)
    with pytest.raises(ArtifactError, match="got another file"):
        external_data.refuse(path)


def test_a_model_cut_anywhere_is_refused_or_has_lost_the_word(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.onnx", places(True)["branch"])
    data = path.read_bytes()
    seen = data.index(b"location") + len(b"location")
    for end in range(1, len(data)):
        path.write_bytes(data[:end])
        with contextlib.suppress(ArtifactError) if end < seen else pytest.raises(ArtifactError):
            external_data.refuse(path)


@settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(strategies.binary(), strategies.binary(), strategies.sampled_from([b"location", b""]))
@example(b"", b"", b"location")
@example(b"\x3a\x0a", b"", b"location")
def test_any_bytes_are_taken_or_refused(
    tmp_path: Path, before: bytes, after: bytes, word: bytes
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(before + word + after)
    with contextlib.suppress(ArtifactError):
        external_data.refuse(path)


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])
