"""Normalisation in the graph gives what normalisation before it gives."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from zeropoint.optimize import folding, graphs
from zeropoint.optimize.graphs import UnfitError
from zeropoint.session import Session
from zeropoint.tasks.image import ImageTable, Resize
from zeropoint.tensors import Pixels

SIDE = 6
MEANS = st.one_of(
    st.integers(0, 255).map(lambda mean: (float(mean),) * 3),
    st.just((123.675, 116.28, 103.53)),
    st.just((127.5, 127.5, 127.5)),
    st.tuples(*[st.floats(-20.0, 300.0, width=32)] * 3),
)
STDS = st.one_of(
    st.sampled_from([1.0, 58.395, 127.5, 128.0, 255.0]).map(lambda std: (std,) * 3),
    st.just((58.395, 57.12, 57.375)),
)


def table(layout: str, mean: tuple[float, ...], std: tuple[float, ...]) -> ImageTable:
    return ImageTable(
        resize=Resize(kernel="box", width=SIDE, height=SIDE),
        layout=layout,  # type: ignore[arg-type]
        mean=mean,  # type: ignore[arg-type]
        std=std,  # type: ignore[arg-type]
    )


def convolution(layout: str) -> onnx.ModelProto:
    """Returns a model whose padding with zeros is where a careless folding goes wrong."""
    shape: list[str | int | None] = ["batch", SIDE, SIDE]
    shape.insert(1 if layout == "NCHW" else 3, 3)
    weights = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32) / 10
    nodes = [helper.make_node("Conv", ["seen", "weights"], ["y"], pads=[1, 1, 1, 1])]
    nodes.insert(0, helper.make_node("Identity", ["x"], ["seen"]))
    if layout == "NHWC":
        nodes[0] = helper.make_node("Transpose", ["x"], ["seen"], perm=[0, 3, 1, 2])
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4, SIDE, SIDE])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@given(
    layout=st.sampled_from(["NCHW", "NHWC"]),
    mean=MEANS,
    std=STDS,
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 3),
)
@settings(deadline=None, max_examples=40)
def test_pixels_to_the_folded_graph_are_normalised_pixels_to_the_original(
    layout: str, mean: tuple[float, ...], std: tuple[float, ...], seed: int, batch: int
) -> None:
    image = table(layout, mean, std)
    shape = (batch, 3, SIDE, SIDE) if layout == "NCHW" else (batch, SIDE, SIDE, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    channels = (1, 3, 1, 1) if layout == "NCHW" else (1, 1, 1, 3)
    means, stds = (np.array(one, np.float32).reshape(channels) for one in (mean, std))
    normalised = (pixels - means) / stds
    model = convolution(layout)
    (wanted,) = graphs.runner(model).run(None, {"x": normalised.astype(np.float32)})
    (got,) = graphs.runner(folding.fold(model, image)).run(None, {"x": pixels})
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(folding.pixels(normalised.astype(np.float32), image), pixels)


@pytest.mark.parametrize(
    ("mean", "std", "known"),
    [
        ((127.0,) * 3, (128.0,) * 3, (1 / 128.0, 127)),
        ((0.0,) * 3, (255.0,) * 3, (1 / 255.0, 0)),
        ((127.5,) * 3, (127.5,) * 3, None),
        ((1.0, 2.0, 3.0), (128.0,) * 3, None),
        ((127.0,) * 3, (1.0, 1.0, 2.0), None),
        ((-1.0,) * 3, (1.0,) * 3, None),
        ((256.0,) * 3, (1.0,) * 3, None),
        ((127.0,) * 3, (-128.0,) * 3, None),
    ],
)
def test_bytes_are_the_quantized_input_where_one_scale_and_whole_zero_point_say_so(
    mean: tuple[float, ...], std: tuple[float, ...], known: tuple[float, int] | None
) -> None:
    assert folding.scale_and_zero_point(table("NCHW", mean, std)) == known


def test_a_quantized_input_becomes_the_bytes_themselves() -> None:
    model = convolution("NCHW")
    constants = {"scale": np.float32(1 / 128.0), "zero": np.uint8(127)}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value), name) for name, value in constants.items()
    )
    model.graph.node[0].input[0] = "dequantized"
    for kind, given_, made in (
        ("DequantizeLinear", "quantized", "dequantized"),
        ("QuantizeLinear", "x", "quantized"),
    ):
        model.graph.node.insert(0, helper.make_node(kind, [given_, "scale", "zero"], [made]))
    folded = folding.fold(model, table("NCHW", (127.0,) * 3, (128.0,) * 3))
    assert [node.op_type for node in folded.graph.node][:2] == ["DequantizeLinear", "Identity"]
    pixels = np.arange(3 * SIDE * SIDE, dtype=np.uint8).reshape(1, 3, SIDE, SIDE)
    normalised = (pixels.astype(np.float32) - 127.0) / 128.0
    (wanted,) = graphs.runner(model).run(None, {"x": normalised})
    (got,) = graphs.runner(folded).run(None, {"x": pixels})
    np.testing.assert_array_equal(got, wanted)


def test_an_input_of_another_type_is_refused() -> None:
    model = convolution("NCHW")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    with pytest.raises(UnfitError, match="expected one float32 input"):
        folding.fold(model, table("NCHW", (0.0,) * 3, (1.0,) * 3))


def test_the_given_model_stays_as_it_was() -> None:
    model = convolution("NCHW")
    before = model.SerializeToString(deterministic=True)
    folding.fold(model, table("NCHW", (0.0,) * 3, (255.0,) * 3))
    assert model.SerializeToString(deterministic=True) == before


@given(
    layout=st.sampled_from(["NCHW", "NHWC"]),
    mean=MEANS,
    std=STDS,
    seed=st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=20)
def test_who_sends_tensors_does_not_see_that_pixels_are_taken(
    layout: str, mean: tuple[float, ...], std: tuple[float, ...], seed: int
) -> None:
    image = table(layout, mean, std)
    with tempfile.TemporaryDirectory() as folder:
        path, plain = Path(folder, "folded.onnx"), Path(folder, "plain.onnx")
        graphs.bake(folding.fold(convolution(layout), image), path)
        onnx.save(convolution(layout), plain)
        folded, original = Session(path, 1), Session(plain, 1)
    assert str(folded.inputs[0]) == str(original.inputs[0])
    shape = (2, 3, SIDE, SIDE) if layout == "NCHW" else (2, SIDE, SIDE, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    channels = (1, 3, 1, 1) if layout == "NCHW" else (1, 1, 1, 3)
    means, stds = (np.array(one, np.float32).reshape(channels) for one in (mean, std))
    asked = {"x": ((pixels - means) / stds).astype(np.float32)}
    np.testing.assert_array_equal(folded.native(asked)["x"], pixels)
    (wanted,), (got,) = original.run(asked).values(), folded.run(folded.native(asked)).values()
    np.testing.assert_allclose(got, wanted, rtol=0.0, atol=1e-3 * max(1.0, np.abs(wanted).max()))


def test_what_is_no_pixel_is_the_nearest() -> None:
    found = Pixels((127.0,) * 3, (128.0,) * 3, channels_first=False).of(
        np.array([[[[np.nan, -np.inf, 1e30]]]], np.float32)
    )
    assert found[0, 0, 0, 1:].tolist() == [0, 255]
