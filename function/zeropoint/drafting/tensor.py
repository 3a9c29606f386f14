"""Drafts an artifact of the task tensor, which every model fits."""

import json
from typing import Any

from zeropoint.drafting.draft import Asked, Draft
from zeropoint.drafting.graph import Graph
from zeropoint.errors import ManifestError
from zeropoint.tensors import TensorSpec

_NEUTRAL: dict[str, Any] = {"f": 0.0, "b": False, "O": ""}
_MOST_NUMBERS = 1_000_000  # of a made-up instance


def misfit(graph: Graph) -> str:
    """Returns nothing: there is no model that this task does not take."""
    return ""


def draft(graph: Graph, asked: Asked) -> Draft:
    """Drafts an instance of zeros, dimensions that vary being 1; there are no tables.

    Raises:
        ManifestError: an input is too large to make one up, or an output is not one row for each
            of the inputs' rows.
    """
    drafted = Draft()
    batched = all(spec.shape[:1] in ((None,), (1,)) for spec in graph.inputs)
    for name, found in graph.tried.items():
        if batched and found.shape[:1] != (1,):
            raise ManifestError(
                f"{graph.path.name}: expected outputs with a row for each row of the inputs, got"
                f" {TensorSpec(name, found.dtype, found.shape)} for one row"
            )
    instance = {} if asked.example else {spec.name: _zeros(spec, batched) for spec in graph.inputs}
    data = (json.dumps(instance) + "\n").encode()
    drafted.add_example("check/instance.json", data, asked.example)
    return drafted


def _zeros(spec: TensorSpec, batched: bool) -> Any:
    shape = [dim or 1 for dim in (spec.shape[1:] if batched else spec.shape)]
    value, count = _NEUTRAL.get(spec.dtype.kind, 0), 1
    for dim in reversed(shape):
        count *= dim
        if count > _MOST_NUMBERS:
            raise ManifestError(f"{spec}: it is large: give a small instance with --input")
        value = [value] * dim
    return value
