"""A tiny real transformer that writes, of random weights: one, with a cache of each kind.

Its tokens are characters. What it writes means nothing, but depends on all that stands before it:
`written` says what that has to be, without a cache and in plain NumPy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from tiny_models import sha256

Kind = Literal["lengths", "mask", "appended"]
END = "<end>"
CHARACTERS = "abcdefghijklmnopqrstuvwxyz .,:"
VOCABULARY = (END, *CHARACTERS)
CONTEXT = 2000
LAYERS, HEADS, SIZE = 2, 2, 16
_WIDTH = HEADS * SIZE
_SURE = 0.1  # how far the scores are apart
_TEMPLATE = (
    "{% for m in messages %}{{ m.role[0] + ':' + m.content + '<end>' }}{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)
_random = np.random.default_rng(7)
WEIGHTS = {
    name: (_random.normal(size=shape) * scale).astype(np.float32)
    for name, shape, scale in [
        ("embeddings", (len(VOCABULARY), _WIDTH), 1.0),
        ("places", (CONTEXT, _WIDTH), 0.6),
        *(
            (f"{part}.{layer}", (_WIDTH, _WIDTH), 0.35)
            for layer in range(LAYERS)
            for part in ("query", "key", "value", "mixed", "wide", "narrow")
        ),
    ]
}
WEIGHTS["embeddings"][0] *= 0.1  # it seldom ends a text by itself


def scores(tokens: Sequence[int]) -> NDArray[np.float32]:
    """Returns the scores of the token after each, float32 of shape (n, vocabulary)."""
    length = len(tokens)
    vectors = WEIGHTS["embeddings"][list(tokens)] + WEIGHTS["places"][:length]
    later = np.triu(np.full((length, length), -np.inf), 1)
    for layer in range(LAYERS):
        query, key, value = (
            (vectors @ WEIGHTS[f"{part}.{layer}"]).reshape(length, HEADS, SIZE).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        weights = np.exp(query @ key.swapaxes(1, 2) / SIZE**0.5 + later)
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ value).swapaxes(0, 1).reshape(length, _WIDTH)
        vectors = vectors + mixed @ WEIGHTS[f"mixed.{layer}"]
        wide = np.tanh(vectors @ WEIGHTS[f"wide.{layer}"])
        vectors = vectors + wide @ WEIGHTS[f"narrow.{layer}"]
    return np.asarray(vectors @ WEIGHTS["embeddings"].T * _SURE, np.float32)


def encode(text: str) -> list[int]:
    """Returns a text's tokens."""
    return [VOCABULARY.index(character) for character in text]


def written(prompt: str, count: int) -> str:
    """Returns what is written behind a prompt, in at most ``count`` tokens."""
    tokens = encode(prompt)
    for _ in range(count):
        token = int(scores(tokens)[-1].argmax())
        if VOCABULARY[token] == END:
            break
        tokens.append(token)
    return "".join(VOCABULARY[token] for token in tokens[len(prompt) :])


class _Graph:
    """Nodes, collected."""

    def __init__(self, kind: Kind) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants = dict(WEIGHTS)
        self.kind = kind

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; returns its output's name."""
        name = f"{operator}_{len(self.nodes)}"
        outputs = attributes.pop("outputs", [name])
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, name, **attributes))
        return str(outputs[0])

    def constant(self, value: object, dtype: type[np.generic] = np.int64) -> str:
        """Returns the name of a constant."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.array(value, dtype)
        return name

    def attention(self, layer: int, vectors: str) -> str:
        """Adds a layer's attention, as the kind of its cache has it."""
        parts = [
            self.add("MatMul", vectors, f"{part}.{layer}") for part in ("query", "key", "value")
        ]
        past = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
        present = [f"present.{layer}.{kind}" for kind in ("key", "value")]
        if self.kind == "appended":
            return self._appended(parts, past, present)
        lengths, total = "seqlens_k", "total_sequence_length"
        if self.kind == "mask":
            sums = self.add("ReduceSum", "attention_mask", self.constant([1]), keepdims=0)
            less = self.add("Sub", sums, self.constant(1))
            lengths = self.add("Cast", less, to=TensorProto.INT32)
            shape = self.add("Shape", "attention_mask", start=1, end=2)
            scalar = self.add("Squeeze", shape)
            total = self.add("Cast", scalar, to=TensorProto.INT32)
        return self.add(
            *("GroupQueryAttention", *parts, *past, lengths, total),
            domain="com.microsoft",
            num_heads=HEADS,
            kv_num_heads=HEADS,
            outputs=[f"mixed_{layer}", *present],
        )

    def _appended(self, parts: list[str], past: list[str], present: list[str]) -> str:
        split = self.constant([0, 0, HEADS, SIZE])
        query, key, value = (
            self.add("Transpose", self.add("Reshape", part, split), perm=[0, 2, 1, 3])
            for part in parts
        )
        key = self.add("Concat", past[0], key, axis=2, outputs=[present[0]])
        value = self.add("Concat", past[1], value, axis=2, outputs=[present[1]])
        turned = self.add("Transpose", key, perm=[0, 1, 3, 2])
        found = self.add("MatMul", query, turned)
        found = self.add("Mul", found, self.constant(SIZE**-0.5, np.float32))
        count = self.add("Squeeze", self.add("Shape", "attention_mask", start=1, end=2))
        places = self.add("Range", self.constant(0), count, self.constant(1))
        rows = self.add("Unsqueeze", "position_ids", self.constant([1, 3]))
        seen = self.add("GreaterOrEqual", rows, places)
        mask = self.add("Cast", "attention_mask", to=TensorProto.BOOL)
        seen = self.add("And", seen, self.add("Unsqueeze", mask, self.constant([1, 2])))
        found = self.add("Where", seen, found, self.constant(-1e9, np.float32))
        mixed = self.add("MatMul", self.add("Softmax", found, axis=-1), value)
        mixed = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.add("Reshape", mixed, self.constant([0, 0, _WIDTH]))


