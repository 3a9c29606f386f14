"""Tests of object detection: raw outputs become boxes on the photo, whatever they hold."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import ExifTags, Image

import corpora
from servers import Server
from tiny_detectors import CORNERS, IMAGE, SIDE, constant_graph, red_graph, write_detector
from tiny_models import picture
from zeropoint import images, loader, tasks
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.errors import ArtifactError, ClientError, InvalidError, ManifestError
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.protocols import strict_json
from zeropoint.settings import Settings
from zeropoint.tasks.image import View
from zeropoint.tasks.object_detection import Parameters
from zeropoint.tensors import TensorSpec

INPUT = TensorSpec("input", np.dtype(np.float32), (None, 3, SIDE, SIDE))
LABELS = ("nothing", "cat", "dog")
ANCHORS = """\
[output]
boxes = "boxes"
scores = "scores"
activation = "sigmoid"
background = 0
threshold = 0.5

[boxes]
format = "anchors"

[boxes.anchors]
strides = [128, 256]
min_scale = 0.25
max_scale = 0.5
aspect_ratios = [1.0, 2.0]
"""
YOLO = """\
[output]
boxes = "joined"
activation = "none"
threshold = 0.5

[boxes]
format = "centre"
unit = "pixels"
"""
BOX = [64.0, 0.0, 128.0, 64.0]  # of an input of 256 by 256: on a photo of 64 by 48 …
ON_PHOTO = [16.0, 0.0, 32.0, 12.0]


def load(repository: Path, *args: Any, **options: Any) -> Model:
    """Writes a detector and loads it."""
    write_detector(repository, *args, **options)
    return loader.load(LocalRepository(repository), "detector", Settings())


def found(model: Model, photo: bytes = b"", **parameters: Any) -> list[Any]:
    """Returns what is found on a photo of 64 by 48."""
    blob = Blob(photo or picture("red", (64, 48)))
    (prediction,) = model.answer([blob], parameters).predictions
    detections: list[Any] = prediction["detections"]
    return detections


def spec(name: str, *shape: int | None, dtype: str = "float32") -> TensorSpec:
    """Returns a model's output."""
    return TensorSpec(name, np.dtype(dtype), shape)


def task(folder: Path, tables: str, *outputs: TensorSpec, labels: tuple[str, ...] = LABELS) -> Any:
    """Builds a task without a model, for outputs of any shape and content."""
    write_detector(folder, red_graph(), tables, labels)
    artifact = Artifact(LocalRepository(folder), "detector")
    return tasks.create(artifact, [INPUT], outputs, Settings())


# Formats, from the model's file to the photo's pixels


def test_corners_are_found(tmp_path: Path) -> None:
    graph = constant_graph(
        boxes=[BOX, [0.0, 0.0, 1.0, 1.0]], scores=[[0, 0.25, 0.75], [0, 0.125, 0.25]]
    )
    write_detector(tmp_path, graph, CORNERS, LABELS)
    model = loader.load(LocalRepository(tmp_path), "detector", Settings())
    (prediction,) = model.answer([Blob(picture("red", (64, 48)))]).predictions
    assert prediction == {
        "detections": [{"label": "dog", "score": 0.75, "box": ON_PHOTO, "index": 2}],
        "width": 64,
        "height": 48,
    }


@pytest.mark.parametrize("channels", ["last", "first"])
@pytest.mark.parametrize("objectness", [False, True])
def test_a_yolo_head_is_found(tmp_path: Path, channels: str, objectness: bool) -> None:
    sure, unsure = ([0.75], [0.5]) if objectness else ([], [])
    rows = np.array([[96, 32, 64, 64, *sure, 0, 1, 0], [10, 10, 5, 5, *unsure, 0, 0, 0.9]])
    tables = YOLO.replace("activation", f'channels = "{channels}"\nactivation')
    tables = tables.replace("activation", f"objectness = {str(objectness).lower()}\nactivation")
    graph = constant_graph(joined=rows.T if channels == "first" else rows)
    detections = found(load(tmp_path, graph, tables, LABELS))
    first = {"label": "cat", "score": 0.75 if objectness else 1.0, "box": ON_PHOTO, "index": 1}
    assert detections[0] == first
    assert len(detections) == (1 if objectness else 2)


