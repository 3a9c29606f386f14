"""Tests of reading images: what a person sees comes out, and all else is refused."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import corpora
from zeropoint import images
from zeropoint.errors import (
    BrokenImageError,
    ClientError,
    ImageTooLargeError,
    UnsupportedMediaError,
)

# images.py filters Pillow's warnings out; pytest puts its own filters before that one.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 8192 * 6144
CHUNKS = 16


def chelsea() -> Image.Image:
    """Returns a photo of a cat, 451 by 300, RGB."""
    with Image.open(corpora.photo("chelsea.png")) as image:
        return image.convert("RGB")


def saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    """Returns an image as a file of ``format_``."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def decoded(data: bytes, max_pixels: int = MAX_PIXELS, shorter_side: int = 0) -> Image.Image:
    """Decodes a file, and checks what holds of every image."""
    image = images.decode(data, max_pixels, shorter_side)
    assert image.mode == "RGB"
    assert 0 < image.width * image.height <= max_pixels
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """Returns by how many of 255 steps two images differ in the mean."""
    assert one.size == other.size
    distance = np.asarray(one.convert("RGB"), np.int16) - np.asarray(other.convert("RGB"))
    return float(np.abs(distance).mean())


# What is served


@pytest.mark.parametrize(
    ("format_", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95}, 3),
        ("JPEG", {"quality": 95, "progressive": True}, 3),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 3),
        ("GIF", {}, 12),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"big_tiff": True}, 0),
        *(("TIFF", {"compression": name}, 0) for name in ("tiff_lzw", "tiff_deflate", "packbits")),
    ],
)
def test_every_format_shows_the_same_photo(
    format_: str, options: dict[str, Any], tolerance: float
) -> None:
    photo = chelsea()
    assert difference(decoded(saved(photo, format_, **options)), photo) <= tolerance


@pytest.mark.parametrize(
    ("format_", "options"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})],
)
def test_only_the_first_frame_is_taken(format_: str, options: dict[str, Any]) -> None:
    second = Image.new("RGB", (451, 300), "red")
    data = saved(chelsea(), format_, save_all=True, append_images=[second], **options)
    assert difference(decoded(data), chelsea()) <= 12


def test_a_frame_larger_than_the_gif_says_is_shown_whole() -> None:
    data = bytearray(saved(chelsea(), "GIF"))
    data[6:10] = struct.pack("<HH", 10, 10)
    assert decoded(bytes(data)).size == (451, 300)


# Orientation

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_photo_taken_with_a_turned_camera_stands_upright(format_: str, orientation: int) -> None:
    turn = TURNS[orientation]
    photo = chelsea()
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = photo if turn is None else photo.transpose(turn)
    data = saved(lying, format_, exif=exif, quality=95)
    assert difference(decoded(data), photo) <= 4
    assert difference(decoded(data, shorter_side=50).resize((451, 300)), photo) <= 8


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_pillows_turned_photos_all_stand_upright(suffix: str) -> None:
    files = {path.name: path for path in corpora.pillow_images()}
    upright = decoded(files[f"hopper.{suffix}"].read_bytes())
    for orientation in range(2, 9):
        turned = decoded(files[f"hopper_orientation_{orientation}.{suffix}"].read_bytes())
        assert difference(turned, upright) <= 8, orientation


def test_turned_fax_pages_all_stand_upright() -> None:
    pages = [path for path in corpora.pillow_images() if path.name.startswith("g4_orientation_")]
    assert len(pages) == 8
    upright = decoded(pages[0].read_bytes())
    assert all(difference(decoded(page.read_bytes()), upright) <= 1 for page in pages)


