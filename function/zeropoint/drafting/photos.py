"""Drafts [image]: how a photo becomes the model's input, as far as its shape tells."""

import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from zeropoint.drafting.draft import Asked, Draft, Tables
from zeropoint.drafting.graph import Graph, in_words
from zeropoint.tensors import TensorSpec

_SIDE = 224  # where height and width vary
_GREY = (128, 128, 128)
_IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
_SIGNED = ([127.5] * 3, [127.5] * 3)
_UNIT = ([0.0] * 3, [255.0] * 3)
_SCALING = (
    "as in training: x = (pixel - mean) / std, pixel in 0..255, RGB. Usual: mean 123.675, 116.28,"
    " 103.53 and std 58.395, 57.12, 57.375 (PyTorch, ImageNet); all 127.5 (TensorFlow, -1..1);"
    " mean 0, std 255 (0..1). A wrong one costs accuracy silently."
)
_RESIZE = (
    "as in training: shorter_side with crop, or width and height, which stretches; kernel nearest,"
    " box, bilinear, hamming, bicubic or lanczos."
)


class Frame(NamedTuple):
    """What the model takes of a photo."""

    layout: str
    height: int
    width: int
    known: bool  # whether the graph tells height and width


def misfit(graph: Graph) -> str:
    """Returns why the model takes no photos, or nothing if it does."""
    if len(graph.inputs) != 1:
        return f"it has {len(graph.inputs)} inputs, and a photo fills one: {in_words(graph.inputs)}"
    (spec,) = graph.inputs
    shape = f"an input [n, 3, height, width] or [n, height, width, 3] of float32, not {spec}"
    if len(spec.shape) != 4 or _layout(spec) is None:
        return f"it takes {shape}"
    if spec.shape[0] not in (None, 1):
        return f"every forward pass has {spec.shape[0]} photos: export it with 1, or a dynamic axis"
    if spec.dtype == np.float16:
        return (
            f"it takes float32, not {spec}: convert it again with its inputs and outputs kept in"
            " float32 (keep_io_types=True)"
        )
    return "" if spec.dtype in (np.float32, np.uint8) else f"it takes {shape}"


def frame(graph: Graph) -> Frame:
    """Returns what a model that takes photos takes of them."""
    (spec,) = graph.inputs
    layout = _layout(spec) or "NCHW"
    sides = spec.shape[2:] if layout == "NCHW" else spec.shape[1:3]
    return Frame(layout, sides[0] or _SIDE, sides[1] or _SIDE, None not in sides)


def add_image(graph: Graph, asked: Asked, draft: Draft, stretched: bool = False) -> None:
    """Adds [image] and a grey photo.

    Args:
        graph: A model that takes photos.
        asked: What the user gave.
        draft: What is added to.
        stretched: Whether photos are stretched to the input, as detectors have it, and 0..1.
    """
    seen = frame(graph)
    taken = asked.like_table("image")
    if isinstance(taken, dict) and asked.like:
        draft.tables["image"] = {**taken, "layout": seen.layout}
        draft.notes["image"] = f"As {asked.like.manifest.name} has it."
        if seen.known and _size(taken) != (seen.height, seen.width):
            draft.tables["image"].pop("crop", None)
            kernel = taken.get("resize", {}).get("kernel", "bilinear")
            draft.tables["image"].update(_sized(seen, stretched, kernel))
            draft.undecided["image.resize"] = _RESIZE
    else:
        draft.tables["image"] = _drafted(graph, seen, stretched, draft)
    photo = io.BytesIO()
    Image.new("RGB", (seen.width, seen.height), _GREY).save(photo, "PNG")
    draft.add_example("check/photo.png", photo.getvalue(), asked.example)


def _drafted(graph: Graph, seen: Frame, stretched: bool, draft: Draft) -> Tables:
    (spec,) = graph.inputs
    mean, std = _UNIT if stretched else _IMAGENET if seen.layout == "NCHW" else _SIGNED
    draft.undecided["image.resize"] = _RESIZE
    if not seen.known:
        draft.undecided["image.resize"] += f" The graph takes any size; {_SIDE} is a guess."
    if spec.dtype == np.uint8:
        mean, std = [0.0] * 3, [1.0] * 3
        draft.notes["image.mean"] = "The model takes pixels as they are and scales them itself."
    else:
        draft.undecided["image.mean"] = _SCALING
    sized = _sized(seen, stretched, "bilinear")
    return {**sized, "layout": seen.layout, "mean": mean, "std": std}


def _sized(seen: Frame, stretched: bool, kernel: str) -> Tables:
    if stretched or seen.height != seen.width:
        return {"resize": {"width": seen.width, "height": seen.height, "kernel": kernel}}
    # The usual 256 for 224.
    resize = {"shorter_side": round(seen.height * 8 / 7), "kernel": kernel}
    return {"resize": resize, "crop": [seen.height, seen.width]}


def _size(table: Any) -> tuple[Any, Any]:
    """Returns the height and width that an [image] gives."""
    crop, resize = table.get("crop"), table.get("resize", {})
    return tuple(crop) if crop else (resize.get("height"), resize.get("width"))


def _layout(spec: TensorSpec) -> str | None:
    _, first, _, last = spec.shape
    if first == 3 or (first is None and last != 3):
        return "NCHW"
    return "NHWC" if last in (3, None) else None
