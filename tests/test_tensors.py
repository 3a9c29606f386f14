"""What is joined is parted again as it was."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zeropoint.tensors import Tensors, join, split


def rows(counts: list[int], width: int) -> list[Tensors]:
    chance = np.random.default_rng(0)
    return [{"x": chance.normal(size=(n, width)), "y": chance.normal(size=n)} for n in counts]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(0, 3))
def test_join_and_split_are_each_others_inverse(counts: list[int], width: int) -> None:
    items = rows(counts, width)
    parts = split(join(items, {}), counts)
    assert len(parts) == len(items)
    for item, part in zip(items, parts, strict=True):
        for name in item:
            np.testing.assert_array_equal(part[name], item[name])


def test_shorter_rows_are_filled_up_behind_and_one_alone_is_passed_on() -> None:
    short, long = {"x": np.ones((1, 2))}, {"x": np.ones((2, 3))}
    assert join([short, long], {"x": 7.0})["x"].tolist() == [[1, 1, 7], [1, 1, 1], [1, 1, 1]]
    assert join([short], {"x": 7.0}) is short
