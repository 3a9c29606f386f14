"""Makes the small models of this folder, as a newcomer's own code would.

The tests read what this made and never run it: it needs PyTorch, scikit-learn, skl2onnx, onnx,
pandas and Pillow in an environment of its own. `python build.py` writes the files beside itself.
"""

import os
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import torch
from PIL import Image
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).resolve().parent
SIDE = 32  # pixels


def iris() -> None:
    """scikit-learn over one matrix: its converter adds a ZipMap, and the class names."""
    data = load_iris()
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(data.data, data.target_names[data.target])
    save("iris.onnx", to_onnx(model, data.data[:1].astype(np.float32), target_opset=17))


def rents() -> None:
    """scikit-learn over a DataFrame: an input for each column."""
    random = np.random.default_rng(5)
    table = pd.DataFrame(
        {
            "district": random.choice(["centre", "north", "south"], 400),
            "rooms": random.integers(1, 6, 400),
            "area": random.normal(75.0, 20.0, 400).clip(20.0),
        }
    )
    rent = 200 + 9 * table["area"] + 60 * table["rooms"] + 250 * (table["district"] == "centre")
    columns = ColumnTransformer(
        [("texts", OneHotEncoder(), ["district"]), ("numbers", StandardScaler(), ["rooms", "area"])]
    )
    model = make_pipeline(columns, LinearRegression()).fit(table, rent + random.normal(0, 40, 400))
    types = [
        ("district", StringTensorType([None, 1])),
        ("rooms", Int64TensorType([None, 1])),
        ("area", FloatTensorType([None, 1])),
    ]
    save("rents.onnx", to_onnx(model, initial_types=types, target_opset=17))


def digits() -> None:
    """PyTorch over photos: scores, float32 [n, 10], of pixels in 0..1, float32 [n, 3, 32, 32]."""
    torch.manual_seed(0)
    data = load_digits()
    grey = [Image.fromarray((one * 15.9).astype(np.uint8)) for one in data.images]
    photos = np.stack([np.asarray(one.resize((SIDE, SIDE)).convert("RGB")) for one in grey])
    inputs = torch.tensor(photos.transpose(0, 3, 1, 2) / 255, dtype=torch.float32)
    targets = torch.tensor(data.target)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, stride=2, padding=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 4 * 4, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(12):
        for batch in torch.randperm(1500).split(50):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    model.eval()
    right = (model(inputs[1500:]).argmax(1) == targets[1500:]).float().mean()
    print(f"digits: {right:.3f} of those held out")
    torch.onnx.export(
        model,
        (inputs[:1],),
        "digits.onnx",
        input_names=["photos"],
        output_names=["scores"],
        dynamic_axes={"photos": {0: "n"}, "scores": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    save("digits.onnx", onnx.load("digits.onnx"))
    # Not seen in training, and one that another preparation makes a nine.
    Image.fromarray(photos[1524]).resize((96, 96)).save(HERE / "five.png")
    (HERE / "digits.txt").write_text("".join(f"{one}\n" for one in range(10)))


def save(name: str, model: onnx.ModelProto) -> None:
    """Writes a model without what differs from machine to machine."""
    model.producer_name, model.producer_version = "zeropoint", ""
    model.graph.name, model.doc_string = name.partition(".")[0], ""
    for node in model.graph.node:
        node.doc_string = ""
    opsets = sorted(model.opset_import, key=lambda one: str(one.domain))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    data = model.SerializeToString(deterministic=True)
    (HERE / name).write_bytes(data)
    print(f"{name}: {len(data)} bytes")


if __name__ == "__main__":
    os.chdir(HERE)
    iris()
    rents()
    digits()
