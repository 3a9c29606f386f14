"""Text classification: whole tiny models, from a text to its labels."""

import contextlib
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_texts import MAX_TOKENS, write_judge_model
from zeropoint import loader
from zeropoint.artifact import LocalRepository
from zeropoint.errors import ArtifactError, InvalidError, ManifestError
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.settings import Settings

SENTENCES = ("good", "the film is awful", "bad, poor food.", "a cat")


def judge(folder: Path, **options: Any) -> Model:
    write_judge_model(folder, **options)
    return loader.load(LocalRepository(folder), "judge", Settings())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return judge(tmp_path_factory.mktemp("judge"))


def test_a_text_is_labelled(model: Model) -> None:
    (prediction,) = model.answer(["The food is very good"]).predictions
    probability = 1 / (1 + math.exp(-2))
    assert prediction == {
        "label": "good",
        "probability": pytest.approx(probability),
        "top": [
            {"label": "good", "probability": pytest.approx(probability), "index": 0},
            {"label": "bad", "probability": pytest.approx(1 - probability), "index": 1},
        ],
        "tokens": 7,
        "truncated": False,
    }


def test_only_what_is_within_the_limit_is_judged(model: Model) -> None:
    long = "bad " + "the " * MAX_TOKENS + "good good good"
    (prediction,) = model.answer([long]).predictions
    assert (prediction["label"], prediction["tokens"], prediction["truncated"]) == ("bad", 8, True)


@pytest.mark.parametrize("max_batch", [1, 2, 4])
def test_texts_of_any_length_are_judged_together_as_alone(tmp_path: Path, max_batch: int) -> None:
    folder = write_judge_model(tmp_path)
    toml = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(f"max_batch = {max_batch}\n{toml}")
    found = loader.load(LocalRepository(tmp_path), "judge", Settings())
    alone = [found.answer([text]).predictions[0] for text in SENTENCES]
    assert found.answer(SENTENCES).predictions == alone
    assert [one["label"] for one in alone] == ["good", "bad", "bad", "good"]


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize("seq", ["seq", 16])
def test_a_graph_of_fixed_dimensions_answers_alike(
    tmp_path: Path, model: Model, batch: int | str, seq: int | str
) -> None:
    found = judge(tmp_path, batch=batch, seq=seq)
    assert found.answer(SENTENCES).predictions == model.answer(SENTENCES).predictions


@given(text=st.text() | st.binary(max_size=30))
def test_any_text_is_answered_or_refused(model: Model, text: str | bytes) -> None:
    instance = Blob(text, "text/plain") if isinstance(text, bytes) else text
    with contextlib.suppress(InvalidError):
        (prediction,) = model.answer([instance]).predictions
        assert sum(one["probability"] for one in prediction["top"]) == pytest.approx(1)


@pytest.mark.parametrize("instance", [["good", "bad"], None, {}, 3])
def test_what_is_not_one_text_is_refused(model: Model, instance: object) -> None:
    with pytest.raises(InvalidError, match="expected a text, got another value"):
        model.answer([instance])


def test_a_caller_chooses_how_many_labels(model: Model) -> None:
    assert len(model.answer(["good"], {"top_k": 1}).predictions[0]["top"]) == 1
    with pytest.raises(InvalidError, match="expected top_k of at most 2, got more"):
        model.answer(["good"], {"top_k": 3})


def test_a_sigmoid_judges_each_label_by_itself(tmp_path: Path) -> None:
    model = judge(tmp_path, output='activation = "sigmoid"')
    (prediction,) = model.answer(["good bad"]).predictions
    both = 1 / (1 + math.exp(-2))
    assert [one["probability"] for one in prediction["top"]] == [pytest.approx(both)] * 2


def test_labels_that_the_scores_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = write_judge_model(tmp_path)
    toml = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(toml.replace("labels.txt", "check.txt"))
    with pytest.raises(ArtifactError, match=r"check\.txt: expected sha256"):
        loader.load(LocalRepository(tmp_path), "judge", Settings())
    digests = [line.split('"')[1] for line in toml.splitlines() if line.startswith("sha256")]
    (folder / "model.toml").write_text(
        toml.replace("labels.txt", "check.txt").replace(digests[0], digests[1])
    )
    with pytest.raises(ManifestError, match=r"expected one output float\[\?, 1\]"):
        loader.load(LocalRepository(tmp_path), "judge", Settings())
