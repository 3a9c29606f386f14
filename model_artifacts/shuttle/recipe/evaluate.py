"""Measures the shuttle model on the rows that were held out."""

from pathlib import Path

import numpy as np

import river_tables
from zeropoint.model import Model

_AT_ONCE = 1000


def evaluate(model: Model, work: Path) -> dict[str, float]:
    """Returns the card's figures, by Zeropoint's own answers.

    Args:
        model: The artifact's.
        work: The folder for downloads.
    """
    rows, labels = river_tables.shuttle(work).part(held_out=True)
    found = []
    for start in range(0, len(rows), _AT_ONCE):
        found += model.answer(rows[start : start + _AT_ONCE].tolist()).predictions
    scores = np.array([one["probabilities"]["anomaly"] for one in found])
    said = np.array([one["label"] == "anomaly" for one in found])
    return {
        "AUC": river_tables.auc(labels, scores),
        "precision of anomaly": float(labels[said].mean()),
        "recall of anomaly": float(said[labels == 1].mean()),
    }
