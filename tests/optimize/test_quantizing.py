"""Fewer bits: near the original, the same bytes each time, and nothing left behind."""

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from tiny_layers import convolutions, matrices, photos, texts
from zeropoint.optimize import graphs, quantizing
from zeropoint.optimize.quantizing import Quantizer
from zeropoint.optimize.rounding import rounded
from zeropoint.optimize.sensitivity import sqnr_db
from zeropoint.session import BAKED
from zeropoint.tensors import Tensors

SAMPLES = photos(12)


def answers(model: onnx.ModelProto, samples: list[Tensors]) -> list[Tensors]:
    session = graphs.runner(model)
    return [{"y": session.run(["y"], sample)[0]} for sample in samples]


def quantizer(model: onnx.ModelProto, folder: Path) -> Quantizer:
    return Quantizer(graphs.fused(model, "basic"), SAMPLES, folder, {"x": (1 / 128.0, 127)})


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_static_int8_is_near_the_original_and_fuses_to_integer_layers(tmp_path: Path) -> None:
    model = convolutions()
    found = quantizer(model, tmp_path).quantize()
    assert sqnr_db(answers(model, SAMPLES), answers(found, SAMPLES)) > 25.0
    fused = kinds(graphs.fused(found))
    assert fused.count("QLinearConv") == 3
    assert "QGemm" in fused
    assert not {"Conv", "FusedConv", "Clip", "Gemm"} & set(fused)


def test_layers_that_are_left_out_keep_their_weights(tmp_path: Path) -> None:
    model = convolutions()
    found = quantizer(model, tmp_path).quantize(["depthwise", "depthwise_clip"])
    graphs.bake(found, tmp_path / "mixed.onnx")
    mixed = onnx.load(tmp_path / "mixed.onnx")
    original = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    given_ = {one.name: numpy_helper.to_array(one) for one in mixed.graph.initializer}
    (float_layer,) = [node for node in mixed.graph.node if node.op_type == "FusedConv"]
    np.testing.assert_array_equal(given_[float_layer.input[1]], original["w2"])
    assert not np.array_equal(
        numpy_helper.to_array(
            next(one for one in rounded(model, SAMPLES).graph.initializer if one.name == "w2")
        ),
        original["w2"],
    )


def test_no_later_optimisation_quantizes_what_was_left_out(tmp_path: Path) -> None:
    found = quantizer(convolutions(), tmp_path).quantize(["pointwise"])
    graphs.bake(found, tmp_path / "mixed.onnx")
    import onnxruntime

    options = onnxruntime.SessionOptions()  # as anybody's, optimising all it can
    options.optimized_model_filepath = str(tmp_path / "again.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        tmp_path / "mixed.onnx", options, providers=["CPUExecutionProvider"]
    )
    again = kinds(onnx.load(tmp_path / "again.onnx"))
    assert again.count("QLinearConv") == 2
    assert "Conv" in again or "FusedConv" in again


def test_rounding_by_what_the_filters_see_beats_the_nearest_integer(tmp_path: Path) -> None:
    model = graphs.fused(convolutions(delicate=True), "basic")
    known = answers(model, photos(8, seed=99))
    nearest = graphs.copied(model)
    for weight in nearest.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.ndim == 4:
            scale = np.abs(array).max(axis=(1, 2, 3), keepdims=True) / 127
            weight.CopyFrom(
                numpy_helper.from_array(
                    (np.rint(array / scale) * scale).astype(np.float32), weight.name
                )
            )
    asked = photos(8, seed=99)
    ours = sqnr_db(known, answers(rounded(model, SAMPLES), asked))
    assert ours > sqnr_db(known, answers(nearest, asked)) + 3.0


@given(seed=st.integers(0, 1000))
@example_settings(deadline=None, max_examples=10)
def test_rounded_weights_lie_on_int8s_grid_and_keep_their_largest(seed: int) -> None:
    model = graphs.fused(convolutions(seed), "basic")
    after = {one.name: one for one in rounded(model, photos(4, seed)).graph.initializer}
    for weight in model.graph.initializer:
        array, found = numpy_helper.to_array(weight), numpy_helper.to_array(after[weight.name])
        if array.ndim != 4:
            np.testing.assert_array_equal(found, array)
            continue
        largest = np.abs(array).max(axis=(1, 2, 3), keepdims=True)
        levels = found / largest * 127
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
        np.testing.assert_allclose(np.abs(found).max(axis=(1, 2, 3)), largest.ravel(), rtol=1e-6)


@pytest.mark.parametrize(("make", "share", "least_db"), [("dynamic", 0.35, 25), ("four", 0.75, 10)])
def test_matrices_get_smaller_and_stay_near(
    tmp_path: Path, make: str, share: float, least_db: float
) -> None:
    model = matrices()
    found = (
        quantizing.dynamic(model, tmp_path) if make == "dynamic" else quantizing.four_bits(model)
    )
    graphs.save(found, tmp_path / "found.onnx")
    graphs.save(graphs.copied(model), tmp_path / "original.onnx")
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("found", "original")]
    assert sizes[0] < share * sizes[1]
    asked = texts(8)
    assert sqnr_db(answers(model, asked), answers(found, asked)) > least_db


def test_half_keeps_the_types_of_inputs_and_outputs() -> None:
    model = matrices()
    found = quantizing.half(model)
    assert sqnr_db(answers(model, texts(4)), answers(found, texts(4))) > 50.0
    assert any(one.data_type == onnx.TensorProto.FLOAT16 for one in found.graph.initializer)


def test_a_baked_graph_is_the_same_bytes_each_time_and_names_no_producer(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        model = quantizer(convolutions(), tmp_path / name).quantize()
        graphs.bake(model, tmp_path / f"{name}.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    baked = onnx.load(tmp_path / "one.onnx")
    assert baked.producer_name == ""
    assert {one.key: one.value for one in baked.metadata_props} == {graphs.FUSED: "extended"}
    assert {one.domain for one in baked.opset_import} == {"", "com.microsoft"}
    (batch, *_) = baked.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param == "batch"


def test_a_graph_without_convolutions_is_loaded_as_it_stands(tmp_path: Path) -> None:
    graphs.bake(matrices(), tmp_path / "baked.onnx")
    baked = onnx.load(tmp_path / "baked.onnx")
    assert {one.key: one.value for one in baked.metadata_props} == {BAKED: "extended"}


def test_nodes_of_inner_graphs_keep_their_operator_sets(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Gelu", ["x"], ["z"], domain="com.microsoft")],
        "inner",
        [],
        [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, None)],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["go"], ["y"], then_branch=inner, else_branch=inner)],
        "outer",
        [
            helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2]),
        ],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])],
    )
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=9)
    graphs.bake(model, tmp_path / "baked.onnx")
    session = graphs.runner(tmp_path / "baked.onnx", optimize=False)
    (found,) = session.run(None, {"go": np.array(True), "x": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(found, np.zeros(2))


def test_the_libraries_keep_quiet_and_leave_no_handlers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = logging.getLogger().handlers[:]
    quantizer(convolutions(), tmp_path).quantize()
    quantizing.dynamic(matrices(), tmp_path)
    quantizing.four_bits(matrices())
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == before
    assert logging.root.manager.disable == logging.NOTSET
    assert {path.name for path in tmp_path.iterdir()} <= {"float.onnx", "ranges.json"}