def test_an_ssd_head_is_found(tmp_path: Path) -> None:
    # Four cells of three anchors, then one cell: the one of 0.25 in the second cell, moved up by
    # half of its own height, and the last.
    boxes, scores = np.zeros((15, 4)), np.full((15, 3), -9.0)
    boxes[3] = [-5.0, 0, 0, 0]
    scores[3] = [9.0, 3.0, -3.0]  # the background is never told
    scores[12] = [-9.0, -9.0, 0.0]
    graph = constant_graph(boxes=boxes, scores=scores)
    cat, dog = found(load(tmp_path, graph, ANCHORS, LABELS))
    assert cat["box"] == [40.0, 0.0, 56.0, 12.0]
    assert cat["score"] == pytest.approx(1 / (1 + math.exp(-3)))
    assert (dog["label"], dog["score"], dog["box"]) == ("dog", 0.5, [16.0, 12.0, 48.0, 36.0])


def test_a_softmax_is_over_the_classes_of_a_box(tmp_path: Path) -> None:
    tables = CORNERS.replace('"none"', '"softmax"')
    scores = np.log([[0.25, 0.125, 0.625], [0.4, 0.3, 0.3]])
    graph = constant_graph(boxes=[BOX, [0.0, 0.0, 9.0, 9.0]], scores=scores)
    (dog,) = found(load(tmp_path, graph, tables, LABELS))
    assert dog["score"] == pytest.approx(0.625)


