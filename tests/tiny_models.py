"""Tiny real ONNX models, built for the tests, in artifacts of their own."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 8
LABELS = ("red", "green", "blue")

COLOUR_TOML = """\
name = "{name}"
version = "1"
task = "image-classification"
license = "CC0-1.0"

[file]
path = "model.onnx"
sha256 = "{model}"

[image]
resize = {{ shorter_side = 8, kernel = "box" }}
crop = [8, 8]
mean = [0.0, 0.0, 0.0]
std = [25.5, 25.5, 25.5]

[labels]
path = "labels.txt"
sha256 = "{labels}"

[output]
activation = "softmax"
top_k = 2

[check]
input = "red.png"
sha256 = "{check}"
expect = {{ label = "red", probability = 1.0, tolerance = 0.001 }}
"""


def colour_graph(batch: int | str = "batch", weights: bool = False) -> onnx.ModelProto:
    """Returns a model that scores a photo by the mean of each channel: float32[n, 3, 8, 8]."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["means"]),
        helper.make_node("Flatten", ["means"], ["scores" if not weights else "flat"]),
    ]
    initializers = []
    if weights:
        nodes.append(helper.make_node("MatMul", ["flat", "weights"], ["scores"]))
        initializers.append(numpy_helper.from_array(np.eye(3, dtype=np.float32), "weights"))
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 3])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def picture(colour: str | tuple[int, ...], size: tuple[int, int] = (16, 12), **save: Any) -> bytes:
    """Returns an image file of one colour, a PNG unless ``format`` says otherwise."""
    file = io.BytesIO()
    Image.new(save.pop("mode", "RGB"), size, colour).save(file, save.pop("format", "PNG"), **save)
    return file.getvalue()


def write_colour_model(
    repository: Path, name: str = "colour", toml: str = COLOUR_TOML, **graph: Any
) -> Path:
    """Writes an artifact whose model tells red, green and blue apart, and returns its folder."""
    folder = repository / name
    folder.mkdir(parents=True)
    onnx.save(colour_graph(**graph), folder / "model.onnx")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    (folder / "red.png").write_bytes(picture("red"))
    (folder / "model.toml").write_text(
        toml.format(
            name=name,
            model=sha256(folder / "model.onnx"),
            labels=sha256(folder / "labels.txt"),
            check=sha256(folder / "red.png"),
        )
    )
    return folder


def write_identity_model(repository: Path, dtype: str, rank: int = 2) -> Path:
    """Writes an artifact of the task tensor: ``x`` comes back as ``y``, and also as ``z``.

    Args:
        repository: Where its folder goes, named as ``dtype`` in lower case.
        dtype: An element type of ONNX: ``FLOAT``, ``STRING``, …
        rank: The number of dimensions, all of which vary.
    """
    element = getattr(TensorProto, dtype)
    shape = [f"d{axis}" for axis in range(rank)]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], [name]) for name in "yz"],
        "identity",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info(name, element, shape) for name in "yz"],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    value: Any = {"STRING": "a", "BOOL": True}.get(dtype, 1)
    for _ in range(rank - 1):  # an instance is without the first dimension
        value = [value]
    return write_tensor_model(repository, dtype.lower(), model, value, {"y": value, "z": value})


def write_slow_model(repository: Path) -> Path:
    """Writes the artifact ``slow`` of the task tensor: it takes as long as it is told to.

    ``x``, int64[1], is how often it multiplies a matrix, a few milliseconds each; 1 comes back.
    """
    side = 384
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "eye"], ["after"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [side, side]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [side, side]),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Squeeze", ["x"], ["turns"]),
            helper.make_node("Loop", ["turns", "", "eye"], ["product"], body=body),
            helper.make_node("ReduceMax", ["product"], ["most"], keepdims=0),
            helper.make_node("Reshape", ["most", "one"], ["y"]),
        ],
        "slow",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [
            numpy_helper.from_array(np.eye(side, dtype=np.float32), "eye"),
            numpy_helper.from_array(np.array([1]), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return write_tensor_model(repository, "slow", model, 1, {"y": 1.0})


def write_lookup_model(repository: Path, max_batch: int = 1) -> None:
    """Writes the artifact ``lookup`` of the task tensor: 0.0, 1.0 and 2.0 of 0, 1 and 2.

    Of any other index a forward pass fails.
    """
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "lookup",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.arange(3, dtype=np.float32), "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    toml = write_tensor_model(repository, "lookup", model, 1, {"y": 1.0}) / "model.toml"
    batch = f'version = "1"\nmax_batch = {max_batch}\n'
    toml.write_text(toml.read_text().replace('version = "1"\n', batch))


def write_tensor_model(
    repository: Path, name: str, model: onnx.ModelProto, value: Any, expect: dict[str, Any]
) -> Path:
    """Writes an artifact of the task tensor with its known answer, and returns its folder."""
    folder = repository / name
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    (folder / "check.json").write_text(json.dumps(value))
    digests = {key: sha256(folder / key) for key in ("model.onnx", "check.json")}
    (folder / "model.toml").write_text(
        f"""\
name = "{name}"
version = "1"
task = "tensor"
license = "CC0-1.0"
file = {{ path = "model.onnx", sha256 = "{digests["model.onnx"]}" }}

[check]
input = "check.json"
sha256 = "{digests["check.json"]}"
expect = {{ {", ".join(f"{key} = {json.dumps(known)}" for key, known in expect.items())} }}
"""
    )
    return folder


def sha256(path: Path) -> str:
    """Returns a file's digest in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
