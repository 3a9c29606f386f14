"""The boxes of a prediction, drawn on the photo."""

import colorsys
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from zeropoint import images
from zeropoint.tasks import Prediction

_GOLDEN_RATIO = 0.618  # as a step it keeps the hues of neighbouring classes far apart
_MIN_FONT = 11  # pixels
_LIGHT = 140  # of 255: where black is better to read than white

Colour = tuple[int, int, int]


def draw_boxes(data: bytes, prediction: Prediction, max_pixels: int) -> Image.Image:
    """Draws boxes with label and score, in sizes that suit the photo's.

    Args:
        data: The photo's file.
        prediction: Of an object detector, for this photo.
        max_pixels: Most pixels of a photo.

    Returns:
        The upright photo, RGB.
    """
    image = images.decode(data, max_pixels)
    side = min(image.size)
    font = ImageFont.load_default(max(_MIN_FONT, side // 28))
    canvas = ImageDraw.Draw(image)
    for detection in reversed(prediction["detections"]):  # the best on top
        colour = _colour(detection["index"])
        canvas.rectangle(detection["box"], outline=colour, width=max(2, side // 200))
        _write(canvas, detection, colour, font)
    return image


def _write(
    canvas: ImageDraw.ImageDraw,
    detection: dict[str, Any],
    colour: Colour,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Writes label and score over the box, or in it where the photo ends."""
    text = f"{detection['label']} {detection['score']:.0%}"
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    pad = max(1.0, (bottom - top) // 4)
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x_min, y_min = detection["box"][:2]
    x = max(0.0, min(x_min, canvas.im.size[0] - width))
    y = y_min - height if y_min >= height else y_min
    canvas.rectangle((x, y, x + width, y + height), fill=colour)
    dark = sum(share * part for share, part in zip((0.3, 0.6, 0.1), colour, strict=True)) > _LIGHT
    canvas.text((x + pad - left, y + pad - top), text, "black" if dark else "white", font)


def _colour(index: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1.0, 0.85, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
