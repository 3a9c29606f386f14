"""The names of a model's classes, and whether its scores are probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeropoint.drafting.draft import Asked, Draft, file_of, read_text
from zeropoint.drafting.graph import Graph
from zeropoint.errors import ManifestError

_MADE_UP = "the graph does not name them: write their names, in the order of the scores."
_NUMBERED = "the graph only numbers them: write their names, in the order of the scores."


def names(
    graph: Graph, asked: Asked, draft: Draft, count: int | None, key: str, word: str = "class"
) -> list[str]:
    """Returns the names of the classes: given, like another artifact's, the graph's or made up.

    Args:
        graph: The model.
        asked: What the user gave.
        draft: Is told what is to be decided, at ``key``.
        count: How many there are, or None if that is not known.
        key: Of the manifest.
        word: Of which they are made up.

    Raises:
        ManifestError: the given names are not as many, or nothing tells how many there are.
    """
    if asked.labels:
        return _as_many(read_text(asked.labels).splitlines(), count, asked.labels.name)
    if (taken := _like(asked)) and count in (None, len(taken)):
        draft.notes[key] = f"As {asked.like.manifest.name} has them." if asked.like else ""
        return taken
    if graph.hints.labels and count in (None, len(graph.hints.labels)):
        if all(one.lstrip("-").isdigit() for one in graph.hints.labels):
            draft.undecided[key] = _NUMBERED
        else:
            draft.notes[key] = "From the graph."
        return list(graph.hints.labels)
    if count is None:
        raise ManifestError(
            f"{graph.path.name}: the graph does not tell how many classes there are: give --labels"
        )
    draft.undecided[key] = _MADE_UP
    if not graph.hints.read:
        draft.undecided[key] += " Where they are in the graph, zeropoint[optimize] finds them."
    return [f"{word} {index}" for index in range(count)]


def add_file(draft: Draft, labels: list[str]) -> None:
    """Adds labels.txt and its table."""
    draft.tables["labels"] = draft.add_file("labels.txt", ("\n".join(labels) + "\n").encode())


def activation(scores: NDArray[Any] | None, key: str, draft: Draft) -> str:
    """Returns what makes scores probabilities, by those that a try gave.

    Args:
        scores: A float array of shape (n, classes), or nothing if there was no try.
        key: Of the manifest.
        draft: Is told what was found, or what is to be decided.
    """
    if scores is not None and scores.ndim == 2 and np.isfinite(scores).all():
        within = (scores >= -1e-6).all() and (scores <= 1 + 1e-6).all()
        if within and np.allclose(scores.sum(axis=1), 1.0, atol=1e-3):
            draft.notes[key] = "The scores of a try sum to 1: they are probabilities."
            return "none"
    draft.undecided[key] = (
        "the scores of a try are no probabilities: softmax if one class of all is right, sigmoid"
        " if each may be, none if they are to be told as they are."
    )
    return "softmax"


def _like(asked: Asked) -> list[str]:
    table = asked.like_table("labels")
    if asked.like and table:
        return file_of(asked.like, table).decode("utf-8").splitlines()
    output = asked.like_table("output")
    return list(output.get("labels", ())) if isinstance(output, dict) else []


def _as_many(labels: list[str], count: int | None, place: str) -> list[str]:
    if not labels or count not in (None, len(labels)):
        wanted = f"{count} labels" if count else "labels"
        raise ManifestError(
            f"{place}: expected {wanted}, a line for each of the model's scores, got {len(labels)}"
        )
    return labels
