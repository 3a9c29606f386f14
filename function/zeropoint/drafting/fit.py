"""Which tasks a model fits, and why not the others."""

from collections.abc import Callable
from typing import NamedTuple

from zeropoint.drafting import (
    image_classification,
    object_detection,
    tabular,
    tensor,
    text,
    text_generation,
)
from zeropoint.drafting.draft import Asked, Draft
from zeropoint.drafting.graph import Graph
from zeropoint.errors import ManifestError
from zeropoint.tasks import TASKS

_RAW = "tensor"
_SCORES = ("logits", "score", "prob")
_VECTORS = ("embed", "pool", "hidden")


class Kind(NamedTuple):
    """How artifacts of a task are drafted."""

    misfit: Callable[[Graph], str]  # why a model is none of this task, or nothing
    draft: Callable[[Graph, Asked], Draft]


KINDS = {
    "image-classification": Kind(image_classification.misfit, image_classification.draft),
    "object-detection": Kind(object_detection.misfit, object_detection.draft),
    "tabular-classification": Kind(tabular.misfit, tabular.classification),
    "tabular-regression": Kind(tabular.misfit, tabular.regression),
    "text-classification": Kind(text.misfit_classification, text.classification),
    "text-embedding": Kind(text.misfit_embedding, text.embedding),
    "text-generation": Kind(text_generation.misfit, text_generation.draft),
    _RAW: Kind(tensor.misfit, tensor.draft),
}


def choose(graph: Graph, asked: Asked, task: str = "") -> str:
    """Returns the task: the one that is asked for, or the only one that is clear.

    Raises:
        ManifestError: the model does not fit the task, or several tasks.
    """
    place = graph.path.name
    fitting = [name for name in TASKS if _misfit(name, graph) == ""]
    if task:
        if task not in fitting:
            raise ManifestError(
                f"{place}: is no model of {task}: {_misfit(task, graph)}."
                f" It would fit {', '.join(fitting)}"
            )
        return task
    clear = _clear([name for name in fitting if name != _RAW], graph, asked)
    if len(clear) > 1:
        told = [f"  {name}: {_misfit(name, graph) or 'fits'}" for name in TASKS]
        raise ManifestError(
            "\n".join([f"{place}: expected --task, as it fits {' and '.join(clear)}:", *told])
        )
    return clear[0] if clear else _RAW


def misfits(graph: Graph) -> dict[str, str]:
    """Returns for each task that a model does not fit why."""
    return {name: why for name in TASKS if (why := _misfit(name, graph))}


def _misfit(task: str, graph: Graph) -> str:
    found = KINDS[task].misfit(graph)
    rows = graph.fixed_rows
    if not found and task != _RAW and (rows or 1) > 1:
        found = f"every forward pass has {rows} rows: export it with 1, or a dynamic axis"
    return found


def _clear(fitting: list[str], graph: Graph, asked: Asked) -> list[str]:
    """Returns those of the fitting tasks for which something speaks, or all if nothing does."""
    if asked.like and asked.like.manifest.task in fitting:
        return [asked.like.manifest.task]
    names = " ".join(spec.name.lower() for spec in graph.outputs)
    operators = " ".join(graph.hints.operators)
    told = {
        "tabular-classification": asked.labels is not None
        or "Classifier" in operators
        or "ZipMap" in operators
        or any(spec.dtype.kind in "iO" and "label" in spec.name for spec in graph.outputs),
        "tabular-regression": "Regressor" in operators,
        "text-classification": asked.labels is not None or any(word in names for word in _SCORES),
        "text-embedding": any(word in names for word in _VECTORS),
        "text-generation": True,  # as nothing else has a cache
    }
    return [name for name in fitting if told.get(name)] or fitting
