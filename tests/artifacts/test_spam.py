"""Tests of the built spam model: plain cases come out right, and its labels in their order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from servers import ROOT
from zeropoint import loader
from zeropoint.artifact import LocalRepository
from zeropoint.model import Model
from zeropoint.settings import Settings


@pytest.fixture(scope="module")
def spam(built_repository: Path) -> Model:
    """The model, which has given its known answer."""
    return loader.load(LocalRepository(built_repository), "spam", Settings())


@pytest.mark.parametrize(
    ("label", "mail"),
    [
        ("spam", "Congratulations, you won!\nClick here to claim your free prize now."),
        ("spam", "Lowest mortgage rates ever\nRefinance today, no credit check. Apply online."),
        ("spam", "Your account has been suspended\nVerify your bank details within 24 hours."),
        ("ham", "Re: kernel panic on boot\nI rebuilt the module and it boots now, thanks."),
        ("ham", "Lunch?"),
        ("ham", "Patch for the parser\nThe attached diff fixes the crash on empty input."),
    ],
)
def test_plain_cases_are_told_apart(spam: Model, label: str, mail: str) -> None:
    (prediction,) = spam.answer([mail]).predictions
    assert prediction["label"] == label
    assert prediction["probability"] > 0.9
    assert {one["label"]: one["index"] for one in prediction["top"]} == {"ham": 0, "spam": 1}
    assert sum(one["probability"] for one in prediction["top"]) == pytest.approx(1)


def test_white_space_makes_no_difference(spam: Model) -> None:
    one, other = spam.answer(["Free prize\nClick  here", "Free prize Click\n\n here"]).predictions
    assert one == other


def test_it_is_the_head_on_the_embedding(spam: Model, built_repository: Path) -> None:
    minilm = loader.load(
        LocalRepository(built_repository), "minilm-l6-v2", Settings(), variant="original"
    )
    head = json.loads((ROOT / "model_artifacts" / "spam" / "recipe" / "head.json").read_bytes())
    mail = "Lunch?\nShall we meet at one?"
    (embedding,) = (one["embedding"] for one in minilm.answer([mail]).predictions)
    (prediction,) = spam.answer([mail]).predictions
    odds = np.dot(embedding, head["weights"]) + head["bias"]
    probabilities = {one["label"]: one["probability"] for one in prediction["top"]}
    assert probabilities["spam"] == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-4)
