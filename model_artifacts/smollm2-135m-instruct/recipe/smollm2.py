"""SmolLM2-135M-Instruct as an ONNX graph with a cache, built from a GGUF file: for its recipe.

The file has blocks of 32 weights: those of layers 4 bits, a scale and a minimum (Q4_1), those of
the embeddings 8 bits and a scale (Q8_0). Both go into ONNX Runtime's MatMulNBits as they are:

- A weight of 4 bits is ``scale * q + minimum``, and MatMulNBits knows ``scale * (q - 8)``. What is
  missing is ``minimum + 8 * scale``, the same for a whole block: it is multiplied by the sum of
  the block's inputs. (Its zero points are integers: with those the perplexity is 25 % higher.)
- A weight of 8 bits is ``scale * (16 * high + low - 128)``: two of 4 bits, as its kernel for 8 bits
  is 60 times slower in float32. Embeddings are looked up in the same two tables.

Inputs: ``input_ids`` int64 [batch, sequence]; ``seqlens_k`` int32 [batch], the tokens of each row
after the pass, minus 1; ``total_sequence_length`` int32 [], the largest of them plus 1;
``positions`` int64 [asked], where logits are wanted, the same of all rows, perhaps none; the cache,
``past_key.N`` and ``past_value.N``, float32 [batch, 3, capacity, 64] of each layer.
Outputs: ``logits`` float32 [batch, asked, 49152]; the cache with the pass's tokens,
``present_key.N`` and ``present_value.N``, each to be bound to the memory of its past.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

LAYERS, HEADS, KEY_VALUE_HEADS, HEAD_SIZE = 30, 9, 3, 64
HIDDEN, WIDE, VOCABULARY, CONTEXT = 576, 1536, 49152, 8192
Kind = Literal["float", "blocks"]
_EPSILON, _BASE = 1e-5, 100000.0
_BLOCK = 32
_ONNX_RUNTIME = "com.microsoft"
_EMBEDDINGS = "token_embd.weight"
_Array = NDArray[Any]
_GATHER: dict[str, Any] = {
    "gather_axis": 0,
    "quantize_axis": 2,
    "block_size": _BLOCK,
    "bits": 4,
}


class Weights:
    """The tensors of a GGUF file.

    Args:
        path: The file, verified.
    """

    def __init__(self, path: str) -> None:
        self._tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}

    def floats(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Returns tensors one below another, in float32."""
        found = [self._tensors[name] for name in names]
        rows = [dequantize(np.asarray(one.data), one.tensor_type) for one in found]
        return np.concatenate(rows).astype(np.float32)

    def fours(self, names: Sequence[str]) -> tuple[_Array, _Array, _Array]:
        """Returns scales and minimums [rows, blocks] and 4-bit weights [rows, blocks, 32]."""
        blocks = self._blocks(names, GGMLQuantizationType.Q4_1, 20)
        packed = blocks[:, :, 4:]  # a byte has weights i and i + 16
        weights = np.concatenate((packed & 15, packed >> 4), axis=-1)
        return _half(blocks[:, :, :2]), _half(blocks[:, :, 2:4]), weights

    def eights(self, names: Sequence[str]) -> tuple[_Array, _Array]:
        """Returns scales [rows, blocks] and weights, with 128 added, uint8 [rows, blocks, 32]."""
        blocks = self._blocks(names, GGMLQuantizationType.Q8_0, 34)
        return _half(blocks[:, :, :2]), blocks[:, :, 2:] ^ 128

    def _blocks(self, names: Sequence[str], kind: GGMLQuantizationType, size: int) -> _Array:
        for name in names:
            if self._tensors[name].tensor_type != kind:
                raise ValueError(f"{name}: expected {kind.name}")
        data = np.concatenate([np.asarray(self._tensors[name].data) for name in names])
        return data.reshape(len(data), -1, size)


