"""The naive pipeline: what a bare process and every peer do with a photo, each on the same model.

They share it so that only the servers differ. One thread a forward pass and no more: on two cores
that gives each of them its best CPU time for a photo.
"""

import json
import os
from io import BytesIO

import numpy as np
import onnxruntime as ort
from PIL import Image

_SHORTER_SIDE = 256
_CROP = 224


class Classifier:
    """A model of photos, from the file that the environment's MODEL names."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("THREADS", "1"))
        self._session = ort.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )
        (node,) = self._session.get_inputs()
        self._name = node.name
        self._normalise = True
        metadata = self._session.get_modelmeta().custom_metadata_map
        if "zeropoint.pixels" in metadata:  # it normalises the pixels itself
            self._normalise = False
            assert json.loads(metadata["zeropoint.pixels"])["channels_first"]  # noqa: S101

    def classify(self, data: bytes) -> int:
        """Returns the index of a JPEG's most probable label."""
        return self.classify_image(Image.open(BytesIO(data)))

    def classify_image(self, image: Image.Image) -> int:
        """Returns the index of a photo's most probable label."""
        image = image.convert("RGB")
        scale = _SHORTER_SIDE / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - _CROP) // 2, (height - _CROP) // 2
        pixels = np.asarray(image.crop((left, top, left + _CROP, top + _CROP)))
        if self._normalise:
            pixels = (pixels.astype(np.float32) - 127.0) / 128.0
        tensor = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        (logits,) = self._session.run(None, {self._name: tensor})
        return int(np.argmax(logits))
