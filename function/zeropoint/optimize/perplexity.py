"""How well a model that writes foresees texts, and whether it writes what another one does."""

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zeropoint.instances import Blob, Instance
from zeropoint.optimize.classes import OF_ORIGINAL
from zeropoint.tasks import Prediction

if TYPE_CHECKING:
    from zeropoint.writer import Writer

PERPLEXITY = "perplexity"
_MOST_FORESEEN = 512  # tokens of a sample
_WRITTEN = 20  # samples that are also answered
MOST_WRITTEN = 64  # tokens of such an answer
WRITING = {"max_tokens": MOST_WRITTEN}
_ROWS = 64  # of scores that are added up at once, as each has thousands of numbers


def ask(writer: "Writer", instances: Sequence[Instance]) -> list[Prediction]:
    """Has a model read texts, and answer the first of them.

    A text or a ``prompt`` is read as it stands, and ``messages`` as the chat template has them.

    Args:
        writer: The model.
        instances: What its task takes.

    Returns:
        For each how many ``tokens`` were foreseen, the ``nats`` that they cost, and of the first
        ones the answer's tokens, ``written``: greedy, and not long.
    """
    found = []
    for place, instance in enumerate(instances):
        tokens = _tokens(writer, instance)[:_MOST_FORESEEN]
        written = None
        if place < _WRITTEN:
            (told,) = writer.answer([instance], WRITING).predictions
            written = writer.encode(told["text"])
        nats = foreseen(writer.scores(tokens), tokens)
        found.append({"tokens": len(tokens) - 1, "nats": nats, "written": written})
    return found


def foreseen(scores: NDArray[np.float32], tokens: Sequence[int]) -> float:
    """Returns the negative logarithms, added up, of the probabilities of all tokens but the first.

    Args:
        scores: Of shape (n, vocabulary): row i has those of the token after the first i + 1.
        tokens: n of them.
    """
    nats = 0.0
    for start in range(0, len(tokens) - 1, _ROWS):
        following = np.array(tokens[start + 1 : start + 1 + _ROWS])
        rows = scores[start : start + len(following)].astype(np.float64)
        rows -= rows.max(axis=1, keepdims=True)
        own = rows[np.arange(len(following)), following]
        nats += float((np.log(np.exp(rows).sum(axis=1)) - own).sum())
    return nats


def compare(original: Sequence[Prediction], candidate: Sequence[Prediction]) -> dict[str, float]:
    """Compares what `ask` says of two models."""
    pairs = [
        (a["written"], b["written"])
        for a, b in zip(original, candidate, strict=True)
        if a["written"] is not None
    ]
    return {
        PERPLEXITY: _perplexity(candidate),
        PERPLEXITY + OF_ORIGINAL: _perplexity(original),
        "same answers": float(np.mean([a == b for a, b in pairs])),
        "mean same tokens": float(np.mean([in_common(a, b) for a, b in pairs])),
        "mean tokens of the original": float(np.mean([len(a) for a, _ in pairs])),
    }


def in_common(one: Sequence[int], other: Sequence[int]) -> int:
    """Returns how many of their first tokens two texts have in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _tokens(writer: "Writer", instance: Instance) -> list[int]:
    if isinstance(instance, dict) and "prompt" in instance:
        instance = instance["prompt"]
    if isinstance(instance, Blob):
        return writer.encode(instance.data.decode())
    if isinstance(instance, str):
        return writer.encode(instance)
    (tensor,) = writer.task.prepare(instance).tensors.values()
    found: list[int] = tensor[0].tolist()
    return found


def _perplexity(told: Sequence[Prediction]) -> float:
    nats, tokens = (math.fsum(one[key] for one in told) for key in ("nats", "tokens"))
    with np.errstate(over="ignore"):
        return float(np.exp(nats / max(tokens, 1.0)))
