"""Builds the artifact minilm-l6-v2: `python build.py --work DIR --out DIR`."""

import argparse
import shutil
from pathlib import Path

import minilm
from sources import read

HERE = Path(__file__).resolve().parent
OUTPUT = "sentence_embedding"
COMMITTED = ("model.toml", "card.md", "LICENSE", "NOTICE", "check/text.txt")


def main() -> None:
    """Writes the whole artifact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for downloads")
    parser.add_argument("--out", type=Path, required=True, help="the artifact's folder")
    options = parser.parse_args()
    files = read(minilm.SOURCE, options.work)
    graph = minilm.Graph()
    minilm.encode(graph, minilm.read_weights(files[minilm.WEIGHTS]), OUTPUT)
    model = graph.model("minilm-l6-v2", OUTPUT, minilm.HIDDEN)
    out: Path = options.out
    (out / "check").mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (out / "tokenizer.json").write_bytes(files[minilm.TOKENIZER])
    for name in COMMITTED:
        shutil.copyfile(HERE / name, out / name)


if __name__ == "__main__":
    main()
