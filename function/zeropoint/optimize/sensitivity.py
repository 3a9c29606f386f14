"""Which layers stay in floating point: those whose quantization costs most and that cost least.

The method is that of Pandey et al. 2023, "A Practical Mixed Precision Algorithm for Post-Training
Quantization" (arXiv:2302.05397): layers ordered by the signal-to-quantization-noise ratio (SQNR) of
the model's outputs on unlabelled samples, of which as few are taken as the task's own metric asks
for. Two things differ. The least precise model is where it starts, as most layers can be int8. And
but for layers that are sensitive by themselves, the float part grows from the graph's ends: there
it has one border with the integers, where tensors are converted, and inside it would have two.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from zeropoint.optimize import graphs
from zeropoint.optimize.quantizing import Quantizer
from zeropoint.optimize.rounding import captured
from zeropoint.tensors import Tensors

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_MOST_RUNS = 64  # that are tried: bounds the time, the same on every machine
_PIECES = 20  # in which the float part grows
_MOST_STEPS = 8  # that the judge is asked about
_MOST_COST = 0.4  # of the whole model's, in floating point
_MOST_ALONE, _ALONE_DB = 0.15, 1.0  # so little for so much is taken wherever it is
_LEAST_DB = 0.05  # less is noise
_SAMPLES = 16


class Layer(NamedTuple):
    """A layer with the nodes between it and the next one, and what it costs in floating point."""

    nodes: tuple[str, ...]
    cost: float  # share of the model's multiplications or of its weights, the larger


def chosen(
    quantizer: Quantizer,
    samples: Sequence[Tensors],
    judge: Callable[[frozenset[str]], float],
    target: float,
    progress: Callable[[str], None],
) -> frozenset[str]:
    """Returns the names of the nodes that stay in floating point.

    Args:
        quantizer: Of the model.
        samples: On which the outputs' noise is measured.
        judge: The drop, in points, of the model quantized without the nodes of those names.
        target: The drop to come down to.
        progress: Is told what goes on.
    """
    samples = samples[:_SAMPLES]
    known = _outputs(quantizer.model, samples)

    def clear_db(nodes: Collection[str]) -> float:
        return sqnr_db(known, _outputs(quantizer.quantize(nodes), samples))

    given = spans(quantizer.model, samples[0])
    alone = _alone(given, clear_db, progress)
    drops, steps = [], []
    for nodes in _growing(given, alone, clear_db):
        steps.append(nodes)
        progress(f"sensitivity: choice {len(steps)} of at most {_MOST_STEPS}")
        drops.append(judge(nodes))
        if drops[-1] <= target or len(steps) == _MOST_STEPS:
            break
    # Where none is small enough, no more layers for a gain that hardly shows.
    enough = max(target, min(drops) + target / 2)
    return next(nodes for nodes, drop in zip(steps, drops, strict=True) if drop <= enough)


def _alone(
    given: Sequence[Layer],
    clear_db: Callable[[Collection[str]], float],
    progress: Callable[[str], None],
) -> frozenset[str]:
    """Returns the nodes of neighbouring layers that gain much, wherever they are."""
    before = clear_db(())
    step = max(1, math.ceil(len(given) / _MOST_RUNS))
    found: set[str] = set()
    for start in range(0, len(given), step):
        progress(f"sensitivity: layer {start + 1} of {len(given)}")
        run = given[start : start + step + 1]  # a tensor between two is float only if both are
        nodes = _nodes(run)
        if sum(one.cost for one in run) <= _MOST_ALONE and clear_db(nodes) - before >= _ALONE_DB:
            found |= nodes
    return frozenset(found)


def _growing(
    given: Sequence[Layer], alone: frozenset[str], clear_db: Callable[[Collection[str]], float]
) -> Iterator[frozenset[str]]:
    """Yields sets of nodes, each with more of them than the one before, by gain for their cost."""
    kept, front, back = alone, 0, len(given)
    reached_db = clear_db(kept)
    step = max(1, math.ceil(len(given) / _PIECES))
    yield kept
    while front < back:
        options = []
        for ends in ((min(front + step, back), back), (front, max(front, back - step))):
            nodes = kept | _nodes([*given[: ends[0]], *given[ends[1] :]])
            if not nodes > kept:  # all of it gains much alone
                front, back = ends
                break
            options.append(_Option(clear_db(nodes), _cost(given, nodes), ends, nodes))
        else:
            affordable = [
                one
                for one in options
                if one.reached_db >= reached_db + _LEAST_DB and one.cost <= _MOST_COST
            ]
            if not affordable:
                return
            spent = _cost(given, kept)
            rates = [(one.reached_db - reached_db) / (one.cost - spent) for one in affordable]
            best = affordable[rates.index(max(rates))]
            reached_db, (front, back), kept = best.reached_db, best.ends, best.nodes
            yield kept


class _Option(NamedTuple):
    reached_db: float
    cost: float  # of all its nodes
    ends: tuple[int, int]
    nodes: frozenset[str]


def _nodes(given: Sequence[Layer]) -> frozenset[str]:
    return frozenset(name for one in given for name in one.nodes)


def _cost(given: Sequence[Layer], nodes: Collection[str]) -> float:
    return sum(one.cost for one in given if set(one.nodes) <= set(nodes))


def spans(model: ModelProto, sample: Tensors) -> list[Layer]:
    """Returns a model's layers in their order, each with the nodes up to the next one."""
    constants = {one.name: one for one in model.graph.initializer}
    found_layers = layers(model)
    weights = [math.prod(constants[node.input[1]].dims) for node in found_layers]
    names = {node.name for node in found_layers}
    found: list[list[str]] = []
    for node in model.graph.node:
        if node.name in names:
            found.append([])
        if found:
            found[-1].append(node.name)
    seen = next(captured(model, [node.output[0] for node in found_layers], [sample]))
    work = []
    for node, count in zip(found_layers, weights, strict=True):
        shape = seen[node.output[0]].shape
        places = math.prod(shape[2:]) if node.op_type.startswith("Conv") else math.prod(shape[1:-1])
        work.append(count * places)
    shares = [[one / max(1, sum(values)) for one in values] for values in (work, weights)]
    costs = [max(share) for share in zip(*shares, strict=True)]
    return [Layer(tuple(span), cost) for span, cost in zip(found, costs, strict=True)]


