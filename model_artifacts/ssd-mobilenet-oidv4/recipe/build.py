"""Build this artifact from the detector in the npm package @mediapipe/objectron.

    python build.py --work DIR --out DIR

runs in an environment of requirements.txt. The TensorFlow Lite model becomes ONNX, its batch
dimension free, and is held against TensorFlow Lite itself before anything is written.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at its import
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # the same arithmetic everywhere
import onnxruntime as ort
import tensorflow as tf
import tf2onnx

from sources import Source, SourceError, read

HERE = Path(__file__).resolve().parent
COPIED = ("model.toml", "card.md", "LICENSE", "NOTICE", "check/cat.jpg")
PACKED = "package/objectron_solution_packed_assets.data"
SOURCE = Source(
    registry="npm",
    name="@mediapipe/objectron",
    version="0.4.1675468480",
    sha256="fc3e37b326b05e8f596099c90b3e0931b05a56cd3160b9ac450b621794bac94c",
    files={PACKED: "470986ca5df183f41698da6de74b027d838fe289d77b5ab094497d350bee664e"},
)
# Where the two files lie in the packed one, as the package's own loader says, and their digests.
LABELS = slice(0, 184)
LABELS_SHA256 = "c148336a65f673013609a923fdcbdeec0f49df935045029c3746a3828a0e80e0"
TFLITE = slice(184, 9_987_912)
TFLITE_SHA256 = "d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6"
OPSET = 17
SIDE = 300
MAX_DIFFERENCE = 2e-4  # between TensorFlow Lite and ONNX Runtime, in a logit or a box's number

FloatArray = NDArray[np.float32]


class BuildError(Exception):
    """A source is not the pinned one, or what was built from it is wrong."""


def unpacked(packed: bytes, part: slice, sha256: str) -> bytes:
    """Returns a file that lies in the packed one, verified."""
    data = packed[part]
    if (got := hashlib.sha256(data).hexdigest()) != sha256:
        raise BuildError(f"{PACKED}, {part}: expected sha256 {sha256}, got {got}")
    return data


def converted(tflite: Path) -> onnx.ModelProto:
    """Converts a TensorFlow Lite model, its weights widened from 16 bits to 32 on the way."""
    model: onnx.ModelProto = tf2onnx.convert.from_tflite(str(tflite), opset=OPSET)[0]
    model.producer_name, model.producer_version = "zeropoint", ""
    free_batch(model)
    settle(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def free_batch(model: onnx.ModelProto) -> None:
    """Makes the first dimension of inputs, outputs and every Reshape the batch's.

    Raises:
        BuildError: a Reshape is not to one photo.
    """
    targets = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for constant in model.graph.initializer:
        if constant.name in targets:
            shape = numpy_helper.to_array(constant).copy()
            if shape[0] != 1:
                raise BuildError(f"{constant.name}: expected a shape [1, …], got {shape}")
            shape[0] = 0  # in ONNX: as many as the reshaped tensor has
            constant.CopyFrom(numpy_helper.from_array(shape, constant.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]


def settle(graph: onnx.GraphProto) -> None:
    """Gives nodes and tensors, whose order and names differ from run to run, settled ones.

    Each node comes after those that it needs, in the order of its inputs, and names count.
    """
    makers = {name: node for node in graph.node for name in node.output}
    constants = {constant.name: constant for constant in graph.initializer}
    names = {one.name: one.name for one in (*graph.input, *graph.output)}
    ordered: dict[int, onnx.NodeProto] = {}
    used: dict[str, onnx.TensorProto] = {}

    def visit(name: str) -> None:
        if name in constants:
            used.setdefault(name, constants[name])
        elif (node := makers.get(name)) is not None and id(node) not in ordered:
            for needed in node.input:
                visit(needed)
            ordered[id(node)] = node

    for output in graph.output:
        visit(output.name)
    for number, constant in enumerate(used.values()):
        names[constant.name] = constant.name = f"constant_{number}"
    for number, node in enumerate(ordered.values()):
        node.name = f"{node.op_type}_{number}"
        for name in node.output:
            names.setdefault(name, f"tensor_{number}")
    for node in ordered.values():
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    nodes, kept = list(ordered.values()), list(used.values())
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def compare(tflite: Path, model: bytes) -> float:
    """Runs a photo and noise through both runtimes, and all at once through ONNX Runtime.

    Returns:
        The largest absolute difference.

    Raises:
        BuildError: it is too large.
    """
    with Image.open(HERE / "check" / "cat.jpg") as image:
        photo = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    noise = np.random.default_rng(1).uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    photos = np.concatenate([photo[None] / 127.5 - 1, noise])
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    (taken,) = session.get_inputs()
    interpreter = tf.lite.Interpreter(model_path=str(tflite))
    interpreter.allocate_tensors()
    outputs = {one["name"]: one["index"] for one in interpreter.get_output_details()}
    together = session.run(names, {taken.name: photos})
    worst = 0.0
    for row, one in enumerate(photos):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], one[None])
        interpreter.invoke()
        alone = session.run(names, {taken.name: one[None]})
        for name, single, batch in zip(names, alone, together, strict=True):
            expected: FloatArray = interpreter.get_tensor(outputs[name])
            worst = max(worst, float(np.abs(single - expected).max()))
            worst = max(worst, float(np.abs(batch[row] - expected[0]).max()))
    if not worst <= MAX_DIFFERENCE:
        raise BuildError(f"ONNX Runtime differs from TensorFlow Lite by {worst:.1e}")
    return worst


def build(work: Path, out: Path) -> None:
    """Builds the whole artifact.

    Args:
        work: The folder for the downloads.
        out: The folder for the artifact.
    """
    packed = read(SOURCE, work)[PACKED]
    labels = unpacked(packed, LABELS, LABELS_SHA256)
    with tempfile.TemporaryDirectory() as folder:
        tflite = Path(folder, "model.tflite")
        tflite.write_bytes(unpacked(packed, TFLITE, TFLITE_SHA256))
        model: bytes = converted(tflite).SerializeToString(deterministic=True)
        print(f"TensorFlow Lite and ONNX Runtime: at most {compare(tflite, model):.1e} apart")
    for name in COPIED:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / name, target)
    (out / "labels.txt").write_bytes(labels)
    (out / "model.onnx").write_bytes(model)


def main() -> int:
    """Builds into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="the folder for the downloads")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the artifact")
    options = parser.parse_args()
    try:
        build(options.work, options.out)
    except (BuildError, SourceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
