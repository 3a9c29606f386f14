"""Normalisation folded into the graph: it takes the photo's own bytes.

x = (pixel - mean) / std becomes nodes in front of the graph. It is never folded into the weights
of the first convolution: that pads with x = 0, which is no pixel's value unless mean is 0.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from zeropoint.optimize import graphs
from zeropoint.optimize.graphs import UnfitError
from zeropoint.session import PIXELS
from zeropoint.tasks.image import ImageTable
from zeropoint.tensors import Pixels

_PREFIX = "zeropoint_pixels_"


def scale_and_zero_point(image: ImageTable) -> tuple[float, int] | None:
    """Returns by which scale and zero-point the bytes are the quantized input, if by any.

    So it is where every channel has the same std, and the same whole mean of 0 to 255.
    """
    mean, std = set(image.mean), set(image.std)
    if len(mean) == len(std) == 1 and min(std) > 0.0 and min(mean) in range(256):
        return 1.0 / min(std), int(min(mean))
    return None


def pixels(tensor: NDArray[np.float32], image: ImageTable) -> NDArray[np.uint8]:
    """Returns the bytes of which ``tensor`` is the normalised form.

    Args:
        tensor: float32 array of shape (n, 3, H, W) or (n, H, W, 3), as the table's layout is.
        image: The table.
    """
    return _normalisation(image).of(tensor)


def _normalisation(image: ImageTable) -> Pixels:
    return Pixels(image.mean, image.std, image.layout == "NCHW")


def fold(model: ModelProto, image: ImageTable) -> ModelProto:
    """Returns a model of the same outputs that takes uint8 where the given one takes float32.

    Args:
        model: Its one input is float32 of shape (n, 3, H, W) or (n, H, W, 3); quantized or not.
        image: How pixels are normalised, and in which layout.

    Raises:
        UnfitError: the model's input is another.
    """
    folded = graphs.copied(model)
    graph = folded.graph
    weights = {weight.name for weight in graph.initializer}
    inputs = [one for one in graph.input if one.name not in weights]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise UnfitError("expected one float32 input to fold the normalisation into, got others")
    name, normalised = inputs[0].name, f"{_PREFIX}normalised"
    for node in graphs.walk(graph):
        _rename(node, name, normalised)
    inputs[0].type.tensor_type.elem_type = TensorProto.UINT8
    folded.metadata_props.add(key=PIXELS, value=_normalisation(image).to_json())
    exact = scale_and_zero_point(image)
    if exact is None:
        nodes = _arithmetic(graph, name, normalised, image)
    else:
        nodes = _dequantized(graph, name, normalised, *exact)
        _take_bytes(graph, name, normalised, *exact)
    if any(normalised in node.input for node in graphs.walk(graph)):
        kept = [*nodes, *graph.node]
        del graph.node[:]
        graph.node.extend(kept)
    return folded


def _channels(values: Sequence[float], image: ImageTable) -> NDArray[np.float32]:
    """Returns a value for each channel, in a shape that fits the layout; one, if all are equal."""
    if len(set(values)) == 1:  # many times as quick as to repeat three along the last axis
        return np.array(values[0], np.float32)
    shape = (1, 3, 1, 1) if image.layout == "NCHW" else (1, 1, 1, 3)
    return np.array(values, np.float32).reshape(shape)


def _arithmetic(
    graph: GraphProto, name: str, normalised: str, image: ImageTable
) -> list[NodeProto]:
    scale = 1.0 / np.array(image.std, np.float32)
    bias = -np.array(image.mean, np.float32) * scale
    for kind, values in (("scale", scale), ("bias", bias)):
        array = _channels([float(value) for value in values], image)
        graph.initializer.append(numpy_helper.from_array(array, _PREFIX + kind))
    cast, scaled = f"{_PREFIX}cast", f"{_PREFIX}scaled"
    return [
        helper.make_node("Cast", [name], [cast], cast, to=TensorProto.FLOAT),
        helper.make_node("Mul", [cast, f"{_PREFIX}scale"], [scaled], scaled),
        helper.make_node("Add", [scaled, f"{_PREFIX}bias"], [normalised], normalised),
    ]


def _dequantized(
    graph: GraphProto, name: str, normalised: str, scale: float, zero_point: int
) -> list[NodeProto]:
    given = [f"{_PREFIX}scale", f"{_PREFIX}zero_point"]
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(scale, np.float32), given[0]),
            numpy_helper.from_array(np.array(zero_point, np.uint8), given[1]),
        ]
    )
    return [helper.make_node("DequantizeLinear", [name, *given], [normalised], normalised)]


def _take_bytes(
    graph: GraphProto, name: str, normalised: str, scale: float, zero_point: int
) -> None:
    """Gives the bytes themselves to where the normalised input was quantized to the same bytes."""
    known = {weight.name: weight for weight in graph.initializer}
    for node in list(graph.node):
        if node.op_type != "QuantizeLinear" or node.input[0] != normalised:
            continue
        given = [numpy_helper.to_array(known[one]) for one in node.input[1:] if one in known]
        if len(given) == 2 and given[0] == np.float32(scale) and given[1] == zero_point:
            graph.node.remove(node)
            for other in graph.node:
                _rename(other, node.output[0], name)


def _rename(node: NodeProto, old: str, new: str) -> None:
    node.input[:] = [new if one == old else one for one in node.input]
