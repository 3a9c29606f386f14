"""Weights and activations in fewer bits, by ONNX Runtime's own quantizers."""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from zeropoint.optimize import graphs
from zeropoint.optimize.graphs import UnfitError
from zeropoint.optimize.rounding import rounded
from zeropoint.tensors import Tensors

with graphs.quiet():  # one of them sets a log handler as it is imported
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.transformers.float16 import convert_float_to_float16

# Their integer forms can also give float32: of scores in 256 steps, two are too often the same.
_FLOAT_OUTPUT = ["Gemm", "MatMul"]
_BLOCK = 32  # weights that share one scale of 4 bits
# Multiply in int8, which processors have instructions for; 0 would be float32.
_ACCURACY = 4
_PRODUCT, _LEVEL = "MatMulNBits", "accuracy_level"


class Quantizer:
    """Static quantization of one model to int8: QDQ, per channel, weights rounded by GPTQ.

    Calibration and rounding are done once; a layer that is left out keeps its own weights.

    The ranges are those seen (MinMax). On efficientnet-lite0 percentiles and entropy took seven
    times as long and came no nearer to the original.

    Args:
        model: In floating point, optimised at the basic level, its nodes named.
        samples: Of its inputs, one row each, on which the activations' ranges are taken.
        folder: Where temporary files go.
        inputs: Scale and zero-point of an input whose quantized form is given.
    """

    def __init__(
        self,
        model: ModelProto,
        samples: Sequence[Tensors],
        folder: Path,
        inputs: Mapping[str, tuple[float, int]],
    ) -> None:
        self.model = model
        self._rounded = rounded(model, samples)
        self._folder = folder
        self._ranges = folder / "ranges.json"
        self._ranges.unlink(missing_ok=True)
        self._samples = samples
        self._inputs = {
            name: [{"scale": np.array(scale, np.float32), "zero_point": np.array(zero, np.uint8)}]
            for name, (scale, zero) in inputs.items()
        }

    def quantize(self, without: Collection[str] = ()) -> ModelProto:
        """Returns the model quantized, but for the nodes of those names."""
        with graphs.quiet(), tempfile.TemporaryDirectory(dir=self._folder) as folder:
            source, path = Path(folder, "float.onnx"), Path(folder, "quantized.onnx")
            onnx.save(self._with_own_weights(without), source)
            quantize_static(
                source,
                path,
                None if self._ranges.exists() else _Reader(self._samples),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=sorted(without),
                calibration_cache_path=self._ranges,
                extra_options={
                    "TensorQuantOverrides": self._inputs,
                    "OpTypesToExcludeOutputQuantization": _FLOAT_OUTPUT,
                },
            )
            return onnx.load(path)

    def _with_own_weights(self, nodes: Collection[str]) -> ModelProto:
        """Returns the rounded model, but with the weights that the nodes of those names had."""
        found = graphs.copied(self._rounded)
        own = {weight.name: weight for weight in self.model.graph.initializer}
        names = {name for node in found.graph.node if node.name in nodes for name in node.input}
        for weight in found.graph.initializer:
            if weight.name in names:
                weight.CopyFrom(own[weight.name])
        return found


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: Sequence[Tensors]) -> None:
        self._left: Iterator[Tensors] = iter(samples)

    def get_next(self) -> Tensors | None:
        return next(self._left, None)


def dynamic(model: ModelProto, folder: Path) -> ModelProto:
    """Returns a model whose MatMuls have weights of int8, and whose activations become uint8.

    An activation's range is that of each forward pass, so nothing is calibrated. Embeddings, which
    are only looked up, are int8 too.
    """
    with graphs.quiet(), tempfile.TemporaryDirectory(dir=folder) as work:
        path = Path(work, "quantized.onnx")
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul", "Gather", "Attention", "EmbedLayerNormalization"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(path)


def four_bits(model: ModelProto) -> ModelProto:
    """Returns a model whose MatMuls have weights of 4 bits, with a scale for each block of 32."""
    with graphs.quiet():
        quantizer = MatMulNBitsQuantizer(
            graphs.copied(model),
            block_size=_BLOCK,
            is_symmetric=False,
            accuracy_level=_ACCURACY,
        )
        quantizer.process()
        found: ModelProto = quantizer.model.model
    return found


def int8_sums(model: ModelProto) -> ModelProto:
    """Returns a model whose products with weights of 4 bits are summed up in int8.

    The weights stay as they are; what they are multiplied by is rounded on the way.

    Raises:
        UnfitError: it has no such products, or all are summed up so.
    """
    found = graphs.copied(model)
    changed = 0
    for node in graphs.walk(found.graph):
        if node.op_type == _PRODUCT:
            levels = [one for one in node.attribute if one.name == _LEVEL]
            changed += not levels or levels[0].i != _ACCURACY
            for one in levels or [node.attribute.add(name=_LEVEL, type=onnx.AttributeProto.INT)]:
                one.i = _ACCURACY
    if not changed:
        raise UnfitError(f"expected {_PRODUCT} that sums up in float32, got none")
    return found


def half(model: ModelProto) -> ModelProto:
    """Returns a model in float16, whose inputs and outputs stay in float32."""
    with graphs.quiet():
        found: ModelProto = convert_float_to_float16(graphs.copied(model), keep_io_types=True)
    return found
