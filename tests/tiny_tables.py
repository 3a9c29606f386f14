"""Tiny models of tables for the tests, in artifacts of their own."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tiny_models import sha256

FITTED = Path(__file__).with_name("tabular_models")


def fitted(name: str) -> dict[str, Any]:
    """Returns what stands beside a model of tests/tabular_models: its features, its answers."""
    found: dict[str, Any] = json.loads((FITTED / f"{name}.json").read_text())
    return found


def write_table_model(
    repository: Path,
    model: onnx.ModelProto | str,
    features: list[dict[str, Any]],
    output: dict[str, Any],
    row: Any,
    expect: dict[str, Any],
    name: str = "table",
    task: str = "tabular-classification",
) -> Path:
    """Writes an artifact of a task of tables with its known answer, and returns its folder.

    Args:
        repository: Where its folder goes.
        model: The model, or the name of one of tests/tabular_models.
        features: The manifest's [[features]].
        output: The manifest's [output].
        row: The known answer's instance.
        expect: The known answer.
        name: The artifact's.
        task: The manifest's.
    """
    folder = repository / name
    folder.mkdir(parents=True)
    if isinstance(model, str):
        data = (FITTED / f"{model}.onnx").read_bytes()
    else:
        data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    (folder / "row.json").write_text(json.dumps(row))
    manifest = {
        "name": name,
        "version": "1",
        "task": task,
        "license": "CC0-1.0",
        "file": {"path": "model.onnx", "sha256": sha256(folder / "model.onnx")},
        "features": features,
        "output": output,
        "check": {
            "input": "row.json",
            "sha256": sha256(folder / "row.json"),
            "expect": expect,
        },
    }
    lines = [f"{key} = {_toml(value)}" for key, value in manifest.items()]
    (folder / "model.toml").write_text("\n".join(lines) + "\n")
    return folder


def weighed_graph(weights: list[list[float]], dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Returns a model that weighs a matrix: ``x``, [n, features] → ``scores``, [n, columns].

    Args:
        weights: Of shape (features, columns).
        dtype: Of ``x``; the scores are float32.
    """
    table = np.array(weights, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["floats", "weights"], ["scores"]),
        ],
        "weighed",
        [helper.make_tensor_value_info("x", dtype, ["n", table.shape[0]])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", table.shape[1]])],
        [numpy_helper.from_array(table, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if value == "nan" or (isinstance(value, float) and math.isnan(value)):
        return "nan"
    return json.dumps(value)
