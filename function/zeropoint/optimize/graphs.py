"""A graph: read, optimised once for every processor, and written in the same bytes each time."""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper

from zeropoint import session  # before ONNX Runtime, of which it sets what that reads at its import
from zeropoint.errors import ZeropointError
from zeropoint.tensors import Tensors

import onnxruntime as ort  # isort: skip

# In the metadata of a fused graph with convolutions. Their layout in memory depends on the
# processor, so ONNX Runtime must still choose it when it loads the file: with optimisation off, as
# for `session.BAKED`, a float convolution takes three times as long.
FUSED = "zeropoint.fused"
_LEVEL = "extended"  # the highest whose result runs on every processor
_MICROSOFT = "com.microsoft"
_CONVOLUTIONS = {"Conv", "ConvTranspose", "FusedConv", "QLinearConv"}
# It would quantize, one scale for the whole tensor, the weights of a layer that was left in
# floating point between two quantized ones (onnxruntime#22969, #25673).
_NEVER = ["WeightBiasQuantization"]


class UnfitError(ZeropointError):
    """A candidate that cannot be made of this model; its message says why."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps the libraries' logs and prints away, and the log handlers they set at their import."""
    root = logging.getLogger()
    handlers, level, disabled = root.handlers[:], root.level, logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    ort.set_default_logger_severity(4)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        ort.set_default_logger_severity(2)
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)


def copied(model: ModelProto) -> ModelProto:
    """Returns a model that can be changed without changing the given one."""
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def runner(model: ModelProto | Path, optimize: bool = True) -> Any:
    """Returns an `onnxruntime.InferenceSession` of one thread.

    Args:
        model: The graph, or its file.
        optimize: Whether ONNX Runtime optimises it, or runs it as it stands.
    """
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    levels = ort.GraphOptimizationLevel
    options = _options(levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL)
    return _session(source, options)


def fused(model: ModelProto, level: Literal["basic", "extended"] = "extended") -> ModelProto:
    """Returns the graph as ONNX Runtime's optimisation leaves it, the same on every processor.

    Args:
        model: The graph; quantized, its QuantizeLinear and DequantizeLinear are fused with what
            stands between them.
        level: Basic leaves ONNX's own operators only.
    """
    levels = ort.GraphOptimizationLevel
    options = _options(levels.ORT_ENABLE_BASIC if level == "basic" else levels.ORT_ENABLE_EXTENDED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fused.onnx")
        options.optimized_model_filepath = str(path)
        _session(model.SerializeToString(), options)
        found = onnx.load(path)
    del found.metadata_props[:]
    found.metadata_props.extend(model.metadata_props)
    return found


def _options(level: Any) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # What would else follow the processor's kind: which integers are fused, and how wide.
    options.add_session_config_entry("session.qdqisint8allowed", "0")
    options.add_session_config_entry("session.x64quantprecision", "0")
    return options


def _session(source: str | bytes, options: Any) -> Any:
    return ort.InferenceSession(
        source, options, providers=["CPUExecutionProvider"], disabled_optimizers=_NEVER
    )


def bake(model: ModelProto, path: Path) -> None:
    """Writes a graph fused at the extended level, deterministic, without a producer's name.

    Its metadata says `session.BAKED`, or `FUSED` where it has convolutions.
    """
    graph = fused(model)
    _guard(graph.graph)
    kinds = {node.op_type for node in walk(graph.graph)}
    key = FUSED if kinds & _CONVOLUTIONS else session.BAKED
    metadata = {
        entry.key: entry.value
        for entry in graph.metadata_props
        if not entry.key.startswith("onnx.")  # the quantizer's notes to itself
    }
    helper.set_model_props(graph, dict(sorted({**metadata, key: _LEVEL}.items())))
    save(graph, path)


def save(model: ModelProto, path: Path) -> None:
    """Writes a graph in bytes that only depend on what it computes."""
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        model.ClearField(field)
    model.graph.ClearField("doc_string")
    del model.graph.value_info[:]
    domains = {node.domain for node in walk(model.graph)} | {"", *_domains(model)}
    versions = {one.domain: one.version for one in model.opset_import if one.domain in domains}
    del model.opset_import[:]
    model.opset_import.extend(
        helper.make_opsetid(domain, version) for domain, version in sorted(versions.items())
    )
    weights = sorted(model.graph.initializer, key=lambda weight: weight.name)
    kept = [onnx.TensorProto.FromString(weight.SerializeToString()) for weight in weights]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _domains(model: ModelProto) -> set[str]:
    return {one.domain for function in model.functions for one in function.opset_import}


def _guard(graph: GraphProto) -> None:
    """Names convolutions in floating point so that no later optimisation quantizes them."""
    dequantized = {
        name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    for node in graph.node:
        if node.op_type == "Conv" and node.input[0] in dequantized:
            node.op_type, node.domain = "FusedConv", _MICROSOFT


def walk(graph: GraphProto) -> Iterator[NodeProto]:
    """Yields each node of a graph and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from walk(inner)


def check(
    path: Path, original: Path, pairs: Sequence[tuple[Tensors, Tensors]], exact: bool
) -> None:
    """Looks whether a file loads with optimisation off and answers as the original does.

    Args:
        path: The candidate.
        original: The model it was made of.
        pairs: What both are asked, as the candidate takes it and as the original does.
        exact: Whether its numbers must be the same but for float32's rounding; else only finite
            and of the same shapes.

    Raises:
        UnfitError: it does not.
    """
    ours, theirs = runner(path, optimize=False), runner(original)
    names = [node.name for node in theirs.get_outputs()]
    for asked, known in pairs:
        for name, got, wanted in zip(
            names, ours.run(names, asked), theirs.run(names, known), strict=True
        ):
            if np.shape(got) != np.shape(wanted):
                raise UnfitError(f"{name}: expected the shape {np.shape(wanted)}, got another")
            if not isinstance(wanted, np.ndarray) or wanted.dtype.kind != "f":
                continue
            if not np.isfinite(got).all() and np.isfinite(wanted).all():
                raise UnfitError(f"{name}: expected finite numbers, got others")
            room = 1e-3 * max(1.0, float(np.abs(wanted).max(initial=0.0)))
            if exact and not np.allclose(got, wanted, rtol=0.0, atol=room, equal_nan=True):
                raise UnfitError(f"{name}: expected the original's numbers, got others")
