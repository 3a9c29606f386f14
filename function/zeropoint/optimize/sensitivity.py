"""Which layers stay in floating point: those whose quantization costs most and that cost least.

The method is that of Pandey et al. 2023, "A Practical Mixed Precision Algorithm for Post-Training
Quantization" (arXiv:2302.05397): a list of layers, ordered by the signal-to-quantization-noise
ratio (SQNR) of the model's outputs on unlabelled samples, of which as few are taken as the task's
own metric asks for. Two things differ. The least precise model is where it starts, as most layers
can be int8. And what is looked at is a run of neighbouring layers: the tensor between two layers is
float only if both are.
"""

import math
from collections.abc import Callable, Sequence
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
_MOST_STEPS = 8  # that the judge is asked about
_MOST_COST = 0.3  # of the whole model's, in floating point
_FREE_COST, _FREE_DB = 0.15, 0.5  # so little for so much is taken without asking the judge
_LEAST_DB = 0.05  # less is noise
_BASE_COST = 0.05  # of leaving and entering int8, whatever the layer
_SAMPLES = 16


class Run(NamedTuple):
    """Neighbouring layers, and what it gains and costs to leave them in floating point."""

    nodes: tuple[str, ...]
    cost: float  # share of the model's multiplications, activations or weights, the largest
    gain_db: float = 0.0  # of the outputs' SQNR


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
    before = sqnr_db(known, _outputs(quantizer.quantize(), samples))
    tried = []
    given = runs(quantizer.model, samples[0])
    for place, run in enumerate(given):
        progress(f"sensitivity: run {place + 1} of {len(given)}")
        found = _outputs(quantizer.quantize(run.nodes), samples)
        tried.append(run._replace(gain_db=sqnr_db(known, found) - before))
    steps = _steps(tried)
    drops = []
    for place, nodes in enumerate(steps):
        progress(f"sensitivity: choice {place + 1} of {len(steps)}")
        drops.append(judge(nodes))
        if drops[-1] <= target:
            break
    # Where none is small enough, no more layers for a gain that hardly shows.
    enough = max(target, min(drops) + target / 2)
    return next(nodes for nodes, drop in zip(steps, drops, strict=False) if drop <= enough)


def _steps(tried: Sequence[Run]) -> list[frozenset[str]]:
    """Returns sets of nodes, each of which has more of them than the one before it."""
    useful = [run for run in tried if run.gain_db >= _LEAST_DB and run.cost <= _MOST_COST]
    useful.sort(key=lambda run: -run.gain_db / (_BASE_COST + run.cost))
    free = [run for run in useful if run.cost <= _FREE_COST and run.gain_db >= _FREE_DB]
    steps = [frozenset(node for run in free for node in run.nodes)]
    spent = sum(run.cost for run in free)
    for run in useful:
        if run not in free and spent + run.cost <= _MOST_COST and len(steps) < _MOST_STEPS:
            steps.append(steps[-1] | set(run.nodes))
            spent += run.cost
    return steps


def runs(model: ModelProto, sample: Tensors) -> list[Run]:
    """Returns runs of a model's layers, each with the nodes between it and the next layer."""
    constants = {one.name: one for one in model.graph.initializer}
    found_layers = layers(model)
    weights = [math.prod(constants[node.input[1]].dims) for node in found_layers]
    names = {node.name for node in found_layers}
    spans: list[list[str]] = []
    for node in model.graph.node:
        if node.name in names:
            spans.append([])
        if spans:
            spans[-1].append(node.name)
    seen = next(captured(model, [node.output[0] for node in found_layers], [sample]))
    work = []
    for node, count in zip(found_layers, weights, strict=True):
        shape = seen[node.output[0]].shape
        places = math.prod(shape[2:]) if node.op_type.startswith("Conv") else math.prod(shape[1:-1])
        work.append(count * places)
    made = [math.prod(seen[node.output[0]].shape) for node in found_layers]
    shares = [[one / max(1, sum(values)) for one in values] for values in (work, made, weights)]
    cost = [max(share) for share in zip(*shares, strict=True)]
    step = max(1, math.ceil(len(spans) / _MOST_RUNS))
    found = []
    for start in range(0, len(spans), step):
        run = slice(start, start + step + 1)
        found.append(Run(tuple(name for span in spans[run] for name in span), sum(cost[run])))
    return found


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
