"""Drafts artifacts of the tasks tabular-classification and -regression."""

import numpy as np

from zeropoint.drafting import classes, columns
from zeropoint.drafting.draft import Asked, Draft, Tables
from zeropoint.drafting.graph import Graph, in_words
from zeropoint.errors import ManifestError
from zeropoint.tensors import TensorSpec


def misfit(graph: Graph) -> str:
    """Returns why the model takes no rows of a table, or nothing if it does."""
    specs = graph.inputs
    widths = (None, 1) if len(specs) > 1 else None
    for spec in specs:
        rows = len(spec.shape) == 2 and spec.shape[0] in (None, 1)
        if (
            not rows
            or spec.dtype.kind not in columns.TYPES
            or (widths and spec.shape[1] not in widths)
        ):
            return (
                "it takes one input [n, columns], or an input [n, 1] for each column, not"
                f" {in_words(specs)}"
            )
    if any("mask" in spec.name for spec in specs):
        return "its inputs are tokens"
    outputs = [spec for spec in graph.floats if len(spec.shape) in (1, 2)]
    return "" if outputs else f"it gives floats [n, …], not {in_words(graph.outputs)}"


def classification(graph: Graph, asked: Asked) -> Draft:
    """Drafts a classifier; raises as `classes.names` and `columns.draft` say."""
    drafted = columns.draft(graph, asked)
    spec = _scores(graph)
    width = graph.width(spec) if len(spec.shape) == 2 else 1
    count = 2 if width == 1 else width
    labels = classes.names(graph, asked, drafted, count, "output.labels")
    if len(set(labels)) < len(labels):
        raise ManifestError(f"{graph.path.name}: expected labels that differ, got one twice")
    output = _named(graph, spec)
    output["labels"] = labels
    key = "output.activation"
    if width == 1:
        drafted.undecided[key] = (
            "what makes the one score the probability of the second label: none or sigmoid."
        )
        output["activation"] = "none" if _within(graph, spec) else "sigmoid"
    else:
        output["activation"] = classes.activation(graph.tried.get(spec.name), key, drafted)
    if len(labels) == 2:
        output["threshold"] = 0.5
        drafted.undecided["output.threshold"] = "the probability from which the second is told."
    drafted.tables["output"] = output
    if width != 1:
        taken = asked.like_output("tabular-classification")
        drafted.take_output(taken, "activation", *["threshold"] * (len(labels) == 2))
    return drafted


def regression(graph: Graph, asked: Asked) -> Draft:
    """Drafts a regressor; raises as `columns.draft` says."""
    drafted = columns.draft(graph, asked)
    spec = _scores(graph)
    width = (graph.width(spec) if len(spec.shape) == 2 else 1) or 1
    output = _named(graph, spec)
    if width > 1:
        output["values"] = classes.names(graph, asked, drafted, width, "output.values", "value")
    drafted.undecided["output"] = "unit of the numbers, minimum and maximum that they may have."
    drafted.tables["output"] = output
    return drafted


def _scores(graph: Graph) -> TensorSpec:
    """Returns the output that is told: that of probabilities, else the first of floats."""
    fitting = [spec for spec in graph.floats if len(spec.shape) in (1, 2)]
    return next((spec for spec in fitting if "prob" in spec.name.lower()), fitting[0])


def _named(graph: Graph, spec: TensorSpec) -> Tables:
    return {"name": spec.name} if len(graph.floats) > 1 else {}


def _within(graph: Graph, spec: TensorSpec) -> bool:
    found = graph.tried.get(spec.name)
    return found is not None and bool(np.all((found >= 0) & (found <= 1)))
