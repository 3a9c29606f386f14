"""Tabular classification: what its libraries say, and how scores become a label."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiny_tables import fitted, weighed_graph, write_table_model
from zeropoint import loader, tasks
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.errors import ArtifactError, InvalidError, ManifestError
from zeropoint.model import Model
from zeropoint.protocols import strict_json
from zeropoint.settings import Settings
from zeropoint.tasks.tabular_classification import Parameters
from zeropoint.tensors import TensorSpec

X = {"name": "a", "type": "number"}
TWO = ("no", "yes")
CLASSIFIERS = (
    "lightgbm",
    "sklearn-boosting",
    "sklearn-forest",
    "sklearn-forest-zipmap",
    "sklearn-pipeline",
    "xgboost",
)


def load(repository: Path, name: str = "table") -> Model:
    return loader.load(LocalRepository(repository), name, Settings())


def task_of(folder: Path, *outputs: TensorSpec, width: int = 2, **output: Any) -> tasks.Task:
    """Builds the task of a model with these outputs; nothing of it is run."""
    table = {"labels": list(TWO), **output}
    write_table_model(folder, weighed_graph([[1.0] * width]), [X], table, [1], {"label": "yes"})
    artifact = Artifact(LocalRepository(folder), "table")
    inputs = [TensorSpec("x", np.dtype(np.float32), (None, 1))]
    return tasks.create(artifact, inputs, outputs or [scores(None, width)], Settings())


def scores(*shape: int | None, name: str = "scores", dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, np.dtype(dtype), shape)


def told(task: tasks.Task, rows: Any, threshold: float | None = None) -> list[Any]:
    array = np.array(rows, np.float32)
    return task.output({"scores": array}, [None] * len(array), Parameters(threshold))


# What the libraries say


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_are_the_librarys_own(tmp_path: Path, name: str) -> None:
    known = fitted(name)
    labels = known["output"]["labels"]
    best = [labels[int(np.argmax(row))] for row in known["expected"]]
    expect = {"label": best[0], "probability": max(known["expected"][0]), "tolerance": 1e-5}
    features, rows = known["features"], known["rows"]
    write_table_model(tmp_path, name, features, known["output"], rows[0], expect)
    found = load(tmp_path).answer(rows).predictions
    assert [one["label"] for one in found] == best
    for one, expected in zip(found, known["expected"], strict=True):
        assert list(one["probabilities"]) == labels
        np.testing.assert_allclose(list(one["probabilities"].values()), expected, atol=1e-6)
        assert one["probability"] == one["probabilities"][one["label"]]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_rows_by_name_and_as_text_are_answered_alike(tmp_path: Path, name: str) -> None:
    known = fitted(name)
    names = [feature["name"] for feature in known["features"]]
    rows = known["rows"]
    best = known["output"]["labels"][int(np.argmax(known["expected"][0]))]
    write_table_model(tmp_path, name, known["features"], known["output"], rows[0], {"label": best})
    model = load(tmp_path)
    named = [dict(zip(names, row, strict=True)) for row in rows]
    expected = model.answer(rows).predictions
    assert model.answer(named).predictions == expected
    assert model.answer([json.dumps(row) for row in named]).predictions == expected


# Scores and labels


@pytest.mark.parametrize("shape", [(None, 1), (None,), (None, None)])
def test_one_column_is_of_the_second_label(tmp_path: Path, shape: tuple[int | None, ...]) -> None:
    task = task_of(tmp_path, scores(*shape), width=1)
    rows = [0.25, 0.75] if len(shape) == 1 else [[0.25], [0.75]]
    assert told(task, rows) == [
        {"label": "no", "probability": 0.75, "probabilities": {"no": 0.75, "yes": 0.25}},
        {"label": "yes", "probability": 0.75, "probabilities": {"no": 0.25, "yes": 0.75}},
    ]


def test_one_column_of_margins_has_a_sigmoid(tmp_path: Path) -> None:
    task = task_of(tmp_path, width=1, activation="sigmoid")
    found = [one["probabilities"]["yes"] for one in told(task, [[0.0], [3.0], [-1000.0]])]
    assert found == pytest.approx([0.5, 1 / (1 + math.exp(-3.0)), 0.0])


def test_a_softmax_sums_to_one(tmp_path: Path) -> None:
    task = task_of(tmp_path, labels=["a", "b", "c"], width=3, activation="softmax")
    (one, far) = told(task, [[1.0, 2.0, 3.0], [1000.0, 0.0, -1000.0]])
    powers = np.exp([1.0, 2.0, 3.0])
    expected = (powers / powers.sum()).tolist()
    assert list(one["probabilities"].values()) == pytest.approx(expected)
    assert one["label"] == "c"
    assert far["probabilities"] == {"a": 1.0, "b": 0.0, "c": 0.0}


def test_the_threshold_is_the_callers_or_the_manifests_or_a_half(tmp_path: Path) -> None:
    rows = [[0.9, 0.1], [0.5, 0.5], [0.25, 0.75]]
    plain = task_of(tmp_path / "plain")
    assert [one["label"] for one in told(plain, rows)] == ["no", "yes", "yes"]
    careful = task_of(tmp_path / "careful", threshold=0.75)
    assert [one["label"] for one in told(careful, rows)] == ["no", "no", "yes"]
    assert [one["label"] for one in told(careful, rows, 0.0)] == ["yes"] * 3
    assert told(careful, rows, 0.0)[0]["probability"] == pytest.approx(0.1)
    assert [one["label"] for one in told(careful, rows, 1.0)] == ["no"] * 3


def test_the_second_label_is_told_of_no_probability_below_the_threshold(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    row = [[0.3, 0.7]]  # in float32 a little less than 0.7
    (one,), (other,) = told(task, row, 0.7), told(task, row, float(np.float32(0.7)))
    assert (one["label"], other["label"]) == ("no", "yes")
    assert one["probabilities"]["yes"] < 0.7


@pytest.mark.parametrize("threshold", [-0.1, 1.1, "x", True, None])
def test_a_wrong_threshold_is_refused_and_none_is_the_default(
    tmp_path: Path, threshold: Any
) -> None:
    task_of(tmp_path)
    write = {"threshold": threshold}
    output = {"labels": list(TWO), "activation": "softmax"}
    write_table_model(
        tmp_path, weighed_graph([[-1.0, 1.0]]), [X], output, [1], {"label": "yes"}, "softmax"
    )
    model = load(tmp_path, "softmax")
    if threshold is None:
        assert model.answer([[1]], write).predictions[0]["label"] == "yes"
    else:
        with pytest.raises(InvalidError, match="threshold"):
            model.answer([[1]], write)


def test_more_labels_have_no_threshold(tmp_path: Path) -> None:
    task = task_of(tmp_path, labels=["a", "b", "c"], width=3)
    with pytest.raises(InvalidError, match="expected no threshold for a model of 3 labels"):
        told(task, [[0, 0, 1]], 0.5)


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
@pytest.mark.parametrize("rows", [[[math.nan, math.nan]], [[math.nan, 1.0]], [[math.inf, 0.0]]])
def test_scores_that_are_no_numbers_can_still_be_told(
    tmp_path: Path, activation: str, rows: list[list[float]]
) -> None:
    (found,) = told(task_of(tmp_path, activation=activation), rows)
    assert json.loads(strict_json.encode(found), parse_constant=pytest.fail)
    if math.isnan(sum(found["probabilities"].values())):
        assert found["label"] is None


# The manifest and the model


@pytest.mark.parametrize(
    "outputs",
    [
        [scores(None, 3)],
        [scores(None)],
        [scores(None, 2, 1)],
        [scores(None, 2, dtype="int64")],
        [scores(None, 2), scores(None, 2, name="other")],
        [],
    ],
)
def test_outputs_that_do_not_fit_are_refused(tmp_path: Path, outputs: list[TensorSpec]) -> None:
    labels = list(TWO) if outputs != [scores(None)] else ["a", "b", "c"]
    with pytest.raises(ManifestError, match=r"^table: expected"):
        task_of(tmp_path, *(outputs or [scores(None, dtype="int64")]), labels=labels)


def test_an_output_may_be_named(tmp_path: Path) -> None:
    both = [scores(None, 2, name="other"), scores(None, 2)]
    assert told(task_of(tmp_path / "a", *both, name="scores"), [[0.0, 1.0]])[0]["label"] == "yes"
    with pytest.raises(ManifestError, match="expected floats in none, got other: float32"):
        task_of(tmp_path / "b", *both, name="none")


def test_classes_that_vary_are_held_to_the_labels(tmp_path: Path) -> None:
    task = task_of(tmp_path, scores(None, None))
    with pytest.raises(ArtifactError, match=r"shape \(1, 2\), got \(1, 3\)"):
        told(task, [[0.0, 1.0, 0.0]])


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"labels": ["a"]}, "output.labels"),
        ({"labels": ["a", "a"]}, "expected `labels` that differ"),
        ({"labels": ["a", "b", "c"], "threshold": 0.5}, "for two labels only"),
        ({"threshold": 1.5}, "output.threshold"),
        ({"activation": "argmax"}, "argmax"),
        ({"top_k": 1}, "`output.top_k` is unknown"),
    ],
)
def test_a_mistake_in_the_table_is_named(tmp_path: Path, output: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError) as refusal:
        task_of(tmp_path, **output)
    assert said in refusal.value.message


def test_a_softmax_of_one_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="expected no softmax over one column"):
        task_of(tmp_path, width=1, activation="softmax")


def test_the_schema_tells_rows_and_labels(tmp_path: Path) -> None:
    task_of(tmp_path)
    schema = tasks.schema(Artifact(LocalRepository(tmp_path), "table"))
    assert schema.example == {"a": 1}
    assert schema.media_types == ("text/csv",)
    assert schema.prediction["properties"]["label"] == {"enum": ["no", "yes", None]}
    by_name = schema.instance["anyOf"][0]
    assert by_name["properties"] == {"a": {"type": "number"}}
    assert by_name["required"] == ["a"]