def decoder_graph(kind: Kind) -> onnx.ModelProto:
    """Returns the model.

    Args:
        kind: Of its cache: shared and told each row's ``lengths``, or a ``mask``, or ``appended``.
    """
    graph = _Graph(kind)
    words = graph.add("Gather", "embeddings", "input_ids")
    vectors = graph.add("Add", words, graph.add("Gather", "places", "position_ids"))
    for layer in range(LAYERS):
        mixed = graph.add("MatMul", graph.attention(layer, vectors), f"mixed.{layer}")
        vectors = graph.add("Add", vectors, mixed)
        wide = graph.add("Tanh", graph.add("MatMul", vectors, f"wide.{layer}"))
        vectors = graph.add("Add", vectors, graph.add("MatMul", wide, f"narrow.{layer}"))
    if kind == "lengths":
        vectors = graph.add("Gather", vectors, "positions", axis=1)
    turned = graph.add("Transpose", "embeddings", perm=[1, 0])
    sure = graph.add("Mul", vectors, graph.constant(_SURE, np.float32))
    graph.add("MatMul", sure, turned, outputs=["logits"])
    tensor, long, float_ = helper.make_tensor_value_info, TensorProto.INT64, TensorProto.FLOAT
    inputs = [tensor(name, long, ["rows", "tokens"]) for name in ("input_ids", "position_ids")]
    if kind == "lengths":
        inputs.append(tensor("seqlens_k", TensorProto.INT32, ["rows"]))
        inputs.append(tensor("total_sequence_length", TensorProto.INT32, []))
        inputs.append(tensor("positions", long, ["asked"]))
    else:
        inputs.append(tensor("attention_mask", long, ["rows", "all"]))
    outputs = [tensor("logits", float_, ["rows", "asked", len(VOCABULARY)])]
    for layer in range(LAYERS):
        for part in ("key", "value"):
            before: list[str | int | None] = ["rows", HEADS, "past", SIZE]
            after: list[str | int | None] = [
                "rows",
                HEADS,
                "past" if kind != "appended" else "all",
                SIZE,
            ]
            inputs.append(tensor(f"past_key_values.{layer}.{part}", float_, before))
            outputs.append(tensor(f"present.{layer}.{part}", float_, after))
    constants = [numpy_helper.from_array(value, key) for key, value in graph.constants.items()]
    made = helper.make_graph(graph.nodes, "decoder", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9)


def write_decoder(
    repository: Path, kind: Kind = "lengths", name: str = "tiny", max_batch: int = 4, chunk: int = 8
) -> Path:
    """Writes an artifact of the task text-generation, and returns its folder.

    Args:
        repository: Where its folder goes.
        kind: Of its cache.
        name: The model's.
        max_batch: Most texts in one pass.
        chunk: Tokens of a prompt in one pass.
    """
    folder = repository / name
    folder.mkdir(parents=True)
    onnx.save(decoder_graph(kind), folder / "model.onnx")
    made = Tokenizer(models.WordLevel({one: row for row, one in enumerate(VOCABULARY)}, END))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens([END])
    made.save(str(folder / "tokenizer.json"))
    (folder / "chat.jinja").write_text(_TEMPLATE)
    (folder / "check.json").write_text('{"prompt": "it was "}')
    digests = {path.name: sha256(path) for path in folder.iterdir()}
    (folder / "model.toml").write_text(
        f"""\
name = "{name}"
version = "1"
task = "text-generation"
license = "CC0-1.0"
threads = 1
max_batch = {max_batch}
file = {{ path = "model.onnx", sha256 = "{digests["model.onnx"]}" }}

[text]
tokenizer = {{ path = "tokenizer.json", sha256 = "{digests["tokenizer.json"]}" }}
chat_template = {{ path = "chat.jinja", sha256 = "{digests["chat.jinja"]}" }}
stop_tokens = ["{END}"]
max_tokens = 24

[decoder]
context = {CONTEXT}
chunk = {chunk}
cache = "{"appended" if kind == "appended" else "shared"}"

[check]
input = "check.json"
sha256 = "{digests["check.json"]}"
expect = {{ text = "{written("it was ", 24)}" }}
"""
    )
    return folder
