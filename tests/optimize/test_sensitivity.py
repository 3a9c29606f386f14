"""Which layers stay in floating point."""

import itertools
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from tiny_layers import convolutions, photos
from zeropoint.optimize import graphs, sensitivity
from zeropoint.optimize.quantizing import Quantizer
from zeropoint.optimize.sensitivity import Layer

SAMPLES = photos(6)


def fragile(folder: Path) -> Quantizer:
    """Returns the quantizer of a model of whose depthwise filters int8 leaves little."""
    model = graphs.fused(convolutions(), "basic")
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight).copy()
        if array.shape == (16, 1, 3, 3):
            array[:, :, 0, 0] = 40.0  # one large weight: the others round to nothing
            weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    return Quantizer(model, SAMPLES, folder, {})


def test_spans_cover_every_node_behind_the_first_layer(tmp_path: Path) -> None:
    model = fragile(tmp_path).model
    found = sensitivity.spans(model, SAMPLES[0])
    names = [node.name for node in model.graph.node]
    assert [name for span in found for name in span.nodes] == names
    assert len(found) == 4  # layers
    assert all(0.0 < span.cost <= 1.0 for span in found)


def test_as_few_as_the_judge_asks_for(tmp_path: Path) -> None:
    quantizer, asked = fragile(tmp_path), []

    def judge(nodes: frozenset[str]) -> float:
        asked.append(nodes)
        return 5.0 if len(asked) < 2 else 0.5

    found = sensitivity.chosen(quantizer, SAMPLES, judge, 1.0, lambda told: None)
    assert found == asked[-1]
    assert len(asked) == 2
    assert asked[0] < asked[1]


def test_the_smallest_drop_where_none_is_small_enough(tmp_path: Path) -> None:
    drops = iter([9.0, 7.0] + [8.0] * 20)
    asked = []

    def judge(nodes: frozenset[str]) -> float:
        asked.append(nodes)
        return next(drops)

    found = sensitivity.chosen(fragile(tmp_path), SAMPLES, judge, 1.0, lambda told: None)
    assert found == asked[1]


def test_no_more_layers_for_a_gain_that_hardly_shows(tmp_path: Path) -> None:
    drops = iter([9.0, 7.2] + [7.0] * 20)
    asked = []

    def judge(nodes: frozenset[str]) -> float:
        asked.append(nodes)
        return next(drops)

    found = sensitivity.chosen(fragile(tmp_path), SAMPLES, judge, 1.0, lambda told: None)
    assert found == asked[1]


def test_a_judge_that_refuses_all_is_an_answer_too(tmp_path: Path) -> None:
    def judge(nodes: frozenset[str]) -> float:
        return float("inf")

    found = sensitivity.chosen(fragile(tmp_path), SAMPLES, judge, 1.0, lambda told: None)
    assert isinstance(found, frozenset)


def test_the_same_layers_each_time(tmp_path: Path) -> None:
    found = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        quantizer = fragile(tmp_path / place)
        found.append(
            sensitivity.chosen(quantizer, SAMPLES, lambda nodes: 9.0 - len(nodes), 1.0, print)
        )
    assert found[0] == found[1]


@given(
    costs=st.lists(st.floats(0.001, 0.3), min_size=1, max_size=60),
    gains=st.lists(st.floats(-1.0, 3.0), min_size=60, max_size=60),
    alone=st.sets(st.integers(0, 59)),
)
def test_the_float_part_grows_from_the_ends_and_never_costs_too_much(
    costs: list[float], gains: list[float], alone: set[int]
) -> None:
    layers = [Layer((f"n{place}",), cost) for place, cost in enumerate(costs)]
    by_name = {layer.nodes[0]: gain for layer, gain in zip(layers, gains, strict=False)}
    first = frozenset(f"n{place}" for place in alone if place < len(layers))

    def clear_db(nodes: Collection[str]) -> float:
        return sum(by_name[name] for name in nodes)

    steps = list(sensitivity._growing(layers, first, clear_db))
    assert steps[0] == first
    assert all(before < after for before, after in itertools.pairwise(steps))
    assert all(clear_db(after) > clear_db(before) for before, after in itertools.pairwise(steps))
    for step in steps[1:]:
        assert sum(layer.cost for layer in layers if layer.nodes[0] in step) <= 0.4 + 1e-9
        inside = [place for place, layer in enumerate(layers) if layer.nodes[0] not in step]
        assert all(f"n{place}" in first for place in range(*_span(inside)) if place not in inside)


def _span(places: list[int]) -> tuple[int, int]:
    return (min(places), max(places) + 1) if places else (0, 0)


@pytest.mark.parametrize("ratio_db", [0.0, 20.0, 40.0])
def test_sqnr_is_signal_over_noise(ratio_db: float) -> None:
    signal = np.random.default_rng(0).normal(size=(1, 1000)).astype(np.float32)
    noisy = signal * np.float32(1 + 10 ** (-ratio_db / 20))
    found = sensitivity.sqnr_db([{"y": signal}], [{"y": noisy}])
    assert found == pytest.approx(ratio_db, abs=0.1)
