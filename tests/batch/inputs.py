"""Inputs for a batch, and what it wrote."""

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image

import corpora
from servers import ROOT

_SIDES = (320, 451, 512, 640)  # of the photos' longer side

SITE: dict[str, Any] = json.loads(
    (ROOT / "model_artifacts" / "phishing" / "check" / "site.json").read_text()
)


def written(out: Path) -> list[dict[str, Any]]:
    """Returns all rows of a folder of results, each share's in their order."""
    files = sorted(out.glob("predictions*.jsonl*"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def write_sites(path: Path, rows: int, seed: int = 0) -> None:
    """Writes a table of random rows for the model phishing."""
    chance = random.Random(seed)  # noqa: S311 - the same rows at each run
    whole = [isinstance(value, int) for value in SITE.values()]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(SITE)
        for _ in range(rows):
            writer.writerow([chance.choice((0, 1) if one else (0, 0.5, 1)) for one in whole])


def write_photos(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Writes real photos, resized, under as many names as asked for."""
    files = []
    for one in corpora.imagenet_photos():
        with Image.open(one.path) as image:
            for side in _SIDES:
                small = image.convert("RGB")
                small.thumbnail((side, side))
                held = io.BytesIO()
                small.save(held, "JPEG", quality=90)
                files.append(held.getvalue())
    chance = random.Random(seed)  # noqa: S311 - the same photos at each run
    folder.mkdir()
    paths = [folder / f"{number:05}.jpg" for number in range(count)]
    for path in paths:
        path.write_bytes(chance.choice(files))
    return paths