# Which are told


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that finds ten cats apart and ten dogs on one another."""
    cats = [[20 * n, 0, 20 * n + 10, 50] for n in range(10)]
    dogs = [[n, 100, 100 + n, 200] for n in range(10)]
    scores = [[0, 0.5 + n / 32, 0] for n in range(10)] + [[0, 0, 0.5 + n / 32] for n in range(10)]
    graph = constant_graph(boxes=cats + dogs, scores=scores)
    return load(tmp_path_factory.mktemp("crowd"), graph, CORNERS, LABELS)


def test_of_boxes_of_a_class_on_one_another_the_best_is_told(crowd: Model) -> None:
    labels = [one["label"] for one in found(crowd)]
    assert (labels.count("cat"), labels.count("dog")) == (10, 1)


def test_the_best_come_first(crowd: Model) -> None:
    scores = [one["score"] for one in found(crowd)]
    assert scores == sorted(scores, reverse=True)


def test_a_caller_sets_the_threshold_and_how_many_are_told(crowd: Model) -> None:
    assert len(found(crowd, max_detections=3)) == 3
    assert len(found(crowd, threshold=0.75)) == 3  # two cats and the dog
    assert found(crowd, threshold=1) == []
    assert len(found(crowd, threshold=0)) == 11


def test_no_score_is_told_below_the_threshold(tmp_path: Path) -> None:
    one = task(tmp_path, CORNERS, spec("boxes", None, 1, 4), spec("scores", None, 1, 3))
    boxes = np.array([[BOX]], np.float32)
    scores = np.array([[[0.7, 0.0, 0.0]]], np.float32)  # a little less than 0.7
    for threshold, count in ((0.7, 0), (float(np.float32(0.7)), 1)):
        (prediction,) = one.output(
            {"boxes": boxes, "scores": scores},
            [View(64, 48, (0.0, 0.0, 64.0, 48.0))],
            Parameters(threshold),
        )
        assert len(prediction["detections"]) == count


@pytest.mark.parametrize(
    "parameters",
    [
        {"threshold": -0.1},
        {"threshold": 1.1},
        {"threshold": "0.5"},
        {"threshold": True},
        {"max_detections": 0},
        {"max_detections": 1001},
        {"max_detections": 1.5},
        {"max_detections": 10**30},
        {"iou_threshold": 0.5},
    ],
)
def test_other_parameters_are_refused(crowd: Model, parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        found(crowd, **parameters)


@given(
    boxes=arrays.arrays(np.float32, (2, 15, 4), elements=st.floats(width=32)),
    scores=arrays.arrays(np.float32, (2, 15, 3), elements=st.floats(width=32)),
    threshold=st.floats(0, 1),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_model_gives_an_answer_is_boxes_on_the_photo(
    hostile: list[tasks.Task],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    threshold: float,
) -> None:
    views = [View(640, 480, (80.0, 0.0, 560.0, 480.0)), View(3, 9, (0.0, 0.0, 3.0, 9.0))]
    tensors = {"boxes": boxes, "scores": scores}
    for one in hostile:
        for view, prediction in zip(
            views, one.output(tensors, views, Parameters(threshold)), strict=True
        ):
            assert json.loads(strict_json.encode(prediction)) == prediction
            for detection in prediction["detections"]:
                x_min, y_min, x_max, y_max = detection["box"]
                assert 0 <= x_min < x_max <= view.width
                assert 0 <= y_min < y_max <= view.height
                assert math.isfinite(detection["score"])
                assert detection["score"] >= threshold
                assert detection["label"] == LABELS[detection["index"]]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> list[tasks.Task]:
    """A task of each format and activation, for 15 boxes of three classes."""
    outputs = spec("boxes", None, 15, 4), spec("scores", None, 15, 3)
    tables = [CORNERS, CORNERS.replace("none", "softmax"), ANCHORS]
    tables.append(CORNERS.replace("corners", "centre").replace("pixels", "fractions"))
    return [task(tmp_path_factory.mktemp("hostile"), one, *outputs) for one in tables]


def test_the_work_for_many_boxes_is_bounded(tmp_path: Path) -> None:
    many = 100_000
    made = task(tmp_path, CORNERS, spec("boxes", None, many, 4), spec("scores", None, many, 3))
    corners = np.random.default_rng(1).uniform(0, 250, (1, many, 2)).astype(np.float32)
    tensors = {
        "boxes": np.concatenate([corners, corners + 5], axis=2),
        "scores": np.ones((1, many, 3), np.float32),
    }
    view = View(SIDE, SIDE, (0.0, 0.0, SIDE, SIDE))
    (prediction,) = made.output(tensors, [view], Parameters(max_detections=1000))
    assert 100 < len(prediction["detections"]) <= 1000


# Where they are


def turned(upright: Image.Image, orientation: int, **save: Any) -> bytes:
    """Returns the JPEG of a camera that was held so that EXIF tells of this orientation."""
    transpose = Image.Transpose
    way = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_90,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_270,
    }.get(orientation)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    lying = upright if way is None else upright.transpose(way)
    lying.save(file, "JPEG", exif=exif, quality=90, **save)
    return file.getvalue()


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that finds what is red."""
    return load(tmp_path_factory.mktemp("red"), red_graph())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(4000, 3000), (300, 401)])
