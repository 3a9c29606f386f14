"""Tests of the built detector: it loads, and finds on real photos what is on them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

import corpora
from servers import zeropoint
from zeropoint import loader
from zeropoint.artifact import LocalRepository
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.settings import Settings

NAME = "ssd-mobilenet-oidv4"


@pytest.fixture(scope="module")
def detector(built_repository: Path) -> Model:
    """The detector, which has given its known answer."""
    return loader.load(LocalRepository(built_repository), NAME, Settings())


def told(
    detector: Model, photo: bytes | Path, **parameters: float
) -> list[tuple[str, float, list[float]]]:
    """Returns label, score and box of each detection."""
    data = photo if isinstance(photo, bytes) else photo.read_bytes()
    (prediction,) = detector.answer([Blob(data)], parameters).predictions
    return [(one["label"], one["score"], one["box"]) for one in prediction["detections"]]


@pytest.mark.parametrize(
    ("name", "label", "score", "box"),
    [
        ("chelsea.png", "Cat", 0.85, [3, 1, 424, 300]),
        ("astronaut.png", "Person", 0.59, [21, 17, 363, 507]),
        ("coffee.png", "Coffee cup", 0.56, [171, 21, 420, 324]),
        ("camera.png", "Person", 0.47, [6, 48, 302, 510]),
    ],
)
def test_a_thing_is_found_where_it_is(
    detector: Model, name: str, label: str, score: float, box: list[float]
) -> None:
    ((found, sure, where),) = told(detector, corpora.photo(name))
    assert found == label
    assert sure == pytest.approx(score, abs=0.02)
    assert where == pytest.approx(box, abs=5)


def test_many_things_are_found(detector: Model) -> None:
    (chairs,) = (one.path for one in corpora.imagenet_photos() if one.index == 559)
    assert [label for label, _, _ in told(detector, chairs)] == ["Chair"] * 8
    assert len(told(detector, chairs, max_detections=3)) == 3
    assert len(told(detector, chairs, threshold=0.5)) == 2


def test_nothing_is_told_of_a_photo_with_nothing_it_knows(detector: Model) -> None:
    assert told(detector, corpora.photo("rocket.jpg")) == []


def test_the_background_is_never_told(detector: Model) -> None:
    everything = {"threshold": 0.0, "max_detections": 1000}
    labels = {label for label, _, _ in told(detector, corpora.photo("coffee.png"), **everything)}
    assert len(labels) > 5
    assert "???" not in labels


@pytest.mark.parametrize(
    ("format_", "size", "tolerance"),
    [("PNG", (451, 300), 0.0), ("JPEG", (4000, 3000), 20.0)],  # the noise of a JPEG moves an edge
)
def test_a_photo_gives_the_same_boxes_however_the_camera_was_held(
    detector: Model, format_: str, size: tuple[int, int], tolerance: float
) -> None:
    with Image.open(corpora.photo("chelsea.png")) as image:
        upright = image.convert("RGB").resize(size)
    found = []
    for orientation in range(1, 9):
        back = Image.Exif()  # what makes the upright photo lie as this orientation has it
        back[ExifTags.Base.Orientation] = {6: 8, 8: 6}.get(orientation, orientation)
        lying = upright.copy()
        lying.info["exif"] = back.tobytes()
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        file = io.BytesIO()
        ImageOps.exif_transpose(lying).save(file, format_, exif=exif, quality=90)
        ((label, score, box),) = told(detector, file.getvalue())
        assert label == "Cat"
        assert score == pytest.approx(0.85, abs=0.01)
        found.append(box)
    for box in found:
        assert box == pytest.approx(found[0], abs=tolerance)


def test_a_batch_gives_what_its_photos_give_alone(detector: Model) -> None:
    shape = (3, 300, 300, 3)
    photos = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    (name,) = (spec.name for spec in detector.inputs)
    together = detector.execute({name: photos}).tensors
    for row in range(3):
        alone = detector.execute({name: photos[row : row + 1]}).tensors
        for output, array in alone.items():
            np.testing.assert_allclose(together[output][row], array[0], atol=1e-4)


def test_check_proves_it(built_repository: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / NAME).symlink_to((built_repository / NAME).resolve())
    settings = {"ZEROPOINT_MODELS": str(tmp_path / "models")}
    done = zeropoint(tmp_path, "check", settings=settings)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(f"ok    {NAME} 1 as folded  sha256:")
