"""ONNX Runtime as a room of its own: what it takes, what it refuses, what it does not send."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from servers import ROOT, environment
from tiny_models import colour_graph
from zeropoint.errors import ArtifactError, InvalidError
from zeropoint.session import Session


def saved(folder: Path, graph: onnx.ModelProto) -> Path:
    onnx.save(graph, folder / "model.onnx")
    return folder / "model.onnx"


def lookup(folder: Path) -> Session:
    """A model that looks rows up: an index out of its range is refused as it runs."""
    table = onnx.numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "rows"], ["found"])],
        "lookup",
        [helper.make_tensor_value_info("rows", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, ["n", 2])],
        [table],
    )
    opsets = [helper.make_opsetid("", 17)]
    return Session(saved(folder, helper.make_model(graph, opset_imports=opsets, ir_version=9)), 1)


def test_inputs_and_outputs_are_told(tmp_path: Path) -> None:
    session = Session(saved(tmp_path, colour_graph()), 1)
    assert [str(spec) for spec in session.inputs] == ["input: float32[?, 3, 8, 8]"]
    assert [str(spec) for spec in session.outputs] == ["scores: float32[?, 3]"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_forward_pass_gives_an_array_for_each_output(
    tmp_path: Path, threads: int, n: int
) -> None:
    session = Session(saved(tmp_path, colour_graph(weights=True)), threads)
    ones = np.ones((n, 3, 8, 8), np.float32)
    np.testing.assert_allclose(session.run({"input": ones})["scores"], np.ones((n, 3)), rtol=1e-6)


@pytest.mark.parametrize("data", [b"no model", b"\0" * 100, b"\x08\x09"])
def test_what_is_no_model_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        Session(path, 1)


def test_an_output_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["x"], ["xs"])],
        "sequence",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_value_info("xs", helper.make_sequence_type_proto(tensor))],
    )
    opsets = [helper.make_opsetid("", 17)]
    path = saved(tmp_path, helper.make_model(graph, opset_imports=opsets, ir_version=9))
    with pytest.raises(ArtifactError, match=r"expected a tensor of a NumPy type, got seq"):
        Session(path, 1)


def test_tensors_that_the_model_refuses_are_the_callers_fault(tmp_path: Path) -> None:
    session = lookup(tmp_path)
    assert session.run({"rows": np.array([2])})["found"].tolist() == [[4.0, 5.0]]
    with pytest.raises(InvalidError):
        session.run({"rows": np.array([3])})


def test_no_telemetry_is_sent_and_no_device_id_is_written(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from zeropoint.session import Session;"
        f"Session(Path({str(saved(tmp_path, colour_graph()))!r}), 1)"
    )
    (tmp_path / "home").mkdir()
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "function",
        env=environment(tmp_path / "home"),
        check=True,
    )
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ({"classlabels_int64s": [2, 0, 1]}, [1, 2, 0]),
        ({"classlabels_strings": ["b", "c", "a"]}, [2, 0, 1]),
    ],
)
def test_a_zipmaps_columns_stand_in_the_order_of_its_keys(
    tmp_path: Path, keys: dict[str, Any], order: list[int]
) -> None:
    key = TensorProto.STRING if "classlabels_strings" in keys else TensorProto.INT64
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(key, value))
    graph = helper.make_graph(
        [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", **keys)],
        "zipmap",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_value_info("y", maps)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = Session(saved(tmp_path, model), 1)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = session.run({"x": x}).values()
    assert str(session.outputs[0]) == "y: float32[?, ?]"
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, x[:, order])
