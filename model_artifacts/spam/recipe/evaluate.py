"""Measures the spam model on the e-mails that were held out."""

from pathlib import Path

import numpy as np

import spam_assassin
from river_tables import auc
from zeropoint.model import Model

_AT_ONCE = 100


def evaluate(model: Model, work: Path) -> dict[str, float]:
    """Returns the card's figures, by Zeropoint's own answers.

    Args:
        model: The artifact's.
        work: The folder for downloads.
    """
    mails = [mail for mail in spam_assassin.mails(work) if mail.held_out]
    told = []
    for start in range(0, len(mails), _AT_ONCE):
        told += model.answer([mail.text for mail in mails[start : start + _AT_ONCE]]).predictions
    labels = np.array([mail.spam for mail in mails])
    said = np.array([one["label"] == "spam" for one in told])
    scores = np.array(
        [top["probability"] for one in told for top in one["top"] if top["label"] == "spam"]
    )
    return {
        "accuracy": float((said == labels).mean()),
        "AUC": auc(labels, scores),
        "recall of ham": float((~said)[~labels].mean()),
        "recall of spam": float(said[labels].mean()),
    }
