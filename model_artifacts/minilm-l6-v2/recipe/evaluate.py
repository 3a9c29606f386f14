"""Measures the embeddings: does an e-mail's subject find its body, do paraphrases lie close?"""

import itertools
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import spam_assassin
from zeropoint.model import Model

BODIES = 500
PARAPHRASES = (
    ("A man is playing a guitar.", "Someone performs music on a string instrument."),
    ("The stock market fell sharply today.", "Shares dropped in heavy trading."),
    ("How do I reset my password?", "I forgot my login credentials, what now?"),
)
_AT_ONCE = 100
_LIST_TAG = re.compile(r"\[[^\]]*\]")
_REPLY = re.compile(r"(?i)\s*(re|fwd?|aw|was)\b.*:")


def evaluate(model: Model, work: Path) -> dict[str, float]:
    """Returns the card's figures, by Zeropoint's own answers.

    Args:
        model: The artifact's.
        work: The folder for downloads.
    """
    pairs = subjects_and_bodies(work)
    subjects = embed(model, [subject for subject, _ in pairs])
    bodies = embed(model, [body for _, body in pairs])
    cosines = subjects @ bodies.T
    ranks = (cosines > np.diag(cosines)[:, None]).sum(axis=1)
    unrelated = [
        [one, other]
        for first, second in itertools.combinations(PARAPHRASES, 2)
        for one, other in itertools.product(first, second)
    ]
    return {
        "recall at 1": float((ranks < 1).mean()),
        "recall at 10": float((ranks < 10).mean()),
        "least cosine of paraphrases": min(similarities(model, list(map(list, PARAPHRASES)))),
        "greatest cosine of others": max(similarities(model, unrelated)),
    }


def subjects_and_bodies(work: Path) -> list[tuple[str, str]]:
    """Returns e-mails that are no replies, whose subject is no other's and not in the body.

    None of them is spam, whose subjects often say nothing of what follows.
    """
    found: dict[str, tuple[str, str]] = {}
    for mail in sorted(spam_assassin.mails(work), key=lambda mail: mail.name[-32:]):
        subject = _LIST_TAG.sub("", mail.subject).strip()
        if (
            not mail.spam
            and len(subject.split()) >= 3
            and len(mail.body) >= 200
            and not _REPLY.match(subject)
            and subject.lower() not in mail.body.lower()
        ):
            found.setdefault(subject.lower(), (subject, mail.body))
    return list(found.values())[:BODIES]


def embed(model: Model, texts: list[str]) -> NDArray[np.float64]:
    """Returns the embedding of each text, (n, 384)."""
    told = []
    for start in range(0, len(texts), _AT_ONCE):
        told += model.answer(texts[start : start + _AT_ONCE]).predictions
    return np.array([one["embedding"] for one in told])


def similarities(model: Model, pairs: list[list[str]]) -> list[float]:
    """Returns the cosine of each pair."""
    told = model.answer(pairs, {"similarity": True}).predictions
    return [one["similarity"] for one in told]
