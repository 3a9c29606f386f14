"""Tiny real text models: a tokenizer of some twenty words, and ONNX graphs that look them up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tiny_models import sha256

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
GOOD, BAD = ("good", "fine", "great"), ("bad", "awful", "poor")
OTHERS = ("a", "the", "is", "cat", "dog", "film", "food", "very", ",", ".", "##s", "##ly")
WORDS = (*SPECIAL, *GOOD, *BAD, *OTHERS)
LABELS = ("good", "bad")
SIZE = 4  # of a vector
MAX_TOKENS = 8  # with [CLS] and [SEP]
# The first two numbers say how good and how bad a word is; the special ones are not silent, so
# that a wrong mask shows.
TABLE = np.array(
    [[word in GOOD, word in BAD, row % 5 - 2, row % 3] for row, word in enumerate(WORDS)],
    np.float32,
)
TABLE[0] = 50.0


def tokenizer() -> Tokenizer:
    """Returns a WordPiece tokenizer as BERT has it, that would cut and pad in its own way."""
    made = Tokenizer(
        models.WordPiece({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]")  # noqa: S106
    )
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    made.enable_truncation(3, stride=1)
    made.enable_padding(length=11, pad_id=0, direction="left")
    return made


def text_graph(
    output: str,
    batch: int | str = "batch",
    seq: int | str = "seq",
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
    dtype: int = TensorProto.INT64,
) -> onnx.ModelProto:
    """Returns a model that looks up a vector for each token.

    Args:
        output: ``hidden`` gives them all, float32 [batch, seq, 4]; ``pooled`` their mean, where
            the mask is 1, [batch, 4]; ``scores`` how good and how bad, [batch, 2].
        batch: The first dimension of the inputs.
        seq: The second.
        inputs: The names of ids and mask, and of types if it has them.
        dtype: The element type of all inputs.
    """
    ids, mask = inputs[:2]
    nodes = [
        helper.make_node("Gather", ["table", ids], ["hidden"]),
        helper.make_node("Cast", [mask], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["weights_3d"]),
        helper.make_node("Mul", ["hidden", "weights_3d"], ["own"]),
        helper.make_node("ReduceSum", ["own", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["weights_3d", "middle"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["pooled"]),
        helper.make_node("MatMul", ["sum", "judge"], ["scores"]),
    ]
    shapes: dict[str, list[Any]] = {
        "hidden": [batch, seq, SIZE],
        "pooled": [batch, SIZE],
        "scores": [batch, len(LABELS)],
    }
    weights: dict[str, NDArray[Any]] = {
        "table": TABLE,
        "judge": np.eye(SIZE, len(LABELS), dtype=np.float32) * 2,
        "middle": np.array([1]),
        "last": np.array([2]),
    }
    graph = helper.make_graph(
        nodes,
        "texts",
        [helper.make_tensor_value_info(name, dtype, [batch, seq]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shapes[output])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_embedding_model(
    repository: Path, name: str = "words", output: str = 'pooling = "mean"', **graph: Any
) -> Path:
    """Writes an artifact of the task text-embedding, and returns its folder.

    Args:
        repository: Where its folder goes.
        name: The model's.
        output: The lines of the manifest's [output].
        graph: As `text_graph` has them, and ``text``: more lines of the manifest's [text].
    """
    text = graph.pop("text", "")
    model = text_graph(graph.pop("kind", "hidden"), **graph)
    # [CLS], the word and [SEP], but for what [output] makes of them.
    expect = {"tokens": 3, "truncated": False}
    return _write(repository / name, "text-embedding", model, text, output, expect)


def write_judge_model(repository: Path, name: str = "judge", **graph: Any) -> Path:
    """Writes an artifact of the task text-classification; as `write_embedding_model` does."""
    text = graph.pop("text", "")
    output = graph.pop("output", 'activation = "softmax"')
    model = text_graph("scores", **graph)
    return _write(repository / name, "text-classification", model, text, output, {"label": "good"})


def _write(
    folder: Path, task: str, model: onnx.ModelProto, text: str, output: str, expect: dict[str, Any]
) -> Path:
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    (folder / "check.txt").write_text("good")
    digests = {path.name: sha256(path) for path in folder.iterdir()}
    labels = f'path = "labels.txt"\nsha256 = "{digests["labels.txt"]}"'
    (folder / "model.toml").write_text(
        f"""\
name = "{folder.name}"
version = "1"
task = "{task}"
license = "CC0-1.0"
file = {{ path = "model.onnx", sha256 = "{digests["model.onnx"]}" }}

[text]
tokenizer = {{ path = "tokenizer.json", sha256 = "{digests["tokenizer.json"]}" }}
max_tokens = {MAX_TOKENS}
{text}
{f"[labels]{chr(10)}{labels}" if task == "text-classification" else ""}

[output]
{output}

[check]
input = "check.txt"
sha256 = "{digests["check.txt"]}"
expect = {{ {", ".join(f"{key} = {json.dumps(value)}" for key, value in expect.items())} }}
"""
    )
    return folder
