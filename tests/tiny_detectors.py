"""Tiny real ONNX detectors, built for the tests: constant boxes, or the box of what is red."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from tiny_models import picture, sha256

SIDE = 256  # of the input: pixels

TOML = """\
name = "{name}"
version = "1"
task = "object-detection"
license = "CC0-1.0"

[file]
path = "model.onnx"
sha256 = "{model}"

[labels]
path = "labels.txt"
sha256 = "{labels}"

[check]
input = "red.png"
sha256 = "{check}"
expect = {{ width = 64, height = 48 }}

{tables}
"""
IMAGE = f"""\
[image]
resize = {{ width = {SIDE}, height = {SIDE}, kernel = "box" }}
mean = [0.0, 0.0, 0.0]
std = [255.0, 255.0, 255.0]
"""
CORNERS = """\
[output]
boxes = "boxes"
scores = "scores"
activation = "none"
threshold = 0.5

[boxes]
format = "corners"
unit = "pixels"
"""


def constant_graph(**outputs: ArrayLike) -> onnx.ModelProto:
    """Returns a model that finds the same in each photo: float32[n, 3, SIDE, SIDE].

    Args:
        outputs: What it gives for one photo, by the output's name: of shape (boxes, channels).
    """
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["means"]),
        helper.make_node("ReduceMax", ["means"], ["mean"], axes=[1, 3]),
        helper.make_node("Mul", ["mean", "zero"], ["zeros"]),
    ]
    constants = [numpy_helper.from_array(np.array(0.0, np.float32), "zero")]
    values = []
    for name, rows in outputs.items():
        array = np.asarray(rows, np.float32)
        nodes.append(helper.make_node("Reshape", ["zeros", f"{name} shape"], [f"{name} zeros"]))
        nodes.append(helper.make_node("Add", [f"{name} zeros", f"{name} rows"], [name]))
        constants.append(numpy_helper.from_array(np.array([0, 1, 1]), f"{name} shape"))
        constants.append(numpy_helper.from_array(array[None], f"{name} rows"))
        shape = ["batch", *array.shape]
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return _model(nodes, values, constants)


def red_graph() -> onnx.ModelProto:
    """Returns a model that finds what is red, as corners in pixels of its input; score 0.75."""
    nodes = [
        helper.make_node("Split", ["input"], ["red", "green", "blue"], axis=1),
        helper.make_node("Greater", ["red", "half"], ["is red"]),
        helper.make_node("Cast", ["is red"], ["mask"], to=TensorProto.FLOAT),
    ]
    for name, other in (("x", 2), ("y", 3)):
        nodes += [
            helper.make_node("ReduceMax", ["mask"], [f"{name} mask"], axes=[1, other], keepdims=0),
            _argmax(f"{name} mask", f"{name} first", last=0),
            _argmax(f"{name} mask", f"{name} last", last=1),
            helper.make_node("Add", [f"{name} last", "one"], [f"{name} end"]),
        ]
    corners = ["x first", "y first", "x end", "y end"]
    nodes += [
        helper.make_node("Concat", corners, ["corners"], axis=1),
        helper.make_node("Cast", ["corners"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "one"], ["boxes"]),
        helper.make_node("ReduceMin", ["boxes"], ["least"], axes=[2]),
        helper.make_node("Mul", ["least", "nothing"], ["no scores"]),
        helper.make_node("Add", ["no scores", "told"], ["scores"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(0.5, np.float32), "half"),
        numpy_helper.from_array(np.array([1]), "one"),
        numpy_helper.from_array(np.array(0.0, np.float32), "nothing"),
        numpy_helper.from_array(np.array([[[0.25, 0.75]]], np.float32), "told"),
    ]
    values = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", 1, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 1, 2]),
    ]
    return _model(nodes, values, constants)


def write_detector(
    repository: Path,
    model: onnx.ModelProto,
    tables: str = CORNERS,
    labels: tuple[str, ...] = ("nothing", "red thing"),
    name: str = "detector",
    image: str = IMAGE,
) -> Path:
    """Writes an artifact of a detector and returns its folder."""
    folder = repository / name
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    (folder / "red.png").write_bytes(picture("red", (64, 48)))
    digests = {
        key: sha256(folder / file)
        for key, file in (("model", "model.onnx"), ("labels", "labels.txt"), ("check", "red.png"))
    }
    toml = TOML.format(name=name, tables=f"{image}\n{tables}", **digests)
    (folder / "model.toml").write_text(toml)
    return folder


def _argmax(name: str, found: str, last: int) -> onnx.NodeProto:
    return helper.make_node("ArgMax", [name], [found], axis=1, keepdims=1, select_last_index=last)


def _model(
    nodes: list[onnx.NodeProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto],
) -> onnx.ModelProto:
    shape: list[Any] = ["batch", 3, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        outputs,
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
