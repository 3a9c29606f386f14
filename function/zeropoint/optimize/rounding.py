"""Weights rounded to int8 so that a layer's output changes least, not each weight by itself.

The nearest integer to each weight is not the best: in a filter that looks for edges the weights
cancel out, and nine small errors do not. GPTQ (Frantar et al. 2022, arXiv:2210.17323) rounds one
weight after another and lets those that follow make good for the error, as far as the layer's
inputs on the calibration samples (their second moments) say they can. On another processor the last
bits of these moments may differ, and with them a few of the weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from zeropoint.optimize import graphs
from zeropoint.tensors import Tensors

_MOST = 127  # of int8, symmetric
_DAMPING = 0.01  # of the mean second moment: so few samples do not say more
_SAMPLES = 48
_PLACES = 200  # of an input, at most
_BLOCK = 32
_WIDEST = 4608  # weights that make one output; more would take minutes


class _Layer(NamedTuple):
    node: NodeProto
    weights: NDArray[np.float32]  # (output channels, input channels / groups, height, width)
    groups: int


def rounded(model: ModelProto, samples: Sequence[Tensors]) -> ModelProto:
    """Returns a model whose convolutions' weights lie on int8's grid, per output channel.

    Args:
        model: In floating point, optimised at the basic level.
        samples: Of its inputs, one row each.
    """
    changed = graphs.copied(model)
    constants = {weight.name: weight for weight in changed.graph.initializer}
    layers = list(_layers(changed, constants))
    moments: dict[str, NDArray[np.float64]] = {}
    for seen in captured(model, [layer.node.input[0] for layer in layers], samples[:_SAMPLES]):
        for layer in layers:
            found = _moments(seen[layer.node.input[0]], layer)
            moments[layer.node.output[0]] = moments.get(layer.node.output[0], 0.0) + found
    for node, weights, groups in layers:
        rows = weights.reshape(groups, len(weights) // groups, -1).astype(np.float64)
        on_grid = _round(rows, moments[node.output[0]])
        array = on_grid.reshape(weights.shape).astype(np.float32)
        constants[node.input[1]].CopyFrom(numpy_helper.from_array(array, node.input[1]))
    return changed


def captured(
    model: ModelProto, names: Sequence[str], samples: Sequence[Tensors]
) -> Iterator[Tensors]:
    """Runs a model on each sample and yields the tensors of those names, inputs among them."""
    open_ = graphs.copied(model)
    inputs = {one.name for one in open_.graph.input}
    inner = sorted(set(names) - inputs)
    told = {one.name for one in open_.graph.output}
    open_.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in inner
        if name not in told
    )
    session = graphs.runner(open_)
    for sample in samples:
        yield {
            **sample,
            **dict(zip(inner, session.run(inner, sample) if inner else [], strict=True)),
        }


def _layers(model: ModelProto, constants: Mapping[str, TensorProto]) -> Iterator[_Layer]:
    users = [name for node in model.graph.node for name in node.input]
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in constants:
            continue
        weights = numpy_helper.to_array(constants[node.input[1]])
        given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        plain = weights.ndim == 4 and set(given.get("dilations", [1])) == {1}
        if plain and weights[0].size <= _WIDEST and users.count(node.input[1]) == 1:
            yield _Layer(node, weights, given.get("group", 1))


def _moments(x: NDArray[np.float32], layer: _Layer) -> NDArray[np.float64]:
    """Returns the second moments of what the filters see, (groups, weights, weights)."""
    height, width = layer.weights.shape[2:]
    high, wide = max(0, height - x.shape[2]), max(0, width - x.shape[3])
    padded = np.pad(x[0], ((0, 0), (0, high), (0, wide)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    step = max(1, int(np.sqrt(windows.shape[1] * windows.shape[2] / _PLACES)))
    some = windows[:, step // 2 :: step, step // 2 :: step]  # (channels, y, x, height, width)
    places = some.shape[1] * some.shape[2]
    grouped = some.reshape(layer.groups, -1, places, height * width)
    seen = grouped.transpose(0, 2, 1, 3).reshape(layer.groups, places, -1)
    found: NDArray[np.float64] = (seen.transpose(0, 2, 1) @ seen).astype(np.float64)
    return found


def _round(rows: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounds filters, given the second moments of their inputs.

    Args:
        rows: Array of shape (groups, filters, weights).
        moments: Array of shape (groups, weights, weights).
    """
    size = rows.shape[2]
    largest = np.abs(rows).argmax(axis=2)
    extreme = np.take_along_axis(rows, largest[:, :, None], axis=2)[:, :, 0]
    scale = np.where(extreme == 0.0, 1.0, np.abs(extreme) / _MOST)
    damping = np.maximum(_DAMPING * np.trace(moments, axis1=1, axis2=2) / size, 1e-9)
    damped = moments + np.eye(size) * damping[:, None, None]
    spread = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    left, found = rows.copy(), np.empty_like(rows)
    for start in range(0, size, _BLOCK):  # what lies behind a block is made good for at once
        end = min(start + _BLOCK, size)
        errors = np.empty((*rows.shape[:2], end - start))
        for column in range(start, end):
            level = np.clip(np.rint(left[:, :, column] / scale), -_MOST, _MOST)
            # The largest stays, so that the quantizer finds the same scale again.
            level = np.where(largest == column, _MOST * np.sign(extreme), level)
            found[:, :, column] = level * scale
            error = left[:, :, column] - found[:, :, column]
            error /= spread[:, column, column, None]
            after = slice(column + 1, end)
            left[:, :, after] -= error[:, :, None] * spread[:, None, column, after]
            errors[:, :, column - start] = error
        left[:, :, end:] -= errors @ spread[:, start:end, end:]
    return found
