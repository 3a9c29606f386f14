"""A photo is also calibrated with as seen from nearer; all else only as it is."""

import io

import pytest
from PIL import Image

import corpora
from tiny_models import picture
from zeropoint.instances import Blob
from zeropoint.optimize.views import views

MAX_PIXELS = 10_000_000


def sizes(instance: Blob) -> list[tuple[int, int]]:
    return [Image.open(io.BytesIO(one.data)).size for one in views(instance, MAX_PIXELS)]


def test_a_photo_has_four_windows_that_hold_its_own_pixels() -> None:
    data = corpora.photo("chelsea.png").read_bytes()
    photo = Image.open(io.BytesIO(data)).convert("RGB")
    first, *windows = views(Blob(data), MAX_PIXELS)
    assert first == Blob(data)
    assert len(windows) == 4
    width, height = photo.width * 2 // 3, photo.height * 2 // 3
    left, top = photo.width // 3, photo.height // 3
    corners = [(0, 0), (left, top), (left, 0), (0, top)]
    for (x, y), window in zip(corners, windows, strict=True):
        seen = Image.open(io.BytesIO(window.data))
        assert seen.tobytes() == photo.crop((x, y, x + width, y + height)).tobytes()


def test_a_small_photo_is_enough_as_it_is() -> None:
    assert sizes(Blob(picture("red", (63, 400)))) == [(63, 400)]
    assert len(sizes(Blob(picture("red", (64, 400))))) == 5


@pytest.mark.parametrize("instance", ["a text", {"x": 1}, Blob(b"no photo"), [1, 2]])
def test_what_is_no_photo_is_taken_as_it_is(instance: object) -> None:
    assert list(views(instance, MAX_PIXELS)) == [instance]
