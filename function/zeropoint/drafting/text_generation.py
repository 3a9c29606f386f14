"""Drafts [text] and [decoder] of the task text-generation, by what an export's folder tells."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zeropoint.drafting.draft import Asked, Draft, Tables, file_of, read_text, tokenizer
from zeropoint.drafting.graph import Graph, in_words
from zeropoint.errors import ManifestError
from zeropoint.generation.layout import DecoderTable, layout
from zeropoint.tasks.text_generation import EXAMPLE
from zeropoint.tensors import TensorSpec

_KEYS_OF_A_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "seq_length")
_USUAL_CONTEXT = 2048
_USUAL_ENDS = ["<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "</s>", "<eos>"]
_USUAL_ENDS += ["<|endoftext|>", "<|end_of_text|>"]
_FEW_TOKENS = 32  # of an answer without a chat template, as nothing ends it
_CONTEXT = "how many tokens the model was trained to read and write: more is noise."
_STOPS = "the tokens that end a text, as in training."
_LENGTH = "most tokens of an answer where the caller names no other number."
_NO_TEMPLATE = "No chat template was found: it goes on with a text, and takes no messages."
_BATCH = "Most texts that are written in one pass: measure what several callers gain."


def misfit(graph: Graph) -> str:
    """Returns why the model writes no text, or nothing if it does."""
    try:
        layout(_decoder(graph), graph.inputs, graph.outputs, graph.path.name)
    except ManifestError:
        return (
            "it takes input_ids and a cache of keys and values, [rows, heads, tokens, size] for"
            f" each layer, and gives logits, not {in_words(graph.inputs[:4])}"
        )
    return ""


def draft(graph: Graph, asked: Asked) -> Draft:
    """Drafts a model that writes.

    Raises:
        ManifestError: there is no tokenizer.
    """
    drafted = Draft()
    data, taken = tokenizer(asked)
    beside = [one.parent for one in (asked.tokenizer, graph.path) if one]
    template = _template(beside)
    if not template and asked.like and "chat_template" in taken:
        template = file_of(asked.like, taken["chat_template"]).decode()
    text: Tables = {"tokenizer": drafted.add_file("tokenizer.json", data)}
    if template:
        text["chat_template"] = drafted.add_file("chat_template.jinja", template.encode())
    else:
        drafted.notes["text"] = _NO_TEMPLATE
    ends = list(taken.get("stop_tokens", ())) or _ends(beside, data)
    text |= {"stop_tokens": ends, "max_tokens": 512 if template else _FEW_TOKENS}
    table = _decoder(graph)
    drafted.tables["text"] = text
    drafted.tables["decoder"] = {
        "context": _context(beside),
        "cache": table.cache,
        "past": list(table.past),
        "present": list(table.present),
    }
    drafted.notes["max_batch"] = _BATCH
    drafted.undecided["text.stop_tokens"] = _STOPS
    drafted.undecided["text.max_tokens"] = _LENGTH
    drafted.undecided["decoder.context"] = _CONTEXT
    drafted.add_example("check/prompt.txt", EXAMPLE.encode(), asked.example)
    return drafted


def _decoder(graph: Graph) -> DecoderTable:
    """Returns the table, the names of the cache by those of the graph's tensors of rank 4."""
    shared = any(spec.name in ("seqlens_k", "total_sequence_length") for spec in graph.inputs)
    shared = shared or "GroupQueryAttention" in graph.hints.operators
    plain = DecoderTable(context=2)
    return DecoderTable(
        context=2,
        cache="shared" if shared else "appended",
        past=_patterns(graph.inputs) or plain.past,
        present=_patterns(graph.outputs) or plain.present,
    )


def _patterns(specs: Sequence[TensorSpec]) -> tuple[str, ...]:
    """Returns the names of a layer's tensors, ``{}`` for its number, as layer 0 has them."""
    names = [spec.name for spec in specs if len(spec.shape) == 4]
    return tuple(
        re.sub(r"(?<!\d)0(?!\d)", "{}", name, count=1)
        for name in names
        if re.search(r"(?<!\d)0(?!\d)", name)
    )


def _template(folders: Sequence[Path]) -> str:
    """Returns the chat template of an export's folder, its own tokens named; empty: none."""
    for folder in folders:
        config = _json(folder / "tokenizer_config.json")
        found = config.get("chat_template")
        if (folder / "chat_template.jinja").is_file():
            found = read_text(folder / "chat_template.jinja")
        if isinstance(found, str):
            named = [
                f"{{%- set {key} = {json.dumps(_token(config.get(key)))} -%}}"
                for key in ("bos_token", "eos_token")
                if key in found
            ]
            return "".join(named) + found
    return ""


def _ends(folders: Sequence[Path], tokenizer: bytes) -> list[str]:
    """Returns the tokens that end a text: the one that the folder names, and usual ones."""
    named = [_token(_json(one / "tokenizer_config.json").get("eos_token")) for one in folders]
    try:
        added = json.loads(tokenizer).get("added_tokens") or []
        known = {one["content"] for one in added}
    except (ValueError, AttributeError, TypeError, KeyError):
        known = set()
    return list(dict.fromkeys(one for one in (*named, *_USUAL_ENDS) if one in known))


def _context(folders: Sequence[Path]) -> int:
    for folder in folders:
        config = _json(folder / "config.json")
        for key in _KEYS_OF_A_CONTEXT:
            if isinstance(found := config.get(key), int) and 2 <= found <= 1 << 20:
                return found
    return _USUAL_CONTEXT


def _token(value: Any) -> str:
    """Returns a token of tokenizer_config.json, which is a text or an object."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