class Graph:
    """Nodes and weights, collected in the order in which they are needed.

    Args:
        weights: Of the model.
        kind: ``float`` for float32, or ``blocks`` as the file has them.
    """

    def __init__(self, weights: Weights, kind: Kind) -> None:
        self._weights, self._kind = weights, kind
        self._nodes: list[NodeProto] = []
        self._made: set[str] = set()
        self._constants: dict[str, _Array] = {}

    def model(self, name: str) -> ModelProto:
        """Returns the whole model."""
        self._rotations()
        vectors, added = self._embed(), ""
        for layer in range(LAYERS):
            vectors, added = self._layer(layer, vectors, added)
        # Of the positions that are asked for, which may be none: in a prompt's first chunks.
        vectors = self._node("Gather", "vectors_at", vectors, "positions", axis=1)
        added = self._node("Gather", "added_at", added, "positions", axis=1)
        normal, _ = self._normalise("output_norm", vectors, added)
        self._head(normal)
        constants = [numpy_helper.from_array(value, key) for key, value in self._constants.items()]
        graph = helper.make_graph(self._nodes, name, _inputs(), _outputs(), constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(_ONNX_RUNTIME, 1)],
            ir_version=10,
            producer_name="zeropoint",
            producer_version="1",
        )

    def _constant(self, name: str, value: _Array) -> str:
        self._constants.setdefault(name, np.ascontiguousarray(value))
        return name

    def _node(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        if name not in self._made:  # sums of blocks are asked for twice
            self._made.add(name)
            outputs = attributes.pop("outputs", [name])
            node = helper.make_node(operator, list(inputs), outputs, name, **attributes)
            self._nodes.append(node)
        return name

    def _own(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        return self._node(operator, name, *inputs, domain=_ONNX_RUNTIME, **attributes)

    def _rotations(self) -> None:
        speeds = _BASE ** -(np.arange(0, HEAD_SIZE, 2) / HEAD_SIZE)
        angles = np.arange(CONTEXT)[:, None] * speeds
        self._constant("cosines", np.cos(angles).astype(np.float32))
        self._constant("sines", np.sin(angles).astype(np.float32))

    def _embed(self) -> str:
        if self._kind == "float":
            table = self._constant("embeddings", self._weights.floats([_EMBEDDINGS]))
            return self._node("Gather", "vectors", table, "input_ids")
        scales, weights = self._weights.eights([_EMBEDDINGS])
        self._constant("low.minimums", (8 * scales).T)
        zero = self._constant("low.zero", np.zeros((*scales.shape, 1), np.uint8))
        halves = {"high": (weights >> 4, 16 * scales, ()), "low": (weights & 15, scales, (zero,))}
        for name, (half, scale, zeros) in halves.items():
            self._constant(name, _packed(half))
            self._constant(f"{name}.scales", scale)
            # Blocks are an axis of their own, so that the head can use the same table.
            column = self._constant(f"{name}.column", scale[..., None])
            self._own(
                *("GatherBlockQuantized", f"{name}.vectors", name, "input_ids", column, *zeros),
                **_GATHER,
            )
        blocks = self._node("Add", "vector_blocks", "high.vectors", "low.vectors")
        flat = self._constant("flat", np.array([0, 0, HIDDEN], np.int64))
        return self._node("Reshape", "vectors", blocks, flat)

    def _head(self, normal: str) -> None:
        if self._kind == "float":
            self._own("FusedMatMul", "logits", normal, "embeddings", transB=1)
            return
        parts = [
            self._nbits(f"logits.{name}", normal, name, f"{name}.scales", HIDDEN, VOCABULARY)
            for name in ("high", "low")
        ]
        sums = self._sums(normal, HIDDEN)
        parts.append(self._node("MatMul", "logits.minimums", sums, "low.minimums"))
        self._node("Sum", "logits", *parts)

    def _layer(self, layer: int, vectors: str, added: str) -> tuple[str, str]:
        place = f"blk.{layer}."
        normal, vectors = self._normalise(f"{place}attn_norm", vectors, added)
        names = [f"{place}attn_{kind}" for kind in "qkv"]
        joined = self._linear(f"{place}attn_qkv", names, normal)
        past = [f"past_{kind}.{layer}" for kind in ("key", "value")]
        present = [f"present_{kind}.{layer}" for kind in ("key", "value")]
        mixed = self._own(
            *("GroupQueryAttention", f"{place}mixed", joined, "", "", *past),
            *("seqlens_k", "total_sequence_length", "cosines", "sines"),
            outputs=[f"{place}mixed", *present],
            num_heads=HEADS,
            kv_num_heads=KEY_VALUE_HEADS,
            do_rotary=1,
            rotary_interleaved=1,  # as the file's weights are
        )
        added = self._linear(f"{place}attn_output", [f"{place}attn_output"], mixed)
        normal, vectors = self._normalise(f"{place}ffn_norm", vectors, added)
        names = [f"{place}ffn_gate", f"{place}ffn_up"]
        both = self._linear(f"{place}ffn_gate_up", names, normal)
        halves = [f"{place}gate", f"{place}up"]
        widths = self._constant("widths", np.array([WIDE, WIDE], np.int64))
        self._node("Split", f"{place}halves", both, widths, outputs=halves, axis=-1)
        self._own("QuickGelu", f"{place}silu", f"{place}gate", alpha=1.0)
        gated = self._node("Mul", f"{place}gated", f"{place}silu", f"{place}up")
        return vectors, self._linear(f"{place}ffn_down", [f"{place}ffn_down"], gated)

    def _normalise(self, name: str, vectors: str, added: str) -> tuple[str, str]:
        """Returns the normalised sum, and the sum."""
        scale = self._constant(f"{name}.weight", self._weights.floats([f"{name}.weight"]))
        if not added:
            kind = "SimplifiedLayerNormalization"
            return self._node(kind, name, vectors, scale, axis=-1, epsilon=_EPSILON), vectors
        last = name == "output_norm"
        outputs = [name] if last else [name, "", "", f"{name}.sum"]
        kind = "SkipSimplifiedLayerNormalization"
        self._own(kind, name, vectors, added, scale, outputs=outputs, epsilon=_EPSILON)
        return name, f"{name}.sum"

    def _linear(self, name: str, names: Sequence[str], vectors: str) -> str:
        names = [f"{one}.weight" for one in names]
        if self._kind == "float":
            weight = self._constant(f"{name}.weight", self._weights.floats(names).T)
            return self._node("MatMul", name, vectors, weight)
        scales, minimums, weights = self._weights.fours(names)
        rows, width = len(scales), scales.shape[1] * _BLOCK
        table = self._constant(f"{name}.weight", _packed(weights))
        scale = self._constant(f"{name}.scales", scales)
        product = self._nbits(f"{name}.product", vectors, table, scale, width, rows)
        missing = self._constant(f"{name}.minimums", (minimums + 8 * scales).T)
        rest = self._node("MatMul", f"{name}.rest", self._sums(vectors, width), missing)
        return self._node("Add", name, product, rest)

    def _nbits(self, name: str, vectors: str, table: str, scale: str, width: int, rows: int) -> str:
        sizes: dict[str, Any] = {"K": width, "N": rows, "bits": 4, "block_size": _BLOCK}
        return self._own(
            *("MatMulNBits", name, vectors, table, scale),
            **sizes,
            accuracy_level=0,  # sums in float32
        )

    def _sums(self, vectors: str, width: int) -> str:
        """Adds the sum of each block of 32: one product is quicker than Reshape and ReduceSum."""
        ones = np.kron(np.eye(width // _BLOCK), np.ones((_BLOCK, 1))).astype(np.float32)
        return self._node("MatMul", f"{vectors}.sums", vectors, self._constant(f"s{width}", ones))


def _half(pairs: _Array) -> NDArray[np.float32]:
    return np.ascontiguousarray(pairs).view("<f2")[..., 0].astype(np.float32)


def _packed(weights: _Array) -> NDArray[np.uint8]:
    """Returns 4-bit weights two in a byte, the first one in its low half."""
    return np.asarray(weights[..., 0::2] | weights[..., 1::2] << 4, np.uint8)


def _inputs() -> list[Any]:
    told = helper.make_tensor_value_info
    return [
        told("input_ids", TensorProto.INT64, ["batch", "sequence"]),
        told("seqlens_k", TensorProto.INT32, ["batch"]),
        told("total_sequence_length", TensorProto.INT32, []),
        told("positions", TensorProto.INT64, ["asked"]),
        *_cache("past"),
    ]


def _outputs() -> list[Any]:
    shape: list[str | int | None] = ["batch", "asked", VOCABULARY]
    return [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape), *_cache("present")]


def _cache(when: str) -> list[Any]:
    shape: list[str | int | None] = ["batch", KEY_VALUE_HEADS, "capacity", HEAD_SIZE]
    return [
        helper.make_tensor_value_info(f"{when}_{kind}.{layer}", TensorProto.FLOAT, shape)
        for layer in range(LAYERS)
        for kind in ("key", "value")
    ]
