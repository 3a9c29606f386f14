"""Builds the artifact spam: `python build.py --work DIR --out DIR`."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

import minilm
from sources import read

HERE = Path(__file__).resolve().parent
COMMITTED = ("model.toml", "labels.txt", "card.md", "LICENSE", "NOTICE", "check/mail.txt")


def main() -> None:
    """Writes the whole artifact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for downloads")
    parser.add_argument("--out", type=Path, required=True, help="the artifact's folder")
    options = parser.parse_args()
    files = read(minilm.SOURCE, options.work)
    head = json.loads((HERE / "head.json").read_bytes())
    graph = minilm.Graph()
    embedding = minilm.encode(graph, minilm.read_weights(files[minilm.WEIGHTS]), "embedding")
    spam = np.array(head["weights"], np.float32)
    # Of ham and spam; a softmax of 0 and x is what the head was trained with, a sigmoid of x.
    graph.weight("head.weights", np.stack([np.zeros_like(spam), spam], axis=1))
    graph.weight("head.bias", np.array([0.0, head["bias"]], np.float32))
    graph.node("MatMul", "head.product", embedding, "head.weights")
    graph.node("Add", "logits", "head.product", "head.bias")
    model = graph.model("spam", "logits", 2)
    out: Path = options.out
    (out / "check").mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (out / "tokenizer.json").write_bytes(files[minilm.TOKENIZER])
    for name in COMMITTED:
        shutil.copyfile(HERE / name, out / name)


if __name__ == "__main__":
    main()