def layers(model: ModelProto, kinds: Sequence[str] = LAYERS) -> list[NodeProto]:
    """Returns the nodes of those kinds whose weights are constants."""
    constants = {one.name for one in model.graph.initializer}
    return [
        node
        for node in model.graph.node
        if node.op_type in kinds and len(node.input) > 1 and node.input[1] in constants
    ]


def sqnr_db(known: Sequence[Tensors], found: Sequence[Tensors]) -> float:
    """Returns the mean, over samples and outputs, of the signal's power over the noise's.

    Args:
        known: Each sample's outputs of the original, float.
        found: The same of the quantized model.
    """
    ratios = []
    for wanted, got in zip(known, found, strict=True):
        for name, signal in wanted.items():
            if signal.dtype.kind == "f":
                noise = _power(got[name] - signal)
                ratios.append(10.0 * math.log10((_power(signal) + 1e-12) / (noise + 1e-12)))
    return float(np.mean(ratios)) if ratios else 0.0


def _power(signal: NDArray[np.floating]) -> float:
    return float(np.mean(np.square(signal, dtype=np.float64)))


def _outputs(model: ModelProto, samples: Sequence[Tensors]) -> list[Tensors]:
    session = graphs.runner(model)
    names = [node.name for node in session.get_outputs()]
    return [dict(zip(names, session.run(names, sample), strict=True)) for sample in samples]


def weight_bytes(model: ModelProto, kinds: Sequence[str]) -> int:
    """Returns how many bytes of weights the nodes of those kinds have."""
    names = {node.input[1] for node in layers(model, kinds)}
    constants = (one for one in model.graph.initializer if one.name in names)
    return sum(numpy_helper.to_array(one).nbytes for one in constants)