def test_boxes_lie_on_the_upright_photo_however_the_camera_was_held(
    red: Model, size: tuple[int, int], orientation: int
) -> None:
    width, height = size
    photo = Image.new("RGB", size)
    box = (width // 4, height // 8, width // 2, height // 4)
    photo.paste("red", box)
    (prediction,) = red.answer([Blob(turned(photo, orientation))]).predictions
    assert (prediction["width"], prediction["height"]) == size
    (one,) = prediction["detections"]
    assert one["label"] == "red thing"
    assert one["box"] == pytest.approx(box, abs=max(size) / SIDE)  # a pixel of the model's input


def test_boxes_of_a_cropped_photo_lie_on_the_whole_one(tmp_path: Path) -> None:
    resize = f'resize = {{ shorter_side = {SIDE}, kernel = "box" }}\ncrop = [{SIDE}, {SIDE}]'
    lines = [resize if line.startswith("resize") else line for line in IMAGE.splitlines()]
    model = load(tmp_path, red_graph(), image="\n".join(lines) + "\n")
    for size, corner in (((4000, 2000), (1500, 250)), ((500, 1024), (125, 400))):
        photo = Image.new("RGB", size)
        box = (*corner, corner[0] + 200, corner[1] + 300)
        photo.paste("red", box)
        (one,) = found(model, turned(photo, 6))
        assert one["box"] == pytest.approx(box, abs=2 * min(size) / SIDE)


_BLACK: dict[str, str | tuple[int, ...]] = {"L": "black", "CMYK": (0, 0, 0, 255), "RGB": "black"}


@pytest.mark.parametrize("mode", list(_BLACK))
def test_the_true_size_is_told_of_any_file(red: Model, mode: str) -> None:
    for format_ in ("JPEG", "TIFF"):
        file = picture(_BLACK[mode], (2600, 2500), mode=mode, format=format_)
        (prediction,) = red.answer([Blob(file)]).predictions
        assert (prediction["width"], prediction["height"]) == (2600, 2500)


def test_a_file_that_is_decoded_whole_has_the_size_of_its_image() -> None:
    whole = 0
    for path in corpora.pillow_images():
        with contextlib.suppress(ClientError):
            photo = images.photo(path.read_bytes(), 2_000_000)
            assert photo.image.size == (photo.width, photo.height), path.name
            whole += 1
    assert whole > 200


def test_a_batch_is_answered_as_its_photos_one_by_one(tmp_path: Path) -> None:
    folder = write_detector(tmp_path, red_graph())
    toml = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(f"max_batch = 4\n{toml}")
    model = loader.load(LocalRepository(tmp_path), "detector", Settings())
    photos = []
    for left in range(0, 60, 20):
        photo = Image.new("RGB", (100 + left, 90))
        photo.paste("red", (left, 10, left + 15, 40))
        photos.append(Blob(turned(photo, 1)))
    alone = [model.answer([photo]).predictions[0] for photo in photos]
    assert model.answer(photos).predictions == alone


# What a manifest may say

BOXES, SCORES = spec("boxes", None, 15, 4), spec("scores", None, 15, 3)


@pytest.mark.parametrize(
    ("tables", "outputs", "said"),
    [
        (ANCHORS, [spec("boxes", 1, 16, 4), SCORES], "boxes: float[?, 15, 4] as [output]"),
        (ANCHORS, [BOXES, spec("scores", 1, 14, 3)], "scores: float[?, 15, 3]"),
        (CORNERS, [BOXES, spec("scores", 1, 14, 3)], "scores: float[?, 15, 3]"),
        (CORNERS, [BOXES, spec("scores", None, 15, 4)], "scores: float[?, 15, 3]"),
        (CORNERS, [BOXES, spec("scores", None, 15, 3, dtype="int64")], "got boxes: float32"),
        (CORNERS, [BOXES, spec("scores", None, 3)], "scores: float[?, 15, 3]"),
        (CORNERS, [SCORES, spec("box", None, 15, 4)], "boxes: float[?, ?, 4]"),
        (CORNERS, [], "boxes: float[?, ?, 4]"),
        (YOLO, [spec("joined", 1, 9, 6)], "joined: float[?, ?, 7]"),
        (YOLO.replace("unit", "order"), [spec("joined", 1, 9, 7)], "`boxes.order`"),
        (YOLO.replace("threshold", "treshold"), [], "`output.treshold` is unknown"),
        (CORNERS.replace('"scores"', '"boxes"'), [BOXES], "expected no output.scores"),
        (CORNERS.replace("threshold", "background = 3\nthreshold"), [BOXES, SCORES], "3 labels"),
        (CORNERS.replace("0.5", "1.5"), [BOXES, SCORES], "`output.threshold`"),
    ],
)
def test_a_manifest_that_does_not_fit_the_model_is_refused(
    tmp_path: Path, tables: str, outputs: list[TensorSpec], said: str
) -> None:
    with pytest.raises(ManifestError) as refusal:
        task(tmp_path, tables, *outputs)
    assert refusal.value.message.startswith("detector")
    assert said in refusal.value.message


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="with a label for each line, got an empty file"):
        task(tmp_path, CORNERS, BOXES, spec("scores", None, 15, 0), labels=())


