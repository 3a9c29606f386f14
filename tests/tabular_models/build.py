"""Makes the small models of this folder, each with what its own library answers beside it.

The tests read what this made and never run it: it needs the libraries of requirements.txt, in an
environment of its own. `python build.py` writes NAME.onnx and NAME.json beside itself.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import onnx
import onnxmltools
import pandas as pd
import xgboost
from numpy.typing import NDArray
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloats
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_linnerud, load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).resolve().parent
ROWS = 12
OPSET = 17


class Built(NamedTuple):
    """A model, and what its library says of a few rows.

    Attributes:
        name: Of the two files.
        model: The ONNX model.
        features: The manifest's [[features]].
        rows: In the features' order, None where a value is missing.
        output: The manifest's [output].
        expected: Probabilities in the order of the labels, or values: (rows, columns).
    """

    name: str
    model: onnx.ModelProto
    features: list[dict[str, Any]]
    rows: list[list[Any]]
    output: dict[str, Any]
    expected: NDArray[Any]


def numbers(names: Any, **more: Any) -> list[dict[str, Any]]:
    """Returns features that are numbers."""
    return [{"name": str(name), "type": "number", **more} for name in names]


def sampled(table: NDArray[Any]) -> NDArray[Any]:
    """Returns a few rows of a table, spread over it."""
    return table[:: len(table) // ROWS][:ROWS]


def holed(table: NDArray[Any]) -> NDArray[Any]:
    """Returns a table of which one value in eight is missing."""
    holes = np.random.default_rng(7).random(table.shape) < 0.125
    return np.where(holes, np.nan, table)


def as_rows(table: NDArray[Any]) -> list[list[Any]]:
    """Returns a table's rows, None for NaN."""
    return [[None if np.isnan(one) else one for one in row] for row in table.tolist()]


def forests() -> Iterator[Built]:
    """A forest over one matrix, with ZipMap and without."""
    wine = load_wine()
    forest = RandomForestClassifier(n_estimators=5, max_depth=4, random_state=0)
    forest.fit(wine.data, wine.target)
    rows = sampled(wine.data)
    for zipmap in (True, False):
        yield Built(
            "sklearn-forest-zipmap" if zipmap else "sklearn-forest",
            to_onnx(forest, wine.data[:1].astype(np.float32), options={"zipmap": zipmap}),
            numbers(wine.feature_names),
            as_rows(rows),
            {"labels": [f"class {one}" for one in forest.classes_]},
            forest.predict_proba(rows),
        )


def boosting() -> Iterator[Built]:
    """Gradient boosting of two classes over one matrix."""
    cancer = load_breast_cancer()
    model = GradientBoostingClassifier(n_estimators=8, max_depth=3, random_state=0)
    model.fit(cancer.data, cancer.target)
    rows = sampled(cancer.data)
    yield Built(
        "sklearn-boosting",
        to_onnx(model, cancer.data[:1].astype(np.float32), options={"zipmap": False}),
        numbers(cancer.feature_names, minimum=0),
        as_rows(rows),
        {"labels": cancer.target_names.tolist()},
        model.predict_proba(rows),
    )


def pipelines() -> Iterator[Built]:
    """A pipeline over a DataFrame: floats, integers and texts, an input for each column."""
    random = np.random.default_rng(3)
    colours, sizes = ["blue", "green", "red"], ["1", "2", "3"]
    table = pd.DataFrame(
        {
            "colour": random.choice(colours, 300),
            "size": random.choice(sizes, 300),
            "rooms": random.integers(1, 9, 300),
            "area": random.normal(80.0, 30.0, 300).astype(np.float32),
        }
    )
    scores = (table["colour"] == "red") * 2 + table["rooms"] - table["area"] / 20
    target = np.where(scores + random.normal(0, 1, 300) > 1, "sold", "offered")
    steps = ColumnTransformer(
        [
            ("texts", OneHotEncoder(), ["colour", "size"]),
            ("numbers", StandardScaler(), ["rooms", "area"]),
        ]
    )
    pipeline = make_pipeline(steps, LogisticRegression()).fit(table, target)
    rows = table.iloc[:ROWS]
    types = [
        ("colour", StringTensorType([None, 1])),
        ("size", StringTensorType([None, 1])),
        ("rooms", Int64TensorType([None, 1])),
        ("area", FloatTensorType([None, 1])),
    ]
    yield Built(
        "sklearn-pipeline",
        to_onnx(pipeline, initial_types=types, target_opset=OPSET),
        [
            {"name": "colour", "type": "category", "categories": colours},
            {"name": "size", "type": "category", "categories": sizes},
            {"name": "rooms", "type": "integer", "minimum": 1},
            {"name": "area", "type": "number"},
        ],
        [list(row) for row in rows.astype({"area": float}).itertuples(index=False)],
        {"labels": pipeline.classes_.tolist()},
        pipeline.predict_proba(rows),
    )


