"""How a recipe ends that trains a model of trees: compared with its library, then written."""

import hashlib
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at its import
import onnxruntime as ort

_LARGEST_DIFFERENCE = 1e-5
_FILES = ("model.toml", "card.md", "LICENSE", "NOTICE")


class TrainingError(Exception):
    """The ONNX model does not say what its library says."""


def serialized(model: ModelProto, name: str) -> bytes:
    """Returns a model as a file that depends on nothing but the model and its name."""
    model.producer_name, model.producer_version = "zeropoint", ""
    model.graph.name = name
    opsets = sorted(model.opset_import, key=lambda one: str(one.domain))  # converters have sets
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def probabilities(model: bytes, rows: NDArray[Any]) -> NDArray[Any]:
    """Returns a model's second output for rows, ZipMap or not: float64, (rows, classes)."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (input_,) = session.get_inputs()
    found = session.run(None, {input_.name: rows.astype(np.float32)})[1]
    if isinstance(found, list):
        found = [[row[key] for key in sorted(row)] for row in found]
    return np.asarray(found, dtype=np.float64)


def finish(
    artifact: Path, out: Path, model: bytes, rows: NDArray[Any], expected: NDArray[Any]
) -> None:
    """Writes the whole artifact, its committed files beside the model that was trained.

    Where another processor's last bits made another file, the committed model is written if it
    says the same of all these rows.

    Args:
        artifact: The committed folder.
        out: Where the artifact is written.
        model: The ONNX file.
        rows: Of the table, held out.
        expected: What the library says of them: (rows, classes).

    Raises:
        TrainingError: ONNX Runtime says something else than the library, or than the committed
            model.
    """
    found = probabilities(model, rows)
    _compare(f"ONNX Runtime and the library, on {len(rows)} held-out rows", found, expected)
    file = tomllib.loads((artifact / "model.toml").read_text("utf-8"))["file"]
    got = hashlib.sha256(model).hexdigest()
    if got != file["sha256"]:
        print(f"{file['path']}: expected {file['sha256']}, got {got} ({len(model)} bytes)")
        (out / f"{file['path']}.made").write_bytes(model)
        committed = artifact / file["path"]
        if not committed.is_file():
            raise TrainingError(f"{file['path']}: there is no committed model to compare it with")
        model = committed.read_bytes()
        _compare("the committed model and this one", probabilities(model, rows), found)
    else:
        print(f"{file['path']}: same ({got}, {len(model)} bytes)")
    for name in _FILES:
        shutil.copyfile(artifact / name, out / name)
    shutil.copytree(artifact / "check", out / "check", dirs_exist_ok=True)
    (out / file["path"]).write_bytes(model)


def _compare(what: str, one: NDArray[Any], other: NDArray[Any]) -> None:
    difference = np.abs(one - other).max(axis=1)
    apart = int((difference > _LARGEST_DIFFERENCE).sum())
    print(f"{what}: at most {difference.max():.1e} apart in a probability")
    if apart:
        raise TrainingError(f"{what}: {apart} rows are over {_LARGEST_DIFFERENCE} apart")
