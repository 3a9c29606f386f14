"""From an untrusted file to an upright RGB image: the formats served, and nothing else.

What is refused is refused before a pixel is decoded, wherever the file's header can tell.
"""

import contextlib
import io
import logging
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import (  # the plugins of the formats served: Pillow's others are never imported
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from zeropoint import headroom
from zeropoint.errors import (
    BrokenImageError,
    ImageTooLargeError,
    InsufficientMemoryError,
    UnsupportedMediaError,
)

SERVED = "JPEG, PNG, WebP, GIF, BMP or TIFF"

# Each scan of a JPEG goes over all its pixels and may take a hundred bytes: without a limit, one
# megabyte keeps a processor busy for minutes. Cameras write 1, encoders for the web about 10.
MAX_SCANS = 100
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")  # a marker and, but for the end, a length

# The most bytes that decoding takes for a pixel. Pillow keeps one in 4, once more where it is
# turned upright, and where it has to become RGB, in what it was and in between; WebP's decoder has
# its own. A progressive JPEG is kept whole, as coefficients, whatever of it is decoded.
_PLAIN = ("JPEG", "PNG", "BMP")
_PLAIN_BYTES, _WEBP_BYTES, _OTHER_BYTES, _COEFFICIENT_BYTES = 8, 21, 16, 6

# Of what a file holds beside its pixels, Pillow warns in words made from the file.
warnings.filterwarnings("ignore", module="PIL")
logging.getLogger("PIL").addHandler(logging.NullHandler())
logging.getLogger("PIL").propagate = False

# EXIF orientations in which the camera was held upright, and its rows are columns.
_LYING = (5, 6, 7, 8)

# How a file of each format begins; Pillow's own plugins then look closer.
_MAGIC = {
    b"\xff\xd8": JpegImagePlugin.JpegImageFile.format,
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile.format,
    b"RIFF": WebPImagePlugin.WebPImageFile.format,
    b"GIF8": GifImagePlugin.GifImageFile.format,
    b"BM": BmpImagePlugin.BmpImageFile.format,
    b"II*\0": TiffImagePlugin.TiffImageFile.format,
    b"MM\0*": TiffImagePlugin.TiffImageFile.format,
    b"II+\0": TiffImagePlugin.TiffImageFile.format,
    b"MM\0+": TiffImagePlugin.TiffImageFile.format,
}

# Formats that people send and that are not served, by what stands at an offset.
_KNOWN = (
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypavi", "AVIF"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"8BPS", "PSD"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"PK\3\4", "ZIP"),
)


class Photo(NamedTuple):
    """An upright image, maybe decoded at less than its size, and its size as a person sees it."""

    image: Image.Image
    width: int
    height: int


def decode(data: bytes, max_pixels: int, shorter_side: int = 0) -> Image.Image:
    """Returns the image of a `photo`; takes and raises the same."""
    return photo(data, max_pixels, shorter_side).image


def photo(data: bytes, max_pixels: int, shorter_side: int = 0) -> Photo:
    """Decodes the first frame of an image as a person would expect to see it.

    EXIF orientation is applied, transparency is laid over white, CMYK, palettes, greyscale and
    deep images become 8-bit RGB.

    Args:
        data: The file's bytes.
        max_pixels: Most pixels, width by height, that are decoded.
        shorter_side: If the caller will reduce the image to this shorter side, a large JPEG is
            decoded at a half, a quarter or an eighth, never below twice this.

    Returns:
        An image of mode RGB, and the size that it has without that reduction.

    Raises:
        UnsupportedMediaError: not of a served format.
        ImageTooLargeError: more than ``max_pixels``.
        BrokenImageError: of a served format, but damaged or cut short.
        InsufficientMemoryError: to decode it would take more memory than is left.
    """
    format_ = _sniff(data)
    if format_ == JpegImagePlugin.JpegImageFile.format and _scans(data) > MAX_SCANS:
        raise BrokenImageError(f"expected a JPEG of at most {MAX_SCANS} scans, got more")
    try:
        with Image.open(io.BytesIO(data), formats=[format_]) as image:
            _refuse_large(image, max_pixels)
            full = image.size
            reduced = bool(shorter_side and image.draft(None, (2 * shorter_side, 2 * shorter_side)))
            with headroom.reserve(_need(image, full)):
                image.load()
                _refuse_large(image, max_pixels)  # a GIF's frame may be larger than its header
                if not reduced:
                    full = image.size
                width, height = full[::-1] if _turn_upright(image) else full
                return Photo(_rgb(image), width, height)
    except (ImageTooLargeError, InsufficientMemoryError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise ImageTooLargeError(
            f"expected at most {max_pixels} pixels, got a far larger image"
        ) from None
    except Exception as error:
        # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error, IndexError, …
        # on a broken file: whatever it is, the file is at fault.
        raise BrokenImageError(
            f"expected a whole {format_} image, got one that is damaged or cut short"
        ) from error


def upright(image: Image.Image, max_pixels: int) -> Photo:
    """Returns an image that is decoded already as `photo` would one of a file; it stays as it is.

    Raises:
        ImageTooLargeError: more than ``max_pixels``.
    """
    _refuse_large(image, max_pixels)
    with contextlib.suppress(Exception):  # as of a file
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            image = ImageOps.exif_transpose(image)
    return Photo(_rgb(image), *image.size)


def _sniff(data: bytes) -> str:
    """Returns Pillow's name of the served format that ``data`` begins like."""
    for magic, format_ in _MAGIC.items():
        if data.startswith(magic) and (format_ != "WEBP" or data[8:12] == b"WEBP"):
            return format_
    came = next((name for at, magic, name in _KNOWN if data[at:].startswith(magic)), "")
    came = came or ("another format" if data else "no bytes")
    raise UnsupportedMediaError(f"expected a {SERVED} image, got {came}")


def _scans(data: bytes) -> int:
    """Returns the number of a JPEG's scans, or of what looks like them if that is few enough."""
    if (seeming := data.count(_START_OF_SCAN)) <= MAX_SCANS:
        return seeming
    scans, at = 0, 2
    while scans <= MAX_SCANS and (found := _SEGMENT.search(data, at)):
        if found[0] == _END_OF_IMAGE:  # what follows is no pixels: a phone appends its video
            break
        scans += found[0] == _START_OF_SCAN
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return scans


def _refuse_large(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLargeError(f"expected at most {max_pixels} pixels, got {width} by {height}")


def _need(image: Image.Image, full: tuple[int, int]) -> int:
    """Returns the most bytes that decoding takes, told from the header.

    Args:
        image: Opened, at the size that it will be decoded at.
        full: The size that it has in its file.
    """
    progressive = _COEFFICIENT_BYTES if "progressive" in image.info else 0
    if image.format in _PLAIN and image.mode == "RGB" and "transparency" not in image.info:
        decoded = _PLAIN_BYTES
    else:
        decoded = _WEBP_BYTES if image.format == "WEBP" else _OTHER_BYTES
    return image.width * image.height * decoded + full[0] * full[1] * progressive


def _turn_upright(image: Image.Image) -> bool:
    """Applies EXIF orientation, and tells whether width and height are exchanged by it."""
    # A damaged EXIF block says nothing of the pixels: such a photo is taken as it lies.
    with contextlib.suppress(Exception):
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        ImageOps.exif_transpose(image, in_place=True)
        return orientation in _LYING
    return False


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        image = _eight_bit(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        over = Image.new("RGB", image.size, "white")
        over.paste(image, mask=image)
        return over
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scales a greyscale image of 16 or 32 bits to 8; Pillow's convert would clip it.

    16-bit values keep their share of 65,535. Other ranges have no agreed white: an image within
    0..1, 0..255 or 0..65,535 is taken at that scale, and any other at its own maximum.
    """
    values: NDArray[Any] = np.asarray(image)
    if values.dtype.itemsize == 2:
        pixels = (values // 257).astype(np.uint8)
        if "transparency" in image.info:
            pixels[values == image.info["transparency"]] = 255  # this value shows the white below
        return Image.fromarray(pixels)
    values = np.fmax(values, 0, dtype=np.float32)  # what is no number is black
    highest = min(float(values.max(initial=0)), float(np.finfo(np.float32).max))
    scales = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    white = next((scale for scale in scales if highest <= scale), highest)
    np.minimum(values, white, out=values)
    values *= 255.0 / white
    values += 0.5
    return Image.fromarray(values.astype(np.uint8))
