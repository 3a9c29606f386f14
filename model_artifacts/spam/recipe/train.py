"""Trains the head of the artifact spam and writes head.json: once, before it is built.

    PYTHONPATH=function:model_artifacts .venv/bin/python model_artifacts/spam/recipe/train.py \
        --models REPOSITORY --work DIR

It is a logistic regression on the embeddings that the artifact minilm-l6-v2 in REPOSITORY gives.
The result is committed, as another processor's arithmetic may differ in a last bit.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import spam_assassin
from zeropoint import loader
from zeropoint.artifact import LocalRepository
from zeropoint.settings import Settings

FOLDS = 4
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01)
_AT_ONCE = 64

Array = NDArray[np.float64]


def fit(vectors: Array, labels: Array, penalty: float) -> Array:
    """Returns the weights, and last the bias, of a logistic regression, by Newton's method.

    Args:
        vectors: Of shape (n, size).
        labels: 1 or 0, of shape (n,).
        penalty: Of the squares of the weights; of the bias there is none.
    """
    columns = np.hstack([vectors, np.ones((len(vectors), 1))])
    penalties = np.append(np.full(vectors.shape[1], penalty), 0.0)
    weights = np.zeros(columns.shape[1])
    for _ in range(50):
        found = 1 / (1 + np.exp(-columns @ weights))
        slope = columns.T @ (found - labels) + penalties * weights
        curve = (columns.T * (found * (1 - found))) @ columns + np.diag(penalties)
        step = np.linalg.solve(curve, slope)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def right(weights: Array, vectors: Array, labels: Array) -> float:
    """Returns the share of vectors on their label's side."""
    return float(((vectors @ weights[:-1] + weights[-1] > 0) == (labels == 1)).mean())


def main() -> None:
    """Embeds, chooses the penalty among the training e-mails alone, trains, writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, required=True, help="has minilm-l6-v2, built")
    parser.add_argument("--work", type=Path, required=True, help="the folder for downloads")
    options = parser.parse_args()
    model = loader.load(LocalRepository(options.models), "minilm-l6-v2", Settings())
    mails = [mail for mail in spam_assassin.mails(options.work) if not mail.held_out]
    told = []
    for start in range(0, len(mails), _AT_ONCE):
        told += model.answer([mail.text for mail in mails[start : start + _AT_ONCE]]).predictions
    vectors = np.array([one["embedding"] for one in told])
    labels = np.array([mail.spam for mail in mails], np.float64)
    folds = np.arange(len(mails)) % FOLDS

    def share(penalty: float) -> float:
        shares = []
        for fold in range(FOLDS):
            weights = fit(vectors[folds != fold], labels[folds != fold], penalty)
            shares.append(right(weights, vectors[folds == fold], labels[folds == fold]))
        return float(np.mean(shares))

    shares = {penalty: share(penalty) for penalty in PENALTIES}
    print("right, by penalty:", shares)
    penalty = max(shares, key=lambda one: shares[one])
    weights = [float(str(one)) for one in fit(vectors, labels, penalty).astype(np.float32)]
    head = {"penalty": penalty, "mails": len(mails), "bias": weights.pop(), "weights": weights}
    text = json.dumps(head, indent=1)
    Path(__file__).with_name("head.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
