"""Measures what the model writes: does it foresee a book, does it answer as in float32?"""

import functools
import json
import math
import tempfile
from pathlib import Path
from typing import cast

import alice
from isolated import MODELS, follow
from zeropoint import loader
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.model import Model
from zeropoint.optimize import perplexity
from zeropoint.settings import Settings
from zeropoint.writer import Writer

NAME = "smollm2-135m-instruct"
ANSWERS = Path(__file__).resolve().with_name("answers.json")
MOST_TOKENS = 64  # of an answer
_WINDOWS, _WINDOW = 4, 512  # of the book, tokens each


def evaluate(model: Model, work: Path) -> dict[str, float]:
    """Returns the card's figures, by Zeropoint's own answers.

    Args:
        model: The artifact's.
        work: The folder for downloads.
    """
    writer = cast(Writer, model)
    known, of_fp32 = float32(work)
    pairs = list(zip(known, answers(writer), strict=True))
    common = [perplexity.in_common(writer.encode(a), writer.encode(b)) for a, b in pairs]
    return {
        "perplexity": of_book(writer, work),
        "perplexity of float32": of_fp32,
        "same answers as float32, of 20": sum(a == b for a, b in pairs),
        "same tokens as float32": sum(common) / len(common),
        "tokens of float32": sum(len(writer.encode(text)) for text in known) / len(known),
    }


@functools.cache
def float32(work: Path) -> tuple[list[str], float]:
    """Returns the answers and the perplexity of the model in float32, built for it."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        follow(NAME, Path(folder), "--fp32")
        artifact = Artifact(LocalRepository(MODELS), NAME)
        built = loader.build(artifact, Path(folder, "model.fp32.onnx"), Settings())
        writer = cast(Writer, built)
        return answers(writer), of_book(writer, work)


def answers(writer: Writer) -> list[str]:
    """Returns what a model says to the fixed prompts, greedily."""
    prompts = [one["prompt"] for one in json.loads(ANSWERS.read_bytes())]
    told = writer.answer(prompts, {"max_tokens": MOST_TOKENS}).predictions
    return [one["text"] for one in told]


def of_book(writer: Writer, work: Path) -> float:
    """Returns the perplexity on the beginning of a book, in windows without what is before."""
    tokens = writer.encode(alice.book(work))
    nats = 0.0
    for start in range(0, _WINDOWS * _WINDOW, _WINDOW):
        window = tokens[start : start + _WINDOW]
        nats += perplexity.foreseen(writer.scores(window), window)
    return math.exp(nats / (_WINDOWS * (_WINDOW - 1)))
