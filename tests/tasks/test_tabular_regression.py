"""Tabular regression: what its libraries say, and a number's name, unit and bounds."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiny_tables import fitted, weighed_graph, write_table_model
from zeropoint import loader, tasks
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.errors import ArtifactError, ManifestError
from zeropoint.model import Model
from zeropoint.protocols import strict_json
from zeropoint.settings import Settings
from zeropoint.tasks.tabular_regression import Parameters
from zeropoint.tensors import TensorSpec

TASK = "tabular-regression"
X: list[dict[str, Any]] = [
    {"name": "a", "type": "number"},
    {"name": "b", "type": "integer", "default": 0},
]


def weighed(folder: Path, **output: Any) -> Model:
    """Loads a model of a + b."""
    expect = {"value": 3.0}
    graph = weighed_graph([[1.0]] * 2)
    write_table_model(folder, graph, X, output, {"a": 1, "b": 2}, expect, task=TASK)
    return loader.load(LocalRepository(folder), "table", Settings())


def created(folder: Path, *outputs: TensorSpec, **output: Any) -> tasks.Task:
    write_table_model(folder, weighed_graph([[1.0]] * 2), X, output, [1], {"value": 1}, task=TASK)
    inputs = [TensorSpec("x", np.dtype(np.float32), (None, 2))]
    artifact = Artifact(LocalRepository(folder), "table")
    return tasks.create(artifact, inputs, outputs, Settings())


def numbers(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec("y", np.dtype(dtype), shape)


def test_a_value_is_the_librarys_own(tmp_path: Path) -> None:
    known = fitted("sklearn-regressor")
    value = known["expected"][0][0]
    expect = {"value": value, "unit": "points", "tolerance": 1e-3}
    rows = known["rows"]
    features, output = known["features"], known["output"]
    write_table_model(tmp_path, "sklearn-regressor", features, output, rows[0], expect, task=TASK)
    found = loader.load(LocalRepository(tmp_path), "table", Settings()).answer(rows).predictions
    assert {one["unit"] for one in found} == {"points"}
    expected = [value for (value,) in known["expected"]]
    np.testing.assert_allclose([one["value"] for one in found], expected, rtol=1e-6)


def test_several_values_are_the_librarys_own(tmp_path: Path) -> None:
    known = fitted("sklearn-several")
    output, rows = {**known["output"], "unit": "u"}, known["rows"]
    features = known["features"]
    write_table_model(
        tmp_path, "sklearn-several", features, output, rows[0], {"unit": "u"}, task=TASK
    )
    model = loader.load(LocalRepository(tmp_path), "table", Settings())
    found = [one["values"] for one in model.answer(rows).predictions]
    assert all(list(one) == output["values"] for one in found)
    np.testing.assert_allclose([list(one.values()) for one in found], known["expected"], rtol=1e-6)
    schema = tasks.schema(Artifact(LocalRepository(tmp_path), "table"))
    assert schema.prediction["properties"]["values"]["required"] == output["values"]


def test_several_values_are_told_by_name(tmp_path: Path) -> None:
    task = created(tmp_path, numbers(None, 2), values=["one", "two"], unit="kg")
    found = task.output({"y": np.array([[1.0, 2.5]], np.float32)}, [None], Parameters())
    assert found == [{"values": {"one": 1.0, "two": 2.5}, "unit": "kg"}]


def test_a_value_alone_has_no_unit(tmp_path: Path) -> None:
    assert weighed(tmp_path).answer([[1, 2], {"a": 0.5}]).predictions == [
        {"value": 3.0},
        {"value": 0.5},
    ]


def test_bounds_are_kept(tmp_path: Path) -> None:
    found = weighed(tmp_path, unit="kg", minimum=0, maximum=10).answer([[-5, 0], [50, 0], [3, 0]])
    assert [one["value"] for one in found.predictions] == [0.0, 10.0, 3.0]


@pytest.mark.parametrize("value", [-50.0, 50.0])
def test_a_bound_is_told_as_the_manifest_has_it(tmp_path: Path, value: float) -> None:
    task = created(tmp_path, numbers(None), minimum=-0.1, maximum=0.1)
    (found,) = task.output({"y": np.array([value], np.float32)}, [None], Parameters())
    assert found == {"value": math.copysign(0.1, value)}


def test_a_value_that_is_no_number_is_null(tmp_path: Path) -> None:
    task = created(tmp_path, numbers(None), minimum=0)
    found = task.output({"y": np.array([math.nan, 2.0], np.float32)}, [None] * 2, Parameters())
    assert strict_json.encode(found) == b'[{"value":null},{"value":2.0}]'


@pytest.mark.parametrize(
    ("outputs", "values"),
    [
        ([numbers(None, 2)], []),
        ([numbers(None, 1)], ["one", "two"]),
        ([numbers(None)], ["one", "two"]),
        ([numbers(None, 1, dtype="int64")], []),
        ([numbers(None, 1, 1)], []),
        ([numbers(None, 1)] * 2, []),
    ],
)
def test_outputs_that_do_not_fit_are_refused(
    tmp_path: Path, outputs: list[TensorSpec], values: list[str]
) -> None:
    with pytest.raises(ManifestError, match=r"^table: expected"):
        created(tmp_path, *outputs, values=values)


def test_columns_that_vary_are_held_to_the_names(tmp_path: Path) -> None:
    task = created(tmp_path, numbers(None, None))
    with pytest.raises(ArtifactError, match=r"shape \(1, 1\), got \(1, 2\)"):
        task.output({"y": np.zeros((1, 2), np.float32)}, [None], Parameters())


@pytest.mark.parametrize(
    "output", [{"minimum": 2, "maximum": 1}, {"values": ["a", "a"]}, {"maximum": "nan"}, {"x": 1}]
)
def test_a_mistake_in_the_table_is_refused(tmp_path: Path, output: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="output"):
        created(tmp_path, numbers(None, 1), **output)
