"""What a program of its own hands to a model: made the instance that a protocol would hand it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zeropoint.errors import InvalidError
from zeropoint.instances import Blob, Instance


def instance(given: Any, takes_files: bool) -> Instance:
    """Returns an input as a task takes it.

    Args:
        given: As of `Model.predict`.
        takes_files: Whether the task's instances are files; else a text is itself, and no path.

    Raises:
        InvalidError: an array that is no picture, to a model of photos.
        OSError: the file cannot be read.
    """
    if not takes_files:
        return _plain(given)
    if isinstance(given, str | os.PathLike):
        return Blob(Path(given).read_bytes())
    if isinstance(given, bytes | bytearray | memoryview):
        return Blob(bytes(given))
    if isinstance(given, np.ndarray):
        if given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] != 3 or not given.size:
            shape = ", ".join(map(str, given.shape))
            raise InvalidError(
                "expected a picture, uint8 of shape (H, W, 3),"
                f" got {given.dtype} of shape ({shape})"
            )
        return Image.fromarray(np.ascontiguousarray(given))
    return given


def _plain(given: Any) -> Any:
    """Returns a value as JSON would hold it, NumPy's lists and numbers as Python's own."""
    if isinstance(given, np.ndarray | np.generic):
        return given.tolist()
    if isinstance(given, dict):
        return {key: _plain(value) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return [_plain(value) for value in given]
    return given
