"""Train the shuttle model and write its artifact.

    python build.py --work DIR --out DIR

Run it with the packages of requirements.txt, and model_artifacts/recipes on the PYTHONPATH.
"""

import argparse
from pathlib import Path

from lightgbm import LGBMClassifier
from onnx import ModelProto
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

import river_tables
import trained

ARTIFACT = Path(__file__).resolve().parents[1]
OPSET = 15


def exported(model: LGBMClassifier, columns: int) -> bytes:
    """Returns the model as an ONNX file: a matrix in, a map of probabilities (ZipMap) out."""
    found: ModelProto = convert_lightgbm(
        model,
        initial_types=[("features", FloatTensorType([None, columns]))],
        target_opset=OPSET,
    )
    # The converter declares the labels of one row, whatever the number of rows.
    label = found.graph.output[0].type.tensor_type.shape.dim[0]
    label.Clear()
    label.dim_param = "rows"
    return trained.serialized(found, "shuttle")


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="the folder for downloads")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the artifact")
    options = parser.parse_args()
    table = river_tables.shuttle(options.work)
    model = LGBMClassifier(
        n_estimators=40,
        num_leaves=15,
        random_state=0,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )
    model.fit(*table.part(held_out=False))
    rows, _ = table.part(held_out=True)
    options.out.mkdir(parents=True, exist_ok=True)
    data = exported(model, len(table.names))
    trained.finish(ARTIFACT, options.out, data, rows, model.predict_proba(rows))


if __name__ == "__main__":
    main()
