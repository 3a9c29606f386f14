"""The manifest's [image] table: how a photo becomes the model's input tensor."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, cast

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from PIL import Image

from zeropoint import images
from zeropoint.errors import InvalidError, ManifestError, UnsupportedMediaError
from zeropoint.instances import Blob, Instance
from zeropoint.tensors import TensorSpec

Side = Annotated[int, Meta(ge=1, le=8192)]
Channels = tuple[float, float, float]

_KERNELS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MEDIA_TYPES = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "application/octet-stream",
)
# What stands for a file in JSON: see `zeropoint.files`.
FILE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
            "required": ["b64"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"gcs": {"type": "string", "pattern": "^gs://"}},
            "required": ["gcs"],
            "additionalProperties": False,
        },
        {"type": "string", "description": "base64, or a name that begins with gs://"},
    ]
}
# One orange pixel, a PNG.
SMALL_EXAMPLE = {
    "b64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4v5QBAARLAa"
    "U/Dnq2AAAAAElFTkSuQmCC"
}
_DTYPES = (np.dtype(np.float32), np.dtype(np.uint8))
# A far larger image is first averaged over whole pixels, to at least this many times the goal.
_REDUCING_GAP = 3.0


class Resize(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """To a shorter side (the rest is cropped), or to a width and height (it is stretched)."""

    kernel: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
    shorter_side: Side | None = None
    width: Side | None = None
    height: Side | None = None


class ImageTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The [image] table. x = (pixel - mean) / std, pixel in 0..255, RGB."""

    resize: Resize
    crop: tuple[Side, Side] | None = None  # height, width, from the centre
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    mean: Channels
    std: Channels


class View(NamedTuple):
    """What of a photo the model sees: all, or what the crop keeps, in the photo's pixels."""

    width: int  # the photo's, upright
    height: int
    box: tuple[float, float, float, float]  # left, top, right, bottom


class ImageInput:
    """Step 1 for every task that takes photos.

    Args:
        table: The manifest's [image].
        inputs: The model's inputs: one, of shape (n, 3, H, W) or (n, H, W, 3); float32, or uint8
            where the model normalises the pixels itself.
        max_pixels: Most pixels of a photo.
        place: The model's name, for the error's message.

    Raises:
        ManifestError: the table contradicts itself or the model's input.
    """

    def __init__(
        self, table: ImageTable, inputs: Sequence[TensorSpec], max_pixels: int, place: str
    ) -> None:
        self.height, self.width = _goal(table, place)
        if 0.0 in table.std:
            raise ManifestError(f"{place}: expected image.std without zeros")
        self._shorter_side = table.resize.shorter_side
        self._kernel = _KERNELS[table.resize.kernel]
        self._max_pixels = max_pixels
        self._channels_first = table.layout == "NCHW"
        self._scale = 1.0 / np.array(table.std, np.float32)
        self._bias = -np.array(table.mean, np.float32) * self._scale
        shape = (3, self.height, self.width) if self._channels_first else (*self._size, 3)
        fits = len(inputs) == 1 and inputs[0].dtype in _DTYPES and len(inputs[0].shape) == 4
        if not fits or any(
            dim not in (None, wanted)
            for dim, wanted in zip(inputs[0].shape[1:], shape, strict=True)
        ):
            raise ManifestError(
                f"{place}: expected an input float32 or uint8[?, {', '.join(map(str, shape))}]"
                f" as [image] says, got {'; '.join(map(str, inputs))}"
            )
        self.name = inputs[0].name
        self._as_pixels = inputs[0].pixels or inputs[0].dtype == np.uint8

    @property
    def _size(self) -> tuple[int, int]:
        return self.height, self.width

    def prepare(self, instance: Instance) -> NDArray[Any]:
        """Returns the tensor of `prepare_view`; takes and raises the same."""
        return self.prepare_view(instance)[0]

    def prepare_view(self, instance: Instance) -> tuple[NDArray[Any], View]:
        """Decodes a photo and makes it the model's input.

        Args:
            instance: A Blob with the bytes of an image file, its media type not believed; or,
                from a program of its own, an image of Pillow.

        Returns:
            Array of shape (1, 3, H, W) or (1, H, W, 3): float32, normalised as the table says, or
            uint8, the pixels as they are, where the model normalises them itself; and
            what of the photo it shows.

        Raises:
            UnsupportedMediaError: not of a served format.
            ImageTooLargeError: over the limit of pixels.
            BrokenImageError: damaged or cut short.
            InvalidError: not bytes at all.
        """
        image, width, height = self._photo(instance)
        # One resize, of the part that the crop will keep, instead of a resize and a crop.
        box = self._box(image.width, image.height)
        small = image.resize(
            (self.width, self.height), self._kernel, box=box, reducing_gap=_REDUCING_GAP
        )
        across, down = width / image.width, height / image.height
        left, top, right, bottom = box
        seen = (left * across, top * down, right * across, bottom * down)
        return self._normalise(np.asarray(small)), View(width, height, seen)

    def _photo(self, instance: Instance) -> images.Photo:
        if isinstance(instance, Image.Image):
            return images.upright(instance, self._max_pixels)
        if not isinstance(instance, Blob):
            raise InvalidError(
                'expected an image, in JSON as {"b64": "…"} or text, got another value'
            )
        if instance.media_type and not _may_be_image(instance.media_type):
            raise UnsupportedMediaError(
                f"expected the media type of a {images.SERVED} image, or application/octet-stream,"
                " got another"
            )
        goal = self._shorter_side or max(self._size)
        return images.photo(instance.data, self._max_pixels, shorter_side=goal)

    def _box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Returns the part of an image that the crop keeps: left, top, right, bottom."""
        if not self._shorter_side:
            return 0, 0, width, height
        # In whole pixels of the resized image, as the usual resize and crop would have it.
        scale = self._shorter_side / min(width, height)
        resized_width, resized_height = round(width * scale), round(height * scale)
        left, top = (resized_width - self.width) // 2, (resized_height - self.height) // 2
        across, down = width / resized_width, height / resized_height
        right, bottom = left + self.width, top + self.height
        return left * across, top * down, right * across, bottom * down

    def _normalise(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Takes a uint8 array of shape (H, W, 3) to the model's layout and scale."""
        scale, bias = self._scale, self._bias
        if self._channels_first:
            pixels = pixels.transpose(2, 0, 1)
            scale, bias = scale[:, None, None], bias[:, None, None]
        if self._as_pixels:
            return np.ascontiguousarray(pixels[None])
        tensor: NDArray[Any] = np.empty((1, *pixels.shape), np.float32)
        np.multiply(pixels, scale, out=tensor[0])
        tensor += bias
        return tensor


def _goal(table: ImageTable, place: str) -> tuple[int, int]:
    """Returns the height and width that a photo is brought to."""
    resize, crop = table.resize, table.crop
    stretched = (resize.height, resize.width)
    if resize.shorter_side and crop and stretched == (None, None):
        if resize.shorter_side < max(crop):
            raise ManifestError(
                f"{place}: expected image.crop within image.resize.shorter_side"
                f" {resize.shorter_side}, got {list(crop)}"
            )
        return crop
    if all(stretched) and not resize.shorter_side and not crop:
        return cast(tuple[int, int], stretched)
    raise ManifestError(
        f"{place}: expected image.resize with shorter_side, and image.crop;"
        " or image.resize with width and height, and no crop"
    )


def _may_be_image(media_type: str) -> bool:
    return media_type.startswith("image/") or media_type == "application/octet-stream"
