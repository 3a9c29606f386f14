"""Small real models with layers to quantize."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from zeropoint.tensors import Tensors

SIDE = 16
CLASSES = 10
TOKENS = 50
WIDTH = 64


def _model(
    nodes: Sequence[NodeProto],
    given: Sequence[tuple[str, int, Sequence[Any]]],
    made: tuple[str, Sequence[Any]],
    weights: dict[str, NDArray[Any]],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(*one) for one in given],
        [helper.make_tensor_value_info(made[0], TensorProto.FLOAT, made[1])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
        producer_name="somebody's exporter",
    )


def convolutions(seed: int = 0, delicate: bool = False) -> onnx.ModelProto:
    """Returns a photo classifier: a convolution, a depthwise one, one of 1 x 1, and a Gemm.

    Args:
        seed: Of its weights.
        delicate: Whether the depthwise filters look for edges, so their weights cancel out.
    """
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> NDArray[np.float32]:
        fan_in = int(np.prod(shape[1:]))
        return np.asarray(random.normal(size=shape) * np.sqrt(2 / fan_in), np.float32)

    given: dict[str, NDArray[Any]] = {
        "w1": weights(16, 3, 3, 3),
        "b1": random.normal(size=16).astype(np.float32) * 0.1,
        "w2": weights(16, 1, 3, 3),
        "w3": weights(32, 16, 1, 1),
        "w4": weights(CLASSES, 32),
        "low": np.array(0, np.float32),
        "high": np.array(6, np.float32),
    }
    if delicate:
        edges = given["w2"] * 10
        given["w2"] = edges - edges.mean(axis=(2, 3), keepdims=True)
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "first", pads=[1] * 4),
        helper.make_node("Clip", ["a", "low", "high"], ["b"], "first_clip"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "depthwise", pads=[1] * 4, group=16),
        helper.make_node("Clip", ["c", "low", "high"], ["d"], "depthwise_clip"),
        helper.make_node("Conv", ["d", "w3"], ["e"], "pointwise"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], "pool"),
        helper.make_node("Flatten", ["f"], ["g"], "flat"),
        helper.make_node("Gemm", ["g", "w4"], ["y"], "scores", transB=1),
    ]
    shape = ["batch", 3, SIDE, SIDE]
    return _model(nodes, [("x", TensorProto.FLOAT, shape)], ("y", ["batch", CLASSES]), given)


def matrices(seed: int = 0) -> onnx.ModelProto:
    """Returns a model of tokens: an embedding and two MatMuls, as a transformer's are."""
    random = np.random.default_rng(seed)
    given: dict[str, NDArray[Any]] = {
        "words": random.normal(size=(TOKENS, WIDTH)).astype(np.float32),
        "w1": random.normal(size=(WIDTH, 4 * WIDTH)).astype(np.float32) / 8,
        "w2": random.normal(size=(4 * WIDTH, WIDTH)).astype(np.float32) / 16,
    }
    nodes = [
        helper.make_node("Gather", ["words", "ids"], ["a"], "embedding"),
        helper.make_node("MatMul", ["a", "w1"], ["b"], "up"),
        helper.make_node("Relu", ["b"], ["c"], "relu"),
        helper.make_node("MatMul", ["c", "w2"], ["y"], "down"),
    ]
    shape = ["batch", "seq"]
    return _model(nodes, [("ids", TensorProto.INT64, shape)], ("y", [*shape, WIDTH]), given)


def photos(count: int, seed: int = 0) -> list[Tensors]:
    """Returns whole pixels, (pixel - 127) / 128, of smooth pictures: (1, 3, 16, 16) each."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        coarse = random.integers(0, 256, (1, 3, SIDE // 4, SIDE // 4))
        pixels = coarse.repeat(4, axis=2).repeat(4, axis=3)
        found.append({"x": ((pixels - 127.0) / 128.0).astype(np.float32)})
    return found


def texts(count: int, seed: int = 0) -> list[Tensors]:
    """Returns the ids of tokens, int64 of (1, 3 to 8)."""
    random = np.random.default_rng(seed)
    return [{"ids": random.integers(0, TOKENS, (1, random.integers(3, 9)))} for _ in range(count)]