def test_labels_in_another_encoding_are_refused(tmp_path: Path) -> None:
    folder = write_detector(tmp_path, red_graph(), labels=("caf\xe9",))
    toml = (folder / "model.toml").read_text()
    before = (folder / "labels.txt").read_bytes()
    (folder / "labels.txt").write_bytes(b"caf\xe9\n")
    (folder / "model.toml").write_text(toml.replace(_digest(before), _digest(b"caf\xe9\n")))
    with pytest.raises(ManifestError, match=r"labels\.txt in UTF-8"):
        loader.load(LocalRepository(tmp_path), "detector", Settings())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_outputs_of_another_shape_than_declared_are_our_fault(tmp_path: Path) -> None:
    made = task(tmp_path, CORNERS, spec("boxes", None, None, 4), spec("scores", None, None, None))
    view = View(9, 9, (0.0, 0.0, 9.0, 9.0))
    for boxes, scores in (((1, 5, 4), (1, 6, 3)), ((1, 5, 4), (1, 5, 2)), ((2, 5, 4), (2, 5, 3))):
        tensors = {"boxes": np.zeros(boxes), "scores": np.zeros(scores)}
        with pytest.raises(ArtifactError, match="expected 4 numbers and 3 scores"):
            made.output(tensors, [view], Parameters())


# What callers send and get


def test_the_schema_describes_what_comes_out(tmp_path: Path, crowd: Model) -> None:
    write_detector(tmp_path, red_graph())
    described = tasks.schema(Artifact(LocalRepository(tmp_path), "detector"))
    item = described.prediction["properties"]["detections"]["items"]
    assert set(found(crowd)[0]) == set(item["properties"]) == set(item["required"])
    assert "image/jpeg" in described.media_types


@pytest.mark.parametrize("instance", [None, True, 1, "x", [], {}, {"b64": 1}, Blob(b"")])
def test_what_is_no_photo_is_refused(red: Model, instance: Any) -> None:
    with pytest.raises(ClientError):
        red.answer([instance])


def test_a_server_answers_natively_and_in_v2(tmp_path: Path) -> None:
    write_detector(tmp_path, red_graph())
    photo = Image.new("RGB", (200, 100))
    photo.paste("red", (50, 25, 100, 75))
    jpeg = turned(photo, 6)
    text = base64.b64encode(jpeg).decode()
    with Server({"ZEROPOINT_MODELS": str(tmp_path)}) as server:
        server.wait_until_ready()
        body = requests.post(
            f"{server.url}/predict", jpeg, headers={"content-type": "image/jpeg"}, timeout=10
        )
        (prediction,) = body.json()["predictions"]
        assert prediction["detections"][0]["box"] == pytest.approx([50, 25, 100, 75], abs=1)
        document = {"instances": [{"b64": text}], "parameters": {"threshold": 0.5}}
        native = requests.post(f"{server.url}/predict", json=document, timeout=10).json()
        assert native["predictions"] == [prediction]
        sent = {"name": "instances", "datatype": "BYTES", "shape": [1], "data": [text]}
        v2 = requests.post(
            f"{server.url}/v2/models/detector/infer", json={"inputs": [sent]}, timeout=10
        ).json()
        assert json.loads(v2["outputs"][0]["data"][0]) == prediction
        document["parameters"] = {"threshold": 2}
        refused = requests.post(f"{server.url}/predict", json=document, timeout=10)
        assert refused.status_code == 422
        assert "threshold" in refused.json()["error"]["message"]
