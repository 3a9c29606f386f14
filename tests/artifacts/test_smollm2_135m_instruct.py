"""Tests of the built model that writes: the capital of France, and what integers change.

``ZEROPOINT_PROMPTS=20`` asks all of the fixed prompts, and not only the first.
"""

from __future__ import annotations

import http.client
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from built_models import built
from servers import ROOT, Server
from zeropoint import loader
from zeropoint.artifact import LocalRepository
from zeropoint.optimize import perplexity
from zeropoint.settings import Settings
from zeropoint.writer import Writer

NAME = "smollm2-135m-instruct"
QUESTION = "What is the capital of France? Answer in one sentence."
PARIS = "The capital of France is Paris."
PROMPTS = int(os.environ.get("ZEROPOINT_PROMPTS", "4"))
MOST_TOKENS = 64  # of an answer to a fixed prompt
# Jane Austen, Pride and Prejudice, 1813: the beginning.
BOOK = """\
It is a truth universally acknowledged, that a single man in possession of a good fortune, must be \
in want of a wife.

However little known the feelings or views of such a man may be on his first entering a \
neighbourhood, this truth is so well fixed in the minds of the surrounding families, that he is \
considered as the rightful property of some one or other of their daughters.

"My dear Mr. Bennet," said his lady to him one day, "have you heard that Netherfield Park is let \
at last?"

Mr. Bennet replied that he had not.

"But it is," returned she; "for Mrs. Long has just been here, and she told me all about it."

Mr. Bennet made no answer.

"Do not you want to know who has taken it?" cried his wife impatiently.

"You want to tell me, and I have no objection to hearing it."

This was invitation enough.
"""


@pytest.fixture(scope="module")
def repository() -> Path:
    """A repository of this model alone."""
    return built(NAME).parent


def load(repository: Path, variant: str) -> Writer:
    """Loads one of the model's files, which gives its known answer."""
    return cast(Writer, loader.load(LocalRepository(repository), NAME, Settings(), variant=variant))


@pytest.fixture(scope="module")
def original(repository: Path) -> Writer:
    """The file with sums in floating point."""
    return load(repository, "original")


@pytest.fixture(scope="module")
def variant(repository: Path) -> Writer:
    """The file with sums of integers."""
    return load(repository, "int8-sums")


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    """A server that chooses the file by itself."""
    with Server({"ZEROPOINT_MODELS": str(repository)}, measured=False) as running:
        running.wait_until_ready()
        yield running


def ask(server: Server, body: bytes, media_type: str, accept: str) -> tuple[str, str]:
    """Returns the media type and the body of a server's answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Content-Type": media_type, "Accept": accept}
    connection.request("POST", f"/predict/{NAME}", body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
    return answer.headers["Content-Type"], text


def test_a_server_knows_the_capital_of_france(server: Server) -> None:
    for body, media_type in [
        (QUESTION.encode(), "text/plain"),
        (json.dumps({"instances": [QUESTION]}).encode(), "application/json"),
    ]:
        _, text = ask(server, body, media_type, "application/json")
        (prediction,) = json.loads(text)["predictions"]
        assert prediction["text"] == PARIS
        assert prediction["finish_reason"] == "stop"
        assert (prediction["prompt_tokens"], prediction["completion_tokens"]) == (42, 8)


def test_the_capital_of_france_comes_piece_by_piece(server: Server) -> None:
    media_type, text = ask(server, QUESTION.encode(), "text/plain", "text/event-stream")
    assert media_type.startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line]
    assert "".join(event["text"] for event in events) == PARIS
    assert len(events) == 8  # a piece for each of seven tokens, and the end
    assert events[-1]["finish_reason"] == "stop"
    assert events[-1]["model"] == NAME


def test_it_writes_what_the_model_in_float32_wrote(original: Writer) -> None:
    path = ROOT / "model_artifacts" / NAME / "recipe" / "answers.json"
    known = json.loads(path.read_bytes())[:PROMPTS]
    prompts = [one["prompt"] for one in known]
    told = original.answer(prompts, {"max_tokens": MOST_TOKENS}).predictions
    assert [one["text"] for one in told] == [one["answer"] for one in known]


def test_sums_of_integers_foresee_a_book_as_well(original: Writer, variant: Writer) -> None:
    tokens = original.encode(BOOK)
    nats = [perplexity.foreseen(one.scores(tokens), tokens) for one in (original, variant)]
    known, found = (math.exp(one / (len(tokens) - 1)) for one in nats)
    assert 8 < known < 40
    assert known != found
    assert found == pytest.approx(known, rel=0.03)


def test_texts_that_are_written_together_are_those_written_alone(variant: Writer) -> None:
    prompts = ["Write one sentence about a cat.", "Name three colours of the rainbow.", QUESTION]
    before = variant.counts
    together = variant.answer(prompts, {"max_tokens": 24}).predictions
    passes, rows = variant.counts.passes - before.passes, variant.counts.rows - before.rows
    assert rows > passes
    for prompt, told in zip(prompts, together, strict=True):
        assert variant.answer([prompt], {"max_tokens": 24}).predictions == [told]


def test_a_special_token_in_a_message_is_text(original: Writer) -> None:
    (prediction,) = original.answer(["<|im_end|>"], {"max_tokens": 1}).predictions
    (plain,) = original.answer(["a"], {"max_tokens": 1}).predictions
    assert prediction["prompt_tokens"] == plain["prompt_tokens"] - 1 + len(
        original.encode("<|im_end|>")
    )
    assert len(original.encode("<|im_end|>")) > 1
