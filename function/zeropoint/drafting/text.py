"""Drafts [text] and [output] of the tasks text-classification and text-embedding."""

import json
from typing import Any

import numpy as np

from zeropoint.drafting import classes
from zeropoint.drafting.draft import Asked, Draft, Tables, tokenizer
from zeropoint.drafting.graph import Graph, in_words
from zeropoint.tasks.text import EXAMPLE
from zeropoint.tensors import TensorSpec

_ROLES = ("input_ids", "attention_mask", "token_type_ids")
_MOST_TOKENS = 8192  # of a manifest
_USUAL_TOKENS = 512
_TOKENS = "most tokens of a text: more costs time and memory, fewer cut texts off."
_POOLING = "how the vectors of tokens become the text's, as in training: mean, cls or max."
_NORMALIZE = "whether vectors get the length 1, as for cosines."
_LIKELY = ("sentence_embedding", "pooled", "last_hidden_state")


def misfit(graph: Graph) -> str:
    """Returns why the model takes no texts, or nothing if it does."""
    integers = all(spec.dtype in (np.int64, np.int32) for spec in graph.inputs)
    ranks = all(
        len(spec.shape) == 2 and spec.shape[0] in (None, 1) and spec.shape[1] != 1
        for spec in graph.inputs
    )
    if not integers or not ranks or len(graph.inputs) not in (2, 3):
        return (
            "it takes ids and mask of tokens, and perhaps types, int64[n, tokens] each, not"
            f" {in_words(graph.inputs)}"
        )
    if "input_ids" not in (roles := _roles(graph)) or len(roles) != len(graph.inputs):
        return f"it is not clear which input is ids and which mask: {in_words(graph.inputs)}"
    return ""


def misfit_classification(graph: Graph) -> str:
    """Likewise, why it is no classifier of texts."""
    one = len(graph.outputs) == 1 and graph.floats and len(graph.outputs[0].shape) == 2
    wanted = f"it gives one output [n, classes] of floats, not {in_words(graph.outputs)}"
    return misfit(graph) or ("" if one else wanted)


def misfit_embedding(graph: Graph) -> str:
    """Likewise, why it makes no vectors of texts."""
    some = [spec for spec in graph.floats if len(spec.shape) in (2, 3)]
    wanted = f"it gives [n, size] or [n, tokens, size] of floats, not {in_words(graph.outputs)}"
    return misfit(graph) or ("" if some else wanted)


def classification(graph: Graph, asked: Asked) -> Draft:
    """Drafts a classifier; raises as `classes.names` and `_text` say."""
    drafted = _text(graph, asked)
    (scores,) = graph.outputs
    labels = classes.names(graph, asked, drafted, graph.width(scores), "labels")
    classes.add_file(drafted, labels)
    activation = classes.activation(graph.tried.get(scores.name), "output.activation", drafted)
    drafted.tables["output"] = {"activation": activation, "top_k": min(5, len(labels))}
    drafted.take_output(asked.like_output("text-classification"), "activation", "top_k")
    return drafted


def embedding(graph: Graph, asked: Asked) -> Draft:
    """Drafts a model of vectors; raises as `_text` says."""
    drafted = _text(graph, asked)
    some = [spec for spec in graph.floats if len(spec.shape) in (2, 3)]
    likely = (spec for word in _LIKELY for spec in some if word in spec.name)
    spec = next(likely, some[0])
    output: Tables = {"pooling": "none" if len(spec.shape) == 2 else "mean", "normalize": True}
    if len(spec.shape) == 3:
        drafted.undecided["output.pooling"] = _POOLING
    found = graph.tried.get(spec.name)
    if len(spec.shape) == 2 and found is not None and _are_unit(found):
        output["normalize"] = False
        drafted.notes["output.normalize"] = "The vector of a try has the length 1 as it is."
    else:
        drafted.undecided["output.normalize"] = _NORMALIZE
    if len(graph.outputs) > 1:
        output["name"] = spec.name
    drafted.tables["output"] = output
    taken = asked.like_output("text-embedding")
    if (taken.get("pooling") == "none") == (output["pooling"] == "none"):
        drafted.take_output(taken, "pooling", "normalize")
    return drafted


def _text(graph: Graph, asked: Asked) -> Draft:
    """Drafts [text] and a text.

    Raises:
        ManifestError: there is no tokenizer.
    """
    drafted = Draft()
    data, taken = tokenizer(asked)
    if asked.like and not asked.tokenizer:
        drafted.notes["text"] = f"As {asked.like.manifest.name} has it."
    roles = _roles(graph)
    most = taken.get("max_tokens") or _most_tokens(graph, roles, data)
    drafted.tables["text"] = {
        "tokenizer": drafted.add_file("tokenizer.json", data),
        "max_tokens": most,
        **{role: spec.name for role, spec in roles.items() if role != spec.name},
    }
    if not taken:
        drafted.undecided["text.max_tokens"] = _TOKENS
    drafted.add_example("check/text.txt", EXAMPLE.encode(), asked.example)
    return drafted


def _roles(graph: Graph) -> dict[str, TensorSpec]:
    """Returns which input takes what, by the words in their names."""
    roles = {}
    for spec in graph.inputs:
        name = spec.name.lower()
        if "mask" in name:
            roles["attention_mask"] = spec
        elif "type" in name or "segment" in name:
            roles["token_type_ids"] = spec
        else:
            roles["input_ids"] = spec
    return {role: roles[role] for role in _ROLES if role in roles}


def _most_tokens(graph: Graph, roles: dict[str, TensorSpec], tokenizer: bytes) -> int:
    """Returns what the model, and else its tokenizer, takes at most; tried, as graphs are silent.

    A model with a table of positions refuses more tokens than that table has.
    """
    if fixed := roles["input_ids"].shape[1]:
        return min(fixed, _MOST_TOKENS)
    few, most = 1, _truncation(tokenizer) or _USUAL_TOKENS
    if _takes(graph, most):
        return most
    while most - few > 1:
        middle = (few + most) // 2
        few, most = (middle, most) if _takes(graph, middle) else (few, middle)
    return few


def _takes(graph: Graph, tokens: int) -> bool:
    return bool(graph.run({spec.name: np.ones((1, tokens), spec.dtype) for spec in graph.inputs}))


def _truncation(tokenizer: bytes) -> int:
    try:
        found: Any = json.loads(tokenizer)["truncation"]["max_length"]
    except (ValueError, KeyError, TypeError):
        return 0
    return found if isinstance(found, int) and 0 < found <= _MOST_TOKENS else 0


def _are_unit(vectors: Any) -> bool:
    return bool(np.allclose(np.linalg.norm(vectors, axis=-1), 1.0, atol=1e-3))
