"""Train the phishing model and write its artifact.

    python build.py --work DIR --out DIR

Run it with the packages of requirements.txt, and model_artifacts/recipes on the PYTHONPATH.
"""

import argparse
from pathlib import Path

from onnx import ModelProto
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier

import river_tables
import trained

ARTIFACT = Path(__file__).resolve().parents[1]
OPSET = 17


def exported(model: GradientBoostingClassifier, columns: int) -> bytes:
    """Returns the model as an ONNX file: a matrix in, a matrix of probabilities out."""
    found: ModelProto = to_onnx(
        model,
        initial_types=[("features", FloatTensorType([None, columns]))],
        options={"zipmap": False},
        target_opset={"": OPSET, "ai.onnx.ml": 3},
    )
    return trained.serialized(found, "phishing")


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="the folder for downloads")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the artifact")
    options = parser.parse_args()
    table = river_tables.phishing(options.work)
    model = GradientBoostingClassifier(random_state=0)
    model.fit(*table.part(held_out=False))
    rows, _ = table.part(held_out=True)
    options.out.mkdir(parents=True, exist_ok=True)
    data = exported(model, len(table.names))
    trained.finish(ARTIFACT, options.out, data, rows, model.predict_proba(rows))


if __name__ == "__main__":
    main()
