"""The skeleton of a card.md: what is known stands in it, what is not has a question."""

from collections.abc import Iterator, Mapping

from zeropoint.drafting.graph import Graph
from zeropoint.tensors import TensorSpec


def text(name: str, task: str, graph: Graph, undecided: Mapping[str, str]) -> str:
    """Returns the card of a model, in Markdown."""
    return "\n".join(_lines(name, task, graph, undecided)) + "\n"


def _lines(name: str, task: str, graph: Graph, undecided: Mapping[str, str]) -> Iterator[str]:
    yield from (f"# {name}", "", "What does it do, for whom?", "")
    yield from ("## Origin", "", "Who trained it, on what, with which code?", "")
    yield from ("## Licence", "", "Of the code, of the weights, of the data?", "")
    yield from ("## Input and output", "", f"Task: {task}.", "")
    yield from ("| name | type | shape | meaning |", "|---|---|---|---|")
    yield from map(_row, [*graph.inputs, *graph.outputs])
    yield from ("", f"{graph.path.stat().st_size:,} bytes.", "")
    yield from ("## Preparation", "", "What was done to inputs in training?", "")
    yield from (f"- `{key}`: {asked}" for key, asked in undecided.items())
    yield from ("", "## Accuracy", "", "| measure | value | on |", "|---|---|---|", "")
    yield from ("On which data, how many, and had the model seen them?", "")
    yield from ("## Good and bad at", "", "Where should nobody rely on it?")


def _row(spec: TensorSpec) -> str:
    shape = ", ".join("?" if dim is None else str(dim) for dim in spec.shape)
    return f"| `{spec.name}` | {spec.dtype} | [{shape}] | |"
