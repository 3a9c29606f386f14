"""A tiny classifier of photos with two convolutions, and files that claim to be as good."""

import colorsys
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tiny_models import COLOUR_TOML, LABELS, SIDE, picture, sha256
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.instances import Blob
from zeropoint.optimize.samples import Sample
from zeropoint.tensors import Tensors

_WIDTH = 8


def graph(shift: int = 0, scale: float = 1.0, ballast: int = 0, extra: int = 0) -> onnx.ModelProto:
    """Returns a model that tells which channel of a photo is the strongest.

    Args:
        shift: Labels that it is wrong by.
        scale: What its scores are multiplied with, towards the end.
        ballast: Numbers that nobody needs.
        extra: Convolutions that nobody needs.
    """
    first = np.zeros((_WIDTH, 3, 3, 3), np.float32)
    last = np.zeros((3, _WIDTH, 1, 1), np.float32)
    for channel in range(3):
        first[channel, channel] = 1 / 9
        last[(channel + shift) % 3, channel] = scale
    weights: dict[str, NDArray[np.float32]] = {"first": first, "last": last}
    nodes = [
        helper.make_node("Conv", ["input", "first"], ["seen"], name="a", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["seen"], ["h0"], name="b"),
    ]
    for number in range(extra):
        weights[f"same{number}"] = np.tile(
            np.eye(_WIDTH, dtype=np.float32)[:, :, None, None] / 81, (1, 1, 9, 9)
        )
        nodes.append(
            helper.make_node(
                "Conv", [f"h{number}", f"same{number}"], [f"h{number + 1}"], pads=[4, 4, 4, 4]
            )
        )
    nodes += [
        helper.make_node("Conv", [f"h{extra}", "last"], ["told"], name="c"),
        helper.make_node("GlobalAveragePool", ["told"], ["means"], name="d"),
        helper.make_node("Flatten", ["means"], ["scores"], name="e"),
    ]
    if ballast:
        numbers = np.arange(ballast, dtype=np.float32)
        weights["ballast"] = numbers
    made = helper.make_graph(
        nodes,
        "channels",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_artifact(repository: Path, name: str = "channels", ballast: int = 0) -> Path:
    """Writes an artifact of that model, and returns its folder."""
    folder = repository / name
    folder.mkdir(parents=True)
    onnx.save(graph(ballast=ballast), folder / "model.onnx")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    (folder / "red.png").write_bytes(picture("red"))
    digests = [sha256(folder / file) for file in ("model.onnx", "labels.txt", "red.png")]
    toml = COLOUR_TOML.format(name=name, model=digests[0], labels=digests[1], check=digests[2])
    (folder / "model.toml").write_text(toml + "\n# the end\n")
    return folder


def colours(count: int) -> list[bytes]:
    """Returns photos of one colour each, of which one channel is clearly the strongest."""
    hues = [(third + step / count * 0.5) / 3 for step in range(count) for third in (0, 1, 2)]
    found = []
    for number, hue in enumerate(hues[:count]):
        rgb = colorsys.hsv_to_rgb((hue - 0.08) % 1.0, 0.9, 0.4 + 0.6 * number / count)
        found.append(picture(tuple(round(255 * value) for value in rgb)))
    return found


def write_photos(folder: Path, count: int = 40) -> Path:
    """Writes `colours` into a folder."""
    folder.mkdir(parents=True)
    for number, data in enumerate(colours(count)):
        (folder / f"{number:03}.png").write_bytes(data)
    return folder


def samples(count: int = 40) -> list[Sample]:
    """Returns `colours` as samples."""
    return [Sample(Blob(data), None, hashlib.sha256(data).hexdigest()) for data in colours(count)]


def artifact(folder: Path) -> Artifact:
    """Returns the artifact in a folder."""
    return Artifact(LocalRepository(folder), folder.name)


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Writes a model."""
    onnx.save(model, path)
    return path


def quantized(tensors: Sequence[Tensors], source: Path, path: Path, scale: float = 1.0) -> Path:
    """Writes a model in int8, calibrated with samples that are ``scale`` times as large."""
    # Here, as zeropoint.session has to be the first that imports ONNX Runtime.
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            self._rows = iter(tensors)

        def get_next(self) -> Tensors | None:
            """Returns the next sample's input."""
            row = next(self._rows, None)
            if row is None:
                return None
            return {name: (array * scale).astype(np.float32) for name, array in row.items()}

    quantize_static(
        str(source),
        str(path),
        Reader(),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    return path
