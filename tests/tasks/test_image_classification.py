"""Tests of image classification: scores become labels, and photos the right ones."""

from __future__ import annotations

import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

import corpora
from servers import ROOT
from tiny_models import COLOUR_TOML, LABELS, picture, sha256, write_colour_model
from zeropoint import loader, tasks
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.errors import ArtifactError, InvalidError, ManifestError
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.protocols import strict_json
from zeropoint.settings import Settings
from zeropoint.tasks.image_classification import ImageClassification, Parameters
from zeropoint.tensors import TensorSpec

INPUT = TensorSpec("input", np.dtype(np.float32), (None, 3, 8, 8))


def scores_spec(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    """Returns a model's output."""
    return TensorSpec("scores", np.dtype(dtype), shape)


def colour_task(repository: Path, *outputs: TensorSpec, name: str = "colour") -> tasks.Task:
    """Builds the task of the model ``colour``, or of its like."""
    artifact = Artifact(LocalRepository(repository), name)
    return tasks.create(artifact, [INPUT], outputs or [scores_spec(None, 3)], Settings())


def task_with(
    folder: Path, labels: int = 3, activation: str = "softmax", top_k: int = 5
) -> tasks.Task:
    """Builds a task of so many labels, ``label 0`` and so on."""
    toml = COLOUR_TOML.replace('activation = "softmax"', f'activation = "{activation}"')
    toml = toml.replace("top_k = 2", f"top_k = {top_k}")
    lines = [f"label {number}" for number in range(labels)]
    write_colour_model(folder, toml=relabelled(toml, lines))
    (folder / "colour" / "labels.txt").write_text("\n".join(lines) + "\n")
    return colour_task(folder, scores_spec(None, labels))


def relabelled(toml: str, lines: list[str]) -> str:
    """Returns the manifest with the digest of other labels."""
    digest = hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()
    return toml.replace("{labels}", digest)


def told(
    task: tasks.Task, scores: NDArray[Any] | list[list[float]], top_k: int | None = None
) -> list[Any]:
    """Returns the predictions for rows of scores."""
    rows = np.asarray(scores, None if isinstance(scores, np.ndarray) else np.float32)
    return task.output({"scores": rows}, [None] * len(rows), Parameters(top_k))


# Scores


FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.fixture(scope="module")
def softmax(tmp_path_factory: pytest.TempPathFactory) -> tasks.Task:
    return task_with(tmp_path_factory.mktemp("softmax"), labels=20, top_k=20)


@pytest.fixture(scope="module")
def sigmoid(tmp_path_factory: pytest.TempPathFactory) -> tasks.Task:
    return task_with(tmp_path_factory.mktemp("sigmoid"), 20, "sigmoid", top_k=20)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tasks.Task:
    return task_with(tmp_path_factory.mktemp("plain"), 20, "none", top_k=20)


@given(scores=arrays.arrays(np.float32, (2, 20), elements=FINITE))
@settings(max_examples=100, deadline=None)
def test_probabilities_of_a_softmax_sum_to_one(
    softmax: tasks.Task, scores: NDArray[np.float32]
) -> None:
    for row, prediction in zip(scores, told(softmax, scores), strict=True):
        probabilities = [one["probability"] for one in prediction["top"]]
        assert math.fsum(probabilities) == pytest.approx(1, abs=1e-5)
        assert min(probabilities) >= 0
        assert row[[one["index"] for one in prediction["top"]]].tolist() == sorted(row)[::-1]


def test_a_softmax_is_what_the_textbook_says(softmax: tasks.Task) -> None:
    row = np.linspace(-3, 3, 20, dtype=np.float32)
    (prediction,) = told(softmax, row[None])
    expected = np.exp(row.astype(np.float64)) / np.exp(row.astype(np.float64)).sum()
    found = {one["index"]: one["probability"] for one in prediction["top"]}
    np.testing.assert_allclose([found[index] for index in range(20)], expected, rtol=1e-5)


@given(scores=arrays.arrays(np.float32, (1, 20), elements=st.floats(allow_nan=False, width=32)))
@settings(max_examples=100, deadline=None)
def test_a_sigmoid_lies_between_zero_and_one(
    sigmoid: tasks.Task, scores: NDArray[np.float32]
) -> None:
    (prediction,) = told(sigmoid, scores)
    for one in prediction["top"]:
        assert 0 <= one["probability"] <= 1
        score = float(scores[0, one["index"]])
        expected = 1 / (1 + math.exp(-score)) if abs(score) < 500 else float(score > 0)
        assert one["probability"] == pytest.approx(expected, abs=1e-6)


def test_without_an_activation_a_score_is_told_as_it_is(plain: tasks.Task) -> None:
    (prediction,) = told(plain, [[float(number) for number in range(20)]], top_k=2)
    assert prediction == {
        "label": "label 19",
        "probability": 19.0,
        "top": [
            {"label": "label 19", "probability": 19.0, "index": 19},
            {"label": "label 18", "probability": 18.0, "index": 18},
        ],
    }


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scores_of_any_precision_are_taken(softmax: tasks.Task, dtype: str) -> None:
    (prediction,) = told(softmax, np.arange(20, dtype=dtype)[None])
    assert prediction["label"] == "label 19"
    assert sum(one["probability"] for one in prediction["top"]) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("everywhere", [False, True])
def test_scores_that_are_no_numbers_can_still_be_told(
    tmp_path: Path, activation: str, value: float, everywhere: bool
) -> None:
    rows = [[value, value, value] if everywhere else [0.5, value, 1.0]]
    predictions = told(task_with(tmp_path, 3, activation), rows)
    assert len(predictions[0]["top"]) == 3
    for encode in (msgspec.json.encode, strict_json.encode):
        assert json.loads(encode(predictions), parse_constant=pytest.fail)


# Top k


@given(
    scores=arrays.arrays(np.float32, (1, 20), elements=st.sampled_from([-1.0, 0.0, 1.0])),
    top_k=st.integers(1, 20),
)
@settings(max_examples=100, deadline=None)
def test_the_best_come_first_and_of_equals_the_first_label(
    softmax: tasks.Task, scores: NDArray[np.float32], top_k: int
) -> None:
    (prediction,) = told(softmax, scores, top_k)
    expected = sorted(range(20), key=lambda index: (-scores[0, index], index))[:top_k]
    assert [one["index"] for one in prediction["top"]] == expected
    assert [one["label"] for one in prediction["top"]] == [f"label {index}" for index in expected]
    assert prediction["label"] == f"label {expected[0]}"
    assert prediction["probability"] == prediction["top"][0]["probability"]


@pytest.mark.parametrize("task", ["softmax", "sigmoid"])
def test_the_best_score_comes_first_where_probabilities_are_too_close_to_tell(
    request: pytest.FixtureRequest, task: str
) -> None:
    row = [1000.0 + index for index in range(10)] + [-1000.0 - index for index in range(10)]
    (prediction,) = told(request.getfixturevalue(task), [row])
    assert [one["index"] for one in prediction["top"]] == [*range(9, -1, -1), *range(10, 20)]


def test_the_manifest_says_how_many_are_told_unless_the_caller_does(tmp_path: Path) -> None:
    task = task_with(tmp_path, labels=10, top_k=4)
    row = [[0.0] * 10]
    assert [len(told(task, row, top_k)[0]["top"]) for top_k in (None, 1, 10)] == [4, 1, 10]


def test_more_than_all_labels_are_all_for_a_manifest_and_a_mistake_for_a_caller(
    tmp_path: Path,
) -> None:
    task = task_with(tmp_path, labels=3, top_k=5)
    assert len(told(task, [[0.0, 1.0, 2.0]])[0]["top"]) == 3
    with pytest.raises(InvalidError, match="expected top_k of at most 3, got more"):
        told(task, [[0.0, 1.0, 2.0]], top_k=4)


def test_each_photo_has_its_own_prediction(softmax: tasks.Task) -> None:
    scores = np.eye(20, dtype=np.float32)
    assert [one["label"] for one in told(softmax, scores)] == [f"label {n}" for n in range(20)]


# The manifest and the model


@pytest.mark.parametrize(
    ("outputs", "came"),
    [
        ([scores_spec(None, 4)], "scores: float32[?, 4]"),
        ([scores_spec(1, 2)], "scores: float32[1, 2]"),
        ([scores_spec(3)], "scores: float32[3]"),
        ([scores_spec(None, 3, 1)], "scores: float32[?, 3, 1]"),
        ([scores_spec(None, 3, dtype="int64")], "scores: int64[?, 3]"),
        ([scores_spec(None, 3, dtype="uint8")], "scores: uint8[?, 3]"),
        ([scores_spec(None, 3)] * 2, "scores: float32[?, 3]; scores: float32[?, 3]"),
    ],
)
def test_a_model_without_a_score_for_each_label_is_refused(
    colour_repository: Path, outputs: list[TensorSpec], came: str
) -> None:
    with pytest.raises(ManifestError) as refusal:
        colour_task(colour_repository, *outputs)
    assert refusal.value.message == (
        f"colour: expected one output float[?, 3], a score for each line of labels.txt, got {came}"
    )


def test_a_model_that_leaves_its_classes_open_is_held_to_the_labels_when_it_answers(
    colour_repository: Path,
) -> None:
    task = colour_task(colour_repository, scores_spec(None, None))
    assert told(task, [[0.0, 1.0, 0.0]])[0]["label"] == LABELS[1]
    with pytest.raises(ArtifactError, match=r"shape \(1, 3\), got \(1, 4\)"):
        told(task, [[0.0, 1.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("line", "other", "said"),
    [
        ("top_k = 2", "top_k = 0", "output.top_k"),
        ("top_k = 2", "top = 2", "`output.top`"),
        ('activation = "softmax"', 'activation = "argmax"', "argmax"),
        ("[output]", "[outputs]", "`outputs`"),
        ("crop = [8, 8]", "crop = [9, 9]", "got [9, 9]"),
    ],
)
def test_a_mistake_in_a_table_is_named(tmp_path: Path, line: str, other: str, said: str) -> None:
    assert line in COLOUR_TOML
    write_colour_model(tmp_path, toml=COLOUR_TOML.replace(line, other))
    with pytest.raises(ManifestError) as refusal:
        colour_task(tmp_path)
    assert said in refusal.value.message


def test_an_empty_file_of_labels_is_refused(colour_repository: Path) -> None:
    folder = colour_repository / "colour"
    labels, toml = folder / "labels.txt", folder / "model.toml"
    before = sha256(labels)
    labels.write_text("")
    toml.write_text(toml.read_text().replace(before, sha256(labels)))
    with pytest.raises(ManifestError, match=r"labels\.txt with a label for each line, got"):
        loader.load(LocalRepository(colour_repository), "colour", Settings())


def test_labels_that_are_not_what_the_manifest_says_are_refused(colour_repository: Path) -> None:
    (colour_repository / "colour" / "labels.txt").write_text("red\ngreen\nviolet\n")
    with pytest.raises(ArtifactError, match=r"labels\.txt: expected sha256"):
        colour_task(colour_repository)


# Whole models


@pytest.mark.parametrize("colour", LABELS)
def test_a_tiny_model_tells_colours_apart(colour_repository: Path, colour: str) -> None:
    found = loader.load(LocalRepository(colour_repository), "colour", Settings())
    data = picture("lime" if colour == "green" else colour, (40, 30))
    (prediction,) = found.answer([Blob(data)]).predictions
    assert prediction["label"] == colour
    assert prediction["probability"] > 0.99


@pytest.fixture(scope="module", params=["original", ""])
def efficientnet(request: pytest.FixtureRequest) -> Model:
    """The bundled model, which gave its known answer: the original, and what is best here."""
    repository = LocalRepository(ROOT / "model_artifacts")
    return loader.load(repository, "efficientnet-lite0", Settings(), variant=request.param)


def test_at_least_18_of_20_photos_are_recognised(efficientnet: Model) -> None:
    photos = corpora.imagenet_photos()
    instances = [Blob(item.path.read_bytes(), "image/jpeg") for item in photos]
    found = efficientnet.answer(instances).predictions
    best = [prediction["top"][0]["index"] for prediction in found]
    right = sum(index == item.index for index, item in zip(best, photos, strict=True))
    assert right >= 18


def test_a_photo_is_recognised_as_well_when_it_comes_alone(efficientnet: Model) -> None:
    instances = [Blob(item.path.read_bytes()) for item in corpora.imagenet_photos()[:3]]
    together = efficientnet.answer(instances).predictions
    for instance, prediction in zip(instances, together, strict=True):
        (alone,) = efficientnet.answer([instance]).predictions
        assert alone["label"] == prediction["label"]
        assert alone["probability"] == pytest.approx(prediction["probability"], abs=1e-3)


@pytest.mark.parametrize("number", [0, 3])
def test_a_large_jpeg_read_at_a_reduced_scale_is_recognised_alike(
    efficientnet: Model, number: int
) -> None:
    with Image.open(corpora.imagenet_photos()[number].path) as small:
        large = small.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    jpeg = io.BytesIO()
    large.save(jpeg, "JPEG", quality=90)
    png = io.BytesIO()  # the very pixels of the JPEG, in a format that is read whole
    with Image.open(jpeg) as whole:
        whole.save(png, "PNG", compress_level=1)
    (reduced,) = efficientnet.answer([Blob(jpeg.getvalue())]).predictions
    (expected,) = efficientnet.answer([Blob(png.getvalue())]).predictions
    assert reduced["label"] == expected["label"]
    room = 0.02 if efficientnet.variant == "original" else 0.08
    assert reduced["probability"] == pytest.approx(expected["probability"], abs=room)


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF", "BMP"])
def test_a_photo_is_recognised_alike_in_any_lossless_format(
    efficientnet: Model, format_: str
) -> None:
    with Image.open(corpora.photo("chelsea.png")) as image:
        file = io.BytesIO()
        image.convert("RGB").save(file, format_, lossless=True)
    (found,) = efficientnet.answer([Blob(file.getvalue())]).predictions
    (expected,) = efficientnet.answer([Blob(corpora.photo("chelsea.png").read_bytes())]).predictions
    assert found == expected


def test_the_task_of_a_classifier_is_the_one_in_the_table(colour_repository: Path) -> None:
    assert isinstance(colour_task(colour_repository), ImageClassification)
