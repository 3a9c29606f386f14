"""Models of many weights, for tests in which models come and go."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tiny_models import write_tensor_model

SIDE = 1600  # weights of 10 MB


def write_weighty_model(repository: Path, name: str, factor: int, known: float = 1.0) -> None:
    """Writes a model that gives ``x`` times a number of its own, by way of 10 MB of weights.

    Args:
        repository: Where its folder goes.
        name: The model's.
        factor: That number.
        known: The ``x`` of the known answer.
    """
    weights = np.zeros((SIDE, SIDE), np.float32)
    weights[:, 0] = factor
    graph = helper.make_graph(
        [
            helper.make_node("Expand", ["x", "wide"], ["row"]),
            helper.make_node("MatMul", ["row", "weights"], ["product"]),
            helper.make_node("ReduceSum", ["product", "axis"], ["sum"], keepdims=1),
            helper.make_node("Div", ["sum", "side"], ["y"]),
        ],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1, SIDE]), "wide"),
            numpy_helper.from_array(np.array([1]), "axis"),
            numpy_helper.from_array(np.array(SIDE, np.float32), "side"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder = write_tensor_model(repository, name, model, [known], {"y": [known * factor]})
    manifest = folder / "model.toml"
    manifest.write_text("max_batch = 8\n" + manifest.read_text())
