"""Two tables of river's package, each split by a fixed rule into what trains and what is held out.

Recipes train on the one part; their evaluate.py measures on the other.
"""

import csv
import gzip
import hashlib
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sources import Source, read

_PHISHING = "river/datasets/phishing.csv.gz"
_SHUTTLE = "river/datasets/shuttle.csv.gz"
SOURCE = Source(
    registry="pypi",
    name="river",
    version="0.26.1",
    options=("--only-binary=:all:",),
    files={
        _PHISHING: "d8a6d44bd9672e852b8a53ad2c64229f81972158a77d981073a98b17c27af7a9",
        _SHUTTLE: "1ed4bfa77233d95bff2c8ab2482725d2d800410daedf5919ad80ec6faf60ff59",
    },
)
_SHUTTLE_TRAINING_ROWS = 30_000


class Table(NamedTuple):
    """Rows of numbers and their labels.

    Attributes:
        names: Of the columns.
        rows: float64, (rows, columns).
        labels: int64, (rows,): 1 for the positive class, else 0.
        held_out: bool, (rows,).
    """

    names: list[str]
    rows: NDArray[Any]
    labels: NDArray[Any]
    held_out: NDArray[Any]

    def part(self, held_out: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns the rows and labels that are held out, or those that are not."""
        chosen = self.held_out == held_out
        return self.rows[chosen], self.labels[chosen]


def phishing(work: Path) -> Table:
    """Returns river's phishing table.

    Of its 1,250 rows 893 have a twin. So that no row is on both sides, a row is held out where
    the SHA-256 of its features' text, joined by commas, begins with a byte below 64: about a
    quarter.
    """
    names, texts, rows, labels = _read(work, _PHISHING)
    digests = [hashlib.sha256(",".join(text).encode()).digest() for text in texts]
    return Table(names, rows, labels, np.array([digest[0] < 64 for digest in digests]))


def shuttle(work: Path) -> Table:
    """Returns river's shuttle table; its first 30,000 rows train, the others are held out."""
    names, _, rows, labels = _read(work, _SHUTTLE)
    return Table(names, rows, labels, np.arange(len(rows)) >= _SHUTTLE_TRAINING_ROWS)


def auc(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """Returns the area under the ROC curve; of equal scores each counts a half.

    Args:
        labels: 1 or 0, (n,).
        scores: Numbers, (n,), higher where 1 is more probable.
    """
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[group]
    positive = int(labels.sum())
    above = ranks[labels == 1].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(labels) - positive)))


def _read(work: Path, path: str) -> tuple[list[str], list[list[str]], NDArray[Any], NDArray[Any]]:
    """Returns the columns' names, the features' texts, the features and the labels."""
    text = gzip.decompress(read(SOURCE, work)[path]).decode("utf-8")
    names, *lines = csv.reader(io.StringIO(text))
    table = np.array(lines, dtype=np.float64)
    texts = [line[:-1] for line in lines]
    return names[:-1], texts, table[:, :-1], table[:, -1].astype(np.int64)
