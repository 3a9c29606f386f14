"""Recompute the figures of card.md: on photos.csv, which was made by looking at the photos.

A row is a photo of a package: one class that is in it, or none of the model's classes; and where
its edges are plain, the box of one thing of that class, drawn by eye on a grid to about five
pixels, not on the model's own boxes.
"""

import csv
from pathlib import Path
from typing import Any

from sources import Source, read
from zeropoint.instances import Blob
from zeropoint.model import Model

PHOTOS = Path(__file__).with_name("photos.csv")
Box = list[float]


def evaluate(model: Model, work: Path) -> dict[str, float]:
    """Returns each figure by its name on the card.

    Args:
        model: The artifact, loaded.
        work: A folder for the downloads.
    """
    with PHOTOS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    photos = _photos(rows, work)
    found, overlaps, quiet = [], [], []
    for row in rows:
        (prediction,) = model.answer([Blob(photos[row["name"]])]).predictions
        detections: list[dict[str, Any]] = prediction["detections"]
        if not row["class"]:
            quiet.append(not detections)
            continue
        boxes = [one["box"] for one in detections if one["label"] == row["class"]]
        found.append(bool(boxes))
        if row["x_min"]:
            drawn = [float(row[key]) for key in ("x_min", "y_min", "x_max", "y_max")]
            overlaps.append(max((_overlap(drawn, box) for box in boxes), default=0.0))
    return {
        "class found": sum(found) / len(found),
        "mean overlap": sum(overlaps) / len(overlaps),
        "nothing told": sum(quiet) / len(quiet),
    }


def _photos(rows: list[dict[str, str]], work: Path) -> dict[str, bytes]:
    """Returns each photo's file by its name."""
    digests = {row["name"]: row["sha256"] for row in rows}
    options = ("--only-binary=:all:",)
    photos: dict[str, bytes] = {}
    for name, version, folder, imagenet in (
        ("foolbox", "3.3.4", "foolbox/data/", True),
        ("scikit-image", "0.26.0", "skimage/data/", False),
    ):
        files = {
            folder + photo: sha256
            for photo, sha256 in digests.items()
            if photo.startswith("imagenet_") == imagenet
        }
        source = Source("pypi", name, version, files, options=options)
        photos |= {path.removeprefix(folder): data for path, data in read(source, work).items()}
    return photos


def _overlap(one: Box, other: Box) -> float:
    """Returns the intersection over union of two boxes: x_min, y_min, x_max, y_max."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(areas) - common)
