"""Tests of the [image] table: what it may say, and that the tensor is what it says."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import corpora
from zeropoint.errors import (
    BrokenImageError,
    ImageTooLargeError,
    InvalidError,
    ManifestError,
    UnsupportedMediaError,
)
from zeropoint.instances import Blob
from zeropoint.tasks.image import ImageInput, ImageTable
from zeropoint.tensors import TensorSpec

CROP: dict[str, Any] = {
    "resize": {"shorter_side": 256, "kernel": "bicubic"},
    "crop": [224, 224],
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
}
STRETCH: dict[str, Any] = CROP | {
    "resize": {"width": 320, "height": 200, "kernel": "bilinear"},
    "crop": None,
}


def spec(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    """Returns a model's input."""
    return TensorSpec("pixels", np.dtype(dtype), shape)


ANY = spec(None, None, None, None)


def image_input(
    table: dict[str, Any], *inputs: TensorSpec, max_pixels: int = 10**8, **keys: Any
) -> ImageInput:
    """Builds step 1 from a table as a manifest would have it."""
    parsed = msgspec.convert(table | keys, ImageTable)
    return ImageInput(parsed, inputs or [ANY], max_pixels, "cats")


def png(image: Image.Image) -> Blob:
    """Returns an image as the body of a request."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return Blob(file.getvalue(), "image/png")


def photo(name: str) -> Image.Image:
    """Returns a real photo, RGB."""
    with Image.open(corpora.photo(name)) as image:
        return image.convert("RGB")


def pixels(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the one photo of an NCHW tensor as (H, W, 3)."""
    assert tensor.dtype == np.float32
    assert tensor.shape[0] == 1
    photo: NDArray[np.float32] = tensor[0].transpose(1, 2, 0)
    return photo


# What a table may say


@pytest.mark.parametrize(
    "keys",
    [
        {"resize": {"kernel": "box"}},
        {"crop": None},
        {"resize": {"kernel": "box", "width": 224, "height": 224}},
        {"resize": {"kernel": "box", "width": 224, "height": 224, "shorter_side": 256}},
        {"resize": {"kernel": "box", "width": 224}, "crop": None},
        {"resize": {"kernel": "box", "height": 224}, "crop": None},
        {"resize": {"kernel": "box", "width": 224, "shorter_side": 256}},
    ],
)
def test_a_table_has_either_a_shorter_side_and_a_crop_or_a_width_and_a_height(
    keys: dict[str, Any],
) -> None:
    with pytest.raises(ManifestError, match=r"cats: .* shorter_side, .* or .* width and height"):
        image_input(CROP, **keys)


@pytest.mark.parametrize("crop", [[257, 224], [224, 257]])
def test_a_crop_larger_than_the_photo_will_be_is_refused(crop: list[int]) -> None:
    with pytest.raises(ManifestError) as refusal:
        image_input(CROP, crop=crop)
    assert refusal.value.message == (
        f"cats: expected image.crop within image.resize.shorter_side 256, got {crop}"
    )


def test_a_std_of_zero_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"cats: expected image\.std without zeros"):
        image_input(CROP, std=[1.0, 0.0, 1.0])


@pytest.mark.parametrize(
    "keys",
    [
        {"resize": {"kernel": "cubic", "shorter_side": 256}},
        {"resize": {"kernel": "box", "shorter_side": 0}},
        {"resize": {"kernel": "box", "shorter_side": 9000}},
        {"resize": {"kernel": "box", "longer_side": 256}},
        {"crop": [224]},
        {"mean": [0.0]},
        {"layout": "CHW"},
        {"colour": "BGR"},
    ],
)
def test_a_table_with_other_keys_or_values_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        image_input(CROP, **keys)


@pytest.mark.parametrize(
    ("inputs", "came"),
    [
        ([spec(None, 3, 224, 225)], "pixels: float32[?, 3, 224, 225]"),
        ([spec(1, 1, 224, 224)], "pixels: float32[1, 1, 224, 224]"),
        ([spec(None, 224, 224, 3)], "pixels: float32[?, 224, 224, 3]"),
        ([spec(3, 224, 224)], "pixels: float32[3, 224, 224]"),
        ([spec(None, 3, 224, 224, dtype="float16")], "pixels: float16[?, 3, 224, 224]"),
        ([spec(None, 3, 224, 224, dtype="int8")], "pixels: int8[?, 3, 224, 224]"),
        ([ANY, ANY], "pixels: float32[?, ?, ?, ?]; pixels: float32[?, ?, ?, ?]"),
    ],
)
def test_a_model_that_takes_something_else_is_refused_by_both_shapes(
    inputs: list[TensorSpec], came: str
) -> None:
    with pytest.raises(ManifestError) as refusal:
        image_input(CROP, *inputs)
    assert refusal.value.message == (
        f"cats: expected an input float32 or uint8[?, 3, 224, 224] as [image] says, got {came}"
    )


