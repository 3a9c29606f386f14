"""More to calibrate with: what else of a photo a model could have been shown."""

import io
from collections.abc import Iterator

from zeropoint import images
from zeropoint.errors import ClientError
from zeropoint.instances import Blob, Instance

_LEAST_SIDE = 64  # pixels, of a photo that is worth a closer look


def views(instance: Instance, max_pixels: int) -> Iterator[Instance]:
    """Yields an instance, and of a photo also four windows of two thirds of its sides.

    Scales and rounded weights fit few photos too well; the same photos seen from nearer are new to
    them, and cost nobody a sample.

    Args:
        instance: A sample.
        max_pixels: Most pixels of a photo.
    """
    yield instance
    if not isinstance(instance, Blob):
        return
    try:
        photo = images.decode(instance.data, max_pixels)
    except ClientError:  # no photo
        return
    width, height = photo.size
    if min(width, height) < _LEAST_SIDE:
        return
    right, lower = width // 3, height // 3
    for left, top in ((0, 0), (right, lower), (right, 0), (0, lower)):
        file = io.BytesIO()
        window = (left, top, left + width * 2 // 3, top + height * 2 // 3)
        photo.crop(window).save(file, "PNG", compress_level=1)
        yield Blob(file.getvalue())
