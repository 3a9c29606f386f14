"""Tests of the built sentence model: meanings lie close, and nothing depends on the padding."""

from __future__ import annotations

import functools
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from zeropoint import loader
from zeropoint.artifact import LocalRepository
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.settings import Settings

NAME = "minilm-l6-v2"
PAIRS = (
    ("A man is playing a guitar.", "Someone performs music on a string instrument."),
    ("The stock market fell sharply today.", "Shares dropped in heavy trading."),
    ("How do I reset my password?", "I forgot my login credentials, what now?"),
)


@pytest.fixture(scope="module", params=["original", "int8-dynamic"])
def minilm(built_repository: Path, request: pytest.FixtureRequest) -> Model:
    """One of the model's files, which has given its known answer."""
    return loader.load(LocalRepository(built_repository), NAME, Settings(), variant=request.param)


@functools.cache
def original(repository: Path) -> Model:
    """The file in floating point; of integers, what fills a row up sets the scale too."""
    return loader.load(LocalRepository(repository), NAME, Settings(), variant="original")


def test_neighbours_do_not_change_an_answer(minilm: Model) -> None:
    texts = ["cat", "the dog " * 100, "", "A man is playing a guitar."]
    together = [one["embedding"] for one in minilm.answer(texts).predictions]
    for text, beside in zip(texts, together, strict=True):
        (alone,) = minilm.answer([text]).predictions
        np.testing.assert_allclose(beside, alone["embedding"], atol=1e-5)


def test_raw_rows_do_not_change_each_other(minilm: Model) -> None:
    ids = np.random.default_rng(0).integers(1000, 20000, (4, 12))
    tensors = {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
    (together,) = minilm.execute(tensors).tensors.values()
    for row in range(4):
        one = {name: tensor[row : row + 1] for name, tensor in tensors.items()}
        (alone,) = minilm.execute(one).tensors.values()
        np.testing.assert_allclose(together[row : row + 1], alone, atol=1e-5)


@pytest.fixture(scope="module")
def tokenizer(built_repository: Path) -> Tokenizer:
    """Its tokenizer, that cuts at 256 tokens as the manifest says."""
    found = Tokenizer.from_file(str(built_repository / NAME / "tokenizer.json"))
    found.no_padding()
    found.enable_truncation(256)
    return found


def test_paraphrases_lie_close_and_others_do_not(minilm: Model) -> None:
    texts = [text for pair in PAIRS for text in pair]
    instances = [[one, other] for one in texts for other in texts]
    told = minilm.answer(instances, {"similarity": True}).predictions
    cosines = np.array([one["similarity"] for one in told]).reshape(6, 6)
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-6)
    room = 0.01 if minilm.variant == "original" else 0.02
    np.testing.assert_allclose(cosines[[0, 2, 4], [1, 3, 5]], [0.66, 0.62, 0.65], atol=room)
    others = [cosines[a, b] for a in range(6) for b in range(6) if a // 2 != b // 2]
    assert min(others) > -0.12
    assert max(others) < 0.06


def test_an_embedding_is_of_length_one(minilm: Model) -> None:
    for prediction in minilm.answer(["cat", "", "🐈", "猫 " * 300]).predictions:
        assert len(prediction["embedding"]) == 384
        assert math.hypot(*prediction["embedding"]) == pytest.approx(1, abs=1e-6)


def test_a_sentence_is_the_same_beside_a_longer_one(minilm: Model) -> None:
    for short, long in (("cat", "the dog " * 100), ("", "A man is playing a guitar.")):
        (pair,) = minilm.answer([[short, long]], {"similarity": True}).predictions
        one, other = (told["embedding"] for told in minilm.answer([short, long]).predictions)
        room = 1e-5 if minilm.variant == "original" else 0.01  # what fills up sets a scale there
        assert pair["similarity"] == pytest.approx(np.dot(one, other), abs=room)


@given(extra=st.integers(1, 40), filling=st.integers(0, 30521))
@settings(max_examples=20, deadline=None)
def test_what_fills_a_row_up_does_not_count(
    built_repository: Path, extra: int, filling: int
) -> None:
    minilm = original(built_repository)
    ids = np.array([[101, 1996, 4937, 2003, 2204, 102]])
    tensors = {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
    wide = {name: np.pad(one, ((0, 0), (0, extra))) for name, one in tensors.items()}
    wide["input_ids"][:, ids.shape[1] :] = filling
    (alone,) = minilm.execute(tensors).tensors.values()
    (padded,) = minilm.execute(wide).tensors.values()
    np.testing.assert_allclose(padded, alone, atol=1e-5)


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "docs/guides/bigquery.md"])
def test_a_long_text_has_the_tokens_of_the_whole(
    minilm: Model, tokenizer: Tokenizer, name: str
) -> None:
    text = (Path(__file__).parents[2] / name).read_text()
    for start in range(0, len(text), 2000):
        whole = tokenizer.encode(text[start:])
        (prediction,) = minilm.answer([text[start:]]).predictions
        assert prediction["tokens"] == len(whole.ids)
        assert prediction["truncated"] == bool(whole.overflowing)
    ids = np.array([tokenizer.encode(text).ids])
    tensors = {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
    (expected,) = minilm.execute(tensors).tensors.values()
    (prediction,) = minilm.answer([text]).predictions
    np.testing.assert_allclose(prediction["embedding"], expected[0], atol=1e-6)


@pytest.mark.parametrize("unit", ["the ", "x", " ", "\0", "\u0301", "\U0001f600", "中", "."])
def test_thirty_megabytes_cost_what_a_long_text_does(minilm: Model, unit: str) -> None:
    data = Blob(unit.encode() * (30_000_000 // len(unit.encode())), "text/plain")
    began_s = time.perf_counter()
    (prediction,) = minilm.answer([data]).predictions
    assert time.perf_counter() - began_s < 2  # a tenth of that, on a machine with nothing to do
    assert prediction["truncated"]