@pytest.mark.parametrize(
    ("layout", "fits"),
    [
        ("NCHW", [spec(1, 3, 200, 320), spec(None, 3, 200, 320), spec(None, 3, None, None), ANY]),
        ("NHWC", [spec(1, 200, 320, 3), spec(None, 200, 320, 3), spec(None, None, None, 3), ANY]),
    ],
)
def test_a_model_with_the_tables_shape_or_an_open_one_fits(
    layout: str, fits: list[TensorSpec]
) -> None:
    for one in fits:
        made = image_input(STRETCH, one, layout=layout).prepare(png(photo("coffee.png")))
        assert made.shape == ((1, 3, 200, 320) if layout == "NCHW" else (1, 200, 320, 3))


# What comes out

PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")


@pytest.mark.parametrize("kernel", ["box", "bilinear", "hamming", "bicubic", "lanczos"])
@pytest.mark.parametrize("turned", [False, True], ids=["lying", "standing"])
@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_comes_out_as_after_a_resize_and_a_crop(
    name: str, turned: bool, kernel: str
) -> None:
    image = photo(name)
    if turned:
        image = image.transpose(Image.Transpose.ROTATE_90)
    resampling = Image.Resampling[kernel.upper()]
    scale = 256 / min(image.size)
    resized = image.resize((round(image.width * scale), round(image.height * scale)), resampling)
    left, top = (resized.width - 224) // 2, (resized.height - 200) // 2
    expected = np.asarray(resized.crop((left, top, left + 224, top + 200)), np.float32)
    resize = {"shorter_side": 256, "kernel": kernel}
    found = pixels(image_input(CROP, resize=resize, crop=[200, 224]).prepare(png(image)))
    assert found.shape == (200, 224, 3)
    assert np.abs(found - expected).mean() < 0.5


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_is_stretched_where_the_table_has_a_width_and_a_height(name: str) -> None:
    image = photo(name)
    expected = np.asarray(image.resize((320, 200), Image.Resampling.BILINEAR), np.float32)
    assert np.abs(pixels(image_input(STRETCH).prepare(png(image))) - expected).mean() < 0.5


def test_a_photo_ten_times_as_large_comes_out_alike() -> None:
    large = photo("chelsea.png").resize((4510, 3000), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    large.save(file, "JPEG", quality=95)
    small = image_input(CROP).prepare(png(photo("chelsea.png")))
    for blob in (png(large), Blob(file.getvalue())):
        assert np.abs(image_input(CROP).prepare(blob) - small).mean() < 3


def test_both_layouts_hold_the_same_numbers() -> None:
    blob = png(photo("chelsea.png"))
    first = image_input(CROP, layout="NCHW").prepare(blob)
    last = image_input(CROP, layout="NHWC").prepare(blob)
    assert (first.shape, last.shape) == ((1, 3, 224, 224), (1, 224, 224, 3))
    assert (pixels(first) == last[0]).all()
    assert first.flags.c_contiguous
    assert last.flags.c_contiguous


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_model_that_takes_bytes_gets_the_pixels_as_they_are(layout: str) -> None:
    blob = png(photo("chelsea.png"))
    found = image_input(
        CROP | {"mean": [9.0] * 3, "std": [7.0] * 3},
        spec(*[None] * 4, dtype="uint8"),
        layout=layout,
    ).prepare(blob)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, image_input(CROP, layout=layout).prepare(blob))


def test_red_is_the_first_channel() -> None:
    made = image_input(CROP).prepare(png(Image.new("RGB", (300, 300), (250, 100, 10))))
    assert made[0, :, 0, 0].tolist() == [250, 100, 10]