@given(exif=st.binary(min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_a_photo_with_damaged_exif_is_not_refused(exif: bytes) -> None:
    photo = Image.new("RGB", (8, 8), (200, 100, 50))
    for start in (b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0", b"Exif\0\0MM\0*\0\0\0\x08"):
        assert difference(decoded(saved(photo, "JPEG", exif=start + exif)), photo) <= 4


# Modes


def with_alpha(alpha: int | Image.Image, mode: str = "RGBA") -> Image.Image:
    """Returns the photo with an alpha channel."""
    photo = chelsea().convert(mode)
    photo.putalpha(alpha)
    return photo


def on_paper(alpha: int, photo: Image.Image) -> Image.Image:
    """Returns what a person sees of a photo, so transparent, on white paper."""
    return Image.blend(Image.new("RGB", photo.size, "white"), photo.convert("RGB"), alpha / 255)


@pytest.mark.parametrize("alpha", [0, 1, 128, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
def test_what_is_transparent_shows_white(format_: str, mode: str, alpha: int) -> None:
    data = saved(with_alpha(alpha, mode), format_, lossless=True, exact=True)
    assert difference(decoded(data), on_paper(alpha, chelsea().convert(mode))) <= 1


def test_a_photo_cut_out_lies_on_white() -> None:
    mask = Image.new("L", (451, 300), 0)
    mask.paste(255, (200, 0, 451, 300))
    image = decoded(saved(with_alpha(mask), "PNG"))
    assert image.crop((0, 0, 200, 300)).getextrema() == ((255, 255),) * 3
    right = (200, 0, 451, 300)
    assert difference(image.crop(right), chelsea().crop(right)) == 0


@pytest.mark.parametrize("format_", ["PNG", "GIF"])
def test_the_transparent_colour_of_a_palette_shows_white(format_: str) -> None:
    palette = chelsea().quantize(32)
    pixels = np.asarray(palette)
    image = np.asarray(decoded(saved(palette, format_, transparency=5)))
    assert (image[pixels == 5] == 255).all()
    expected = np.asarray(palette.convert("RGB"))[pixels != 5]
    assert (image[pixels != 5] == expected).all()


def test_a_palette_with_an_alpha_for_each_colour_lies_on_white() -> None:
    palette = chelsea().quantize(32)
    data = saved(palette, "PNG", transparency=bytes([128] * 32))
    assert difference(decoded(data), on_paper(128, palette)) <= 1


@pytest.mark.parametrize("mode", ["L", "1", "P"])
@pytest.mark.parametrize("format_", ["PNG", "GIF", "BMP", "TIFF"])
def test_greyscale_bilevel_and_palette_look_like_themselves(format_: str, mode: str) -> None:
    image = chelsea().convert(mode)
    assert difference(decoded(saved(image, format_)), image.convert("RGB")) <= 1


@pytest.mark.parametrize("colour", [0, 127])
def test_the_transparent_grey_of_a_png_shows_white(colour: int) -> None:
    grey = chelsea().convert("L")
    image = np.asarray(decoded(saved(grey, "PNG", transparency=colour)))
    clear = np.asarray(grey) == colour
    assert (image[clear] == 255).all()
    assert (image[~clear, 0] == np.asarray(grey)[~clear]).all()


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_a_photo_for_print_keeps_its_colours(format_: str) -> None:
    data = saved(chelsea().convert("CMYK"), format_, quality=95)
    assert difference(decoded(data), chelsea()) <= 4


def test_a_printers_jpeg_is_not_shown_as_its_negative() -> None:
    path = next(path for path in corpora.pillow_images() if path.name == "pil_sample_cmyk.jpg")
    pixels = np.asarray(decoded(path.read_bytes()))
    assert pixels[0, 0].tolist() == [255, 13, 25]
    assert pixels[-1, -1].max() < 40


def deep(scale: float, dtype: str) -> Image.Image:
    """Returns the photo in grey, its white at 255 times ``scale``."""
    grey = np.asarray(chelsea().convert("L"), np.float64)
    return Image.fromarray((grey * scale).astype(dtype))


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_16_bits_of_grey_keep_their_brightness(format_: str) -> None:
    image = decoded(saved(deep(257, "uint16"), format_))
    assert difference(image, chelsea().convert("L")) <= 1
    middle = Image.fromarray(np.full((4, 4), 0x8000, np.uint16))
    assert decoded(saved(middle, format_)).getpixel((0, 0)) in ((127, 127, 127), (128, 128, 128))


def test_16_bits_the_other_way_round_keep_their_brightness() -> None:
    image = decoded(saved(deep(257, ">u2"), "TIFF"))
    assert difference(image, chelsea().convert("L")) <= 1


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        ("float32", 1 / 255),
        ("float32", 1),
        ("float32", 257),
        ("float32", 1e6),
        ("int32", 1),
        ("int32", 257),
        ("int32", 8e6),
    ],
)
def test_a_scientists_tiff_is_neither_black_nor_white(dtype: str, scale: float) -> None:
    image = decoded(saved(deep(scale, dtype), "TIFF"))
    brightest = 255 / int(np.asarray(chelsea().convert("L")).max())
    expected = chelsea().convert("L").point(lambda value: value * max(1, brightest))
    assert difference(image, expected if scale > 257 else chelsea().convert("L")) <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 3e38, 0.0])
def test_no_number_in_a_tiff_is_too_strange(value: float) -> None:
    decoded(saved(Image.fromarray(np.full((3, 3), value, np.float32)), "TIFF"))
    pixels = np.full((3, 3), 0.5, np.float32)
    pixels[1, 1] = value
    decoded(saved(Image.fromarray(pixels), "TIFF"))


def png(width: int, height: int, depth: int, kind: int, pixels: bytes, *chunks: bytes) -> bytes:
    """Returns a PNG, ``pixels`` being its compressed rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def chunk(name: bytes, content: bytes) -> bytes:
    """Returns one chunk of a PNG."""
    end = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + end


def test_the_transparent_grey_of_16_bits_shows_white() -> None:
    row = b"\0" + struct.pack(">4H", 1000, 1001, 32768, 65535)
    transparent = chunk(b"tRNS", struct.pack(">H", 1000))
    image = decoded(png(4, 1, 16, 0, zlib.compress(row), transparent))
    assert np.asarray(image)[0, :, 0].tolist() == [255, 3, 127, 255]


# Reduced scale


def large_jpeg() -> bytes:
    """Returns the photo enlarged to 4000 by 2661, as a JPEG."""
    return saved(chelsea().resize((4000, 2661), Image.Resampling.BICUBIC), "JPEG", quality=90)


@pytest.mark.parametrize(
    ("shorter_side", "size"),
    [
        (0, (4000, 2661)),
        (1, (500, 333)),
        (166, (500, 333)),
        (256, (1000, 666)),
        (333, (2000, 1331)),
        (666, (4000, 2661)),
        (8192, (4000, 2661)),
    ],
)
def test_a_large_jpeg_is_decoded_smaller_but_never_below_twice_the_goal(
    shorter_side: int, size: tuple[int, int]
) -> None:
    image = decoded(large_jpeg(), shorter_side=shorter_side)
    assert image.size == size
    assert min(image.size) >= min(2 * shorter_side, 2661)
    small = image.resize((451, 300), Image.Resampling.BICUBIC)
    assert difference(small, chelsea()) <= 4


# What is not served

SECRET = b"the-sender's-own-words"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x18ftypheic" + SECRET, "HEIC"),
        (b"\0\0\0\x18ftypheix" + SECRET, "HEIC"),
        (b"\0\0\0\x18ftypmif1" + SECRET, "HEIC"),
        (b"\0\0\0\x18ftypavif" + SECRET, "AVIF"),
        (b"\0\0\0\x18ftypavis" + SECRET, "AVIF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">' + SECRET + b"</svg>", "SVG"),
        (b'<?xml version="1.0"?><svg>' + SECRET, "XML"),
        (b"%PDF-1.7\n" + SECRET, "PDF"),
        (b"\0\0\1\0\1\0" + SECRET, "ICO"),
        (b"8BPS\0\1" + SECRET, "PSD"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + SECRET, "JPEG 2000"),
        (b"PK\3\4" + SECRET, "ZIP"),
        (b"RIFF\x10\0\0\0WAVE" + SECRET, "another format"),
        (b"P6 1 1 255 " + SECRET, "another format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n" + SECRET, "another format"),
        (SECRET, "another format"),
        (" cat.jpg".encode("utf-16") + SECRET, "another format"),
        (b" " + b"\xff\xd8\xff" + SECRET, "another format"),
        (b"", "no bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_served_is_refused_by_its_name_and_not_its_content(
    data: bytes, name: str
) -> None:
    with pytest.raises(UnsupportedMediaError) as refusal:
        images.decode(data, MAX_PIXELS)
    assert refusal.value.message == f"expected a {images.SERVED} image, got {name}"


@pytest.mark.parametrize("format_", ["AVIF", "ICO", "PDF", "JPEG2000", "PPM", "TGA", "EPS", "SGI"])
def test_what_pillow_could_read_but_nobody_serves_is_refused(format_: str) -> None:
    with pytest.raises(UnsupportedMediaError):
        images.decode(saved(chelsea(), format_), MAX_PIXELS)


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ClientError):
        images.decode(data, MAX_PIXELS)


# Too large


@pytest.mark.parametrize("format_", FORMATS)
def test_a_pixel_over_the_limit_is_too_many(format_: str) -> None:
    data = saved(chelsea(), format_)
    assert decoded(data, 451 * 300).size == (451, 300)
    with pytest.raises(ImageTooLargeError, match="at most 135299 pixels, got 451 by 300"):
        images.decode(data, 451 * 300 - 1)


def patched(data: bytes, at: int, content: bytes) -> bytes:
    """Returns a file with other bytes at one place."""
    return data[:at] + content + data[at + len(content) :]


def tiff(width: int, height: int) -> bytes:
    """Returns a TIFF of one strip, of which hardly a byte is there."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


def png_bomb() -> bytes:
    """Returns a whole PNG of 13,000 by 13,000 pixels in about 160 KiB."""
    squeeze = zlib.compressobj(9)
    rows = bytes(13_001 * 100)
    pixels = b"".join(squeeze.compress(rows) for _ in range(130)) + squeeze.flush()
    return png(13_000, 13_000, 8, 0, pixels)


def bombs() -> dict[str, bytes]:
    """Returns small files that are, or claim to be, huge images."""
    spot = Image.new("RGB", (8, 8), "red")
    jpeg, gif = saved(spot, "JPEG"), saved(spot, "GIF")
    frame = gif.index(b",", 6 + 7)
    lossless = saved(spot, "WEBP", lossless=True)
    extended = saved(spot.convert("RGBA"), "WEBP", exif=b"Exif\0\0II*\0")
    assert extended[12:16] == b"VP8X"
    sides = struct.pack("<HH", 60_000, 60_000)
    return {
        "png": png_bomb(),
        "png-of-2-gigapixels": png(2**31 - 1, 2**31 - 1, 8, 2, b""),
        "jpeg": patched(jpeg, jpeg.index(b"\xff\xc0") + 5, b"\xff\xff\xff\xff"),
        "gif-screen": patched(gif, 6, sides),
        "gif-frame": patched(gif, frame + 5, sides),
        "gif-frame-10000": patched(gif, frame + 5, struct.pack("<HH", 10_000, 10_000)),
        "bmp": patched(saved(spot, "BMP"), 18, struct.pack("<ii", 60_000, 60_000)),
        "bmp-upside-down": patched(saved(spot, "BMP"), 18, struct.pack("<ii", 60_000, -60_000)),
        "webp-lossless": patched(lossless, 21, struct.pack("<I", 16_382 | 16_382 << 14)),
        "webp-extended": patched(extended, 24, b"\xff\xff\x00\xff\xff\x00"),
        "tiff": tiff(60_000, 60_000),
        "tiff-of-100-megapixels": tiff(10_000, 10_000),
        "tiff-of-2-gigapixels": tiff(2**31 - 1, 2**31 - 1),
    }


DEFUSE = """
import sys, time
from pathlib import Path
from zeropoint import images
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
for path in map(Path, sys.argv[1:]):
    data, before, start = path.read_bytes(), peak(), time.perf_counter()
    try:
        images.decode(data, 8192 * 6144, 256)
    except Exception as error:
        print(path.name, type(error).__name__, peak() - before, time.perf_counter() - start)
    else:
        print(path.name, "decoded", 0, 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_bomb_is_refused_before_it_takes_memory_or_time(tmp_path: Path) -> None:
    for name, data in bombs().items():
        assert len(data) < 200_000
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", DEFUSE, *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    told = [line.split() for line in done.stdout.splitlines()]
    assert {name: error for name, error, _, _ in told} == dict.fromkeys(
        bombs(), "ImageTooLargeError"
    )
    assert {name for name, _, kibibytes, _ in told if int(kibibytes) > 8 * 1024} == set()
    assert {name for name, _, _, seconds in told if float(seconds) > 1} == set()
    assert done.stderr == ""


# Damaged


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_file_cut_short_is_told_from_one_not_served(format_: str, kept: float) -> None:
    data = saved(chelsea(), format_)
    with pytest.raises(BrokenImageError, match="damaged or cut short"):
        images.decode(data[: int(len(data) * kept)], MAX_PIXELS)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_pixels_is_refused(width: int, height: int) -> None:
    gif = saved(Image.new("RGB", (8, 8)), "GIF")
    sides = struct.pack("<HH", width, height)
    empty_gif = patched(patched(gif, 6, sides), gif.index(b",", 6 + 7) + 5, sides)
    bmp = patched(saved(Image.new("RGB", (8, 8)), "BMP"), 18, struct.pack("<ii", width, height))
    for data in (png(width, height, 8, 2, zlib.compress(b"\0" * 9)), empty_gif, bmp):
        with pytest.raises(BrokenImageError):
            images.decode(data, MAX_PIXELS)


def test_a_jpeg_of_endless_scans_is_refused_at_once() -> None:
    data = saved(Image.new("L", (4096, 4096), 128), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xc4", 0, data.rindex(b"\xff\xda")) : -2]
    start = time.perf_counter()
    with pytest.raises(BrokenImageError, match="at most 100 scans"):
        images.decode(data[:-2] + last * 10_000 + data[-2:], MAX_PIXELS)
    assert time.perf_counter() - start < 1


def test_a_phones_photo_with_its_video_behind_it_is_decoded() -> None:
    video = np.random.default_rng(0).bytes(1_000_000) + b"\xff\xda" * 1000
    exif = b"Exif\0\0" + b"\xff\xda" * 1000
    data = saved(chelsea(), "JPEG", progressive=True, exif=exif) + video
    assert decoded(data).size == (451, 300)


SMALL: list[tuple[str, str, dict[str, Any]]] = [
    ("JPEG", "RGB", {}),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "CMYK", {}),
    ("PNG", "RGB", {}),
    ("PNG", "P", {"transparency": 3}),
    ("PNG", "LA", {}),
    ("PNG", "I;16", {}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("GIF", "P", {"transparency": 3}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    ("TIFF", "RGB", {}),
    ("TIFF", "F", {}),
    ("TIFF", "RGBA", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
]


def decoded_or_refused(data: bytes) -> None:
    """Decodes a file, or finds it refused as a caller's fault."""
    for shorter_side in (0, 4):
        try:
            decoded(data, 100_000, shorter_side)
        except ClientError:
            continue


@pytest.mark.parametrize(("format_", "mode", "options"), SMALL)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_damaged_image_is_decoded_or_refused_and_nothing_else(
    format_: str, mode: str, options: dict[str, Any], data: st.DataObject
) -> None:
    small = chelsea().resize((32, 24))
    whole = saved(small.convert("L" if mode == "I;16" else mode).convert(mode), format_, **options)
    file = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    places = st.integers(0, len(file) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        file[at] = value
    decoded_or_refused(bytes(file))


@pytest.mark.parametrize("magic", list(images._MAGIC), ids=repr)
@settings(max_examples=40, deadline=None)
@given(rest=st.binary(max_size=300))
def test_a_magic_number_and_noise_are_decoded_or_refused(magic: bytes, rest: bytes) -> None:
    decoded_or_refused(magic + rest)


# Pillow's own corpus of odd, broken and hostile files


def outcome(data: bytes) -> str:
    """Returns what is wrong with how a file was taken, or nothing."""
    start = time.perf_counter()
    try:
        decoded(data)
    except ClientError:
        pass
    except Exception as error:
        return repr(error)
    return "slow" if time.perf_counter() - start > 5 else ""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_file_of_pillows_corpus_is_decoded_or_refused(chunk: int) -> None:
    files = corpora.pillow_images()[chunk::CHUNKS]
    assert files
    wrong = {path.name: said for path in files if (said := outcome(path.read_bytes()))}
    assert wrong == {}


def test_most_of_pillows_corpus_in_served_formats_is_decoded() -> None:
    suffixes = {".jpg", ".png", ".webp", ".gif", ".bmp", ".tif"}
    files = [path for path in corpora.pillow_images() if path.suffix in suffixes]
    refused = []
    for path in files:
        try:
            decoded(path.read_bytes())
        except ClientError:
            refused.append(path.name)
    assert len(files) > 500
    assert len(refused) < 0.08 * len(files), refused


WARNED = """
import sys
from pathlib import Path
from zeropoint import images
from zeropoint.errors import ClientError
for path in map(Path, sys.argv[1:]):
    try:
        images.decode(path.read_bytes(), 8192 * 6144, 256)
    except ClientError as error:
        if isinstance(error.__cause__, Warning):
            print(path.name, error.__cause__)
"""


def test_no_file_of_pillows_corpus_makes_the_function_warn() -> None:
    """Where warnings would be errors, and pytest has no hand in it."""
    command = [sys.executable, "-W", "error", "-c", WARNED, *map(str, corpora.pillow_images())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == ""
    assert "Warning" not in done.stderr