def libraries() -> Iterator[Built]:
    """LightGBM, whose converter adds a ZipMap, and XGBoost; both with values that are missing."""
    cancer = load_breast_cancer()
    table = holed(cancer.data[:, :10])
    width = table.shape[1]
    missing = numbers(cancer.feature_names[:10], default="nan")
    labels = {"labels": cancer.target_names.tolist()}
    rows = sampled(table)
    light = lightgbm.LGBMClassifier(n_estimators=8, num_leaves=7, random_state=0, verbose=-1)
    light.fit(table, cancer.target)
    types = [("input", ToolsFloats([None, width]))]
    yield Built(
        "lightgbm",
        onnxmltools.convert_lightgbm(light, initial_types=types, target_opset=15),
        missing,
        as_rows(rows),
        labels,
        light.predict_proba(rows),
    )
    extreme = xgboost.XGBClassifier(n_estimators=8, max_depth=3, random_state=0)
    extreme.fit(table, cancer.target)
    yield Built(
        "xgboost",
        onnxmltools.convert_xgboost(extreme, initial_types=types, target_opset=15),
        missing,
        as_rows(rows),
        labels,
        extreme.predict_proba(rows),
    )


def regressors() -> Iterator[Built]:
    """One number of a row, and several."""
    diabetes = load_diabetes(scaled=False)
    model = GradientBoostingRegressor(n_estimators=8, random_state=0)
    model.fit(diabetes.data, diabetes.target)
    rows = sampled(diabetes.data)
    yield Built(
        "sklearn-regressor",
        to_onnx(model, diabetes.data[:1].astype(np.float32)),
        numbers(diabetes.feature_names),
        as_rows(rows),
        {"unit": "points"},
        model.predict(rows)[:, None],
    )
    gym = load_linnerud()
    linear = LinearRegression().fit(gym.data, gym.target)
    rows = sampled(gym.data)
    yield Built(
        "sklearn-several",
        to_onnx(linear, gym.data[:1].astype(np.float32)),
        numbers(gym.feature_names),
        as_rows(rows),
        {"values": [name.lower() for name in gym.target_names]},
        linear.predict(rows),
    )


def main() -> None:
    """Writes all files."""
    for each in (forests, boosting, pipelines, libraries, regressors):
        for built in each():
            built.model.producer_name, built.model.producer_version = "zeropoint", ""
            built.model.graph.name = built.name
            opsets = sorted(built.model.opset_import, key=lambda one: str(one.domain))
            del built.model.opset_import[:]
            built.model.opset_import.extend(opsets)
            onnx.checker.check_model(built.model)
            data = built.model.SerializeToString(deterministic=True)
            (HERE / f"{built.name}.onnx").write_bytes(data)
            lines = {
                "features": built.features,
                "output": built.output,
                "rows": built.rows,
                "expected": built.expected.tolist(),
            }
            inner = ",\n".join(f"{json.dumps(key)}: {_lined(one)}" for key, one in lines.items())
            (HERE / f"{built.name}.json").write_text(f"{{\n{inner}\n}}\n")
            print(f"{built.name}: {len(data)} bytes")


def _lined(value: Any) -> str:
    """Returns JSON, a list with a line for each of its elements."""
    if isinstance(value, dict):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(one)}" for one in value) + "\n]"


if __name__ == "__main__":
    main()