@given(
    mean=st.tuples(*[st.floats(0, 255, width=32)] * 3),
    std=st.tuples(*[st.floats(1, 255, width=32)] * 3),
    layout=st.sampled_from(["NCHW", "NHWC"]),
)
@settings(max_examples=50, deadline=None)
def test_a_pixel_becomes_its_distance_from_the_mean_in_stds(
    mean: tuple[float, float, float], std: tuple[float, float, float], layout: str
) -> None:
    every = np.arange(256, dtype=np.uint8)
    image = np.stack([every, every[::-1], every // 2], axis=-1).reshape(16, 16, 3)
    resize = {"width": 16, "height": 16, "kernel": "nearest"}
    table = STRETCH | {"resize": resize, "mean": mean, "std": std, "layout": layout}
    made = image_input(table).prepare(png(Image.fromarray(image)))
    expected = (image.astype(np.float64) - mean) / std
    found = made[0] if layout == "NHWC" else pixels(made)
    # Beside 1e-5 stands what a float32 cannot tell apart.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 + 255 / min(std) * 2.5e-7)


def test_imagenets_own_mean_and_std_come_out_exactly() -> None:
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    blob = png(photo("chelsea.png"))
    plain = pixels(image_input(CROP).prepare(blob))
    found = pixels(image_input(CROP, mean=mean, std=std).prepare(blob))
    expected = (plain.astype(np.float64) - mean) / std
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


# Shapes

TABLES = {
    "cropped": CROP,
    "not cropped": CROP | {"crop": [256, 256]},
    "stretched": STRETCH,
    "stretched to the nearest": STRETCH
    | {"resize": {"width": 320, "height": 200, "kernel": "nearest"}},
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 5000), (5000, 1), (2, 5000), (1, 100_000), (16_777_219, 1), (255, 257)]
)
def test_a_photo_of_any_shape_is_taken(size: tuple[int, int], table: dict[str, Any]) -> None:
    made = image_input(table).prepare(png(Image.new("L", size, 77)))
    assert (made == 77).all()


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@given(width=st.integers(1, 3000), height=st.integers(1, 3000))
@settings(max_examples=30, deadline=None)
def test_a_photo_of_any_shape_keeps_its_colour(
    table: dict[str, Any], width: int, height: int
) -> None:
    made = image_input(table).prepare(png(Image.new("1", (width, height), 1)))
    assert (made == 255).all()


@given(
    width=st.integers(1, 10_000_000),
    height=st.integers(1, 10_000_000),
    shorter_side=st.integers(1, 8192),
    crop=st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
)
@settings(max_examples=300, deadline=None)
def test_what_a_crop_keeps_lies_in_the_middle_of_the_photo(
    width: int, height: int, shorter_side: int, crop: tuple[int, int]
) -> None:
    crop = min(crop[0], shorter_side), min(crop[1], shorter_side)
    resize = {"shorter_side": shorter_side, "kernel": "box"}
    left, top, right, bottom = image_input(CROP, resize=resize, crop=crop)._box(width, height)
    pixel = min(width, height) / shorter_side  # of the resized image, were its sides not rounded
    slack = 1e-6 * max(width, height)
    assert 0 <= left < right <= width + slack
    assert 0 <= top < bottom <= height + slack
    assert abs((left + right) - width) <= 1.5 * pixel + slack
    assert abs((top + bottom) - height) <= 1.5 * pixel + slack
    assert right - left == pytest.approx(crop[1] * pixel, rel=1 / shorter_side)
    assert bottom - top == pytest.approx(crop[0] * pixel, rel=1 / shorter_side)


# What is refused


@pytest.mark.parametrize("instance", [None, 1.5, "cat.jpg", [1, 2], {"b64": ""}, b"\x89PNG"])
def test_a_value_that_is_no_file_is_refused(instance: Any) -> None:
    with pytest.raises(InvalidError, match=r'expected an image, in JSON as \{"b64"'):
        image_input(CROP).prepare(instance)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/json", "video/mp4", "images/png"]
)
def test_a_file_that_its_sender_calls_no_image_is_refused(media_type: str) -> None:
    data = png(photo("chelsea.png")).data
    with pytest.raises(UnsupportedMediaError) as refusal:
        image_input(CROP).prepare(Blob(data, media_type))
    assert media_type not in refusal.value.message


@pytest.mark.parametrize(
    "media_type", ["", "application/octet-stream", "image/heic", "image/jpg", "image/*"]
)
def test_which_image_it_is_the_file_says_and_not_its_sender(media_type: str) -> None:
    blob = png(photo("chelsea.png"))
    expected = image_input(CROP).prepare(blob)
    assert (image_input(CROP).prepare(Blob(blob.data, media_type)) == expected).all()


def test_what_is_no_image_whatever_its_sender_says_is_refused() -> None:
    with pytest.raises(UnsupportedMediaError):
        image_input(CROP).prepare(Blob(b"a cat, I promise", "image/jpeg"))
    with pytest.raises(UnsupportedMediaError, match="got no bytes"):
        image_input(CROP).prepare(Blob(b"", "image/jpeg"))


def test_a_photo_over_the_limit_or_cut_short_is_refused() -> None:
    blob = png(photo("chelsea.png"))
    with pytest.raises(ImageTooLargeError, match="at most 100000 pixels, got 451 by 300"):
        image_input(CROP, max_pixels=100_000).prepare(blob)
    with pytest.raises(BrokenImageError):
        image_input(CROP).prepare(Blob(blob.data[:50_000]))
