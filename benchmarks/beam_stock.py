"""Photos through Apache Beam's own ONNX handler, as its example of image classification has it.

    MODEL=model.onnx python benchmarks/beam_stock.py FOLDER [--option=value ...]

Reads, decodes and classifies all photos of a folder, and writes a line with the name and the label
of each, on this machine. Prints how many these were and how long it took, as JSON. The options are
Beam's.
"""

import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np
import onnxruntime as ort
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.ml.inference.onnx_inference import OnnxModelHandlerNumpy
from apache_beam.options.pipeline_options import PipelineOptions
from numpy.typing import NDArray
from PIL import Image

_SHORTER_SIDE = 256
_CROP = 224


def read_image(path: str) -> tuple[str, Image.Image]:
    """Returns a photo, decoded, behind its name."""
    with FileSystems.open(path) as file:
        return path, Image.open(io.BytesIO(file.read())).convert("RGB")


def preprocess(image: Image.Image, normalise: bool) -> NDArray[np.generic]:
    """Returns a photo as `pipeline.Classifier` gives it to the model, without the batch's axis."""
    scale = _SHORTER_SIDE / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - _CROP) // 2, (height - _CROP) // 2
    pixels = np.asarray(image.crop((left, top, left + _CROP, top + _CROP)))
    if normalise:
        pixels = (pixels.astype(np.float32) - 127.0) / 128.0
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


class PostProcessor(beam.DoFn):  # type: ignore[misc]
    """Makes a line of a prediction."""

    def process(self, element: tuple[str, object]) -> Iterator[str]:
        """Yields the photo's name and the index of its most probable label."""
        name, result = element
        yield f"{name},{np.argmax(result.inference)}"  # type: ignore[attr-defined]


def main() -> None:
    """Runs the pipeline once."""
    began_s = time.perf_counter()
    model = os.environ["MODEL"]
    known = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).get_modelmeta()
    normalise = "zeropoint.pixels" not in known.custom_metadata_map
    handler = OnnxModelHandlerNumpy(model, providers=["CPUExecutionProvider"])
    names = sorted(str(path) for path in Path(sys.argv[1]).iterdir())
    # FnApiRunner is what DirectRunner is where it downloads no other one.
    options = PipelineOptions(["--runner=FnApiRunner", *sys.argv[2:]])
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | "ReadImageNames" >> beam.Create(names)
                | "ReadImageData" >> beam.Map(read_image)
                | "PreprocessImages"
                >> beam.MapTuple(lambda name, image: (name, preprocess(image, normalise)))
                | "RunInference" >> RunInference(KeyedModelHandler(handler))
                | "ProcessOutput" >> beam.ParDo(PostProcessor())
                | "WriteOutput" >> beam.io.WriteToText(f"{folder}/predictions")
            )
        lines = [line for path in Path(folder).iterdir() for line in path.read_text().splitlines()]
    seconds = time.perf_counter() - began_s
    print(json.dumps({"photos": len(lines), "seconds": round(seconds, 3)}))


if __name__ == "__main__":
    main()
