"""The next token: the likeliest, or one by chance as the parameters say, the same for a seed."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zeropoint.generation.sampling import Sampler

NONE = np.empty(0, np.int64)
SCORES = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=600).map(
    lambda values: np.array(values, np.float32)
)


def kept(scores: NDArray[np.float32], temperature: float, top_k: int, top_p: float) -> list[int]:
    """Returns the tokens that may be chosen: plainly, by a sort of all."""
    order = sorted(range(len(scores)), key=lambda token: (-scores[token], token))
    order = order[: top_k or None]
    weights = np.exp((scores[order].astype(np.float64) - scores.max()) / temperature)
    sums = weights.cumsum()
    count = 1 + int((sums < top_p * sums[-1]).sum()) if top_p < 1 else len(order)
    return order[:count]


@given(SCORES)
def test_without_a_temperature_it_is_the_likeliest(scores: NDArray[np.float32]) -> None:
    assert Sampler(top_k=5, top_p=0.5).choose(scores, NONE) == scores.argmax()


@given(
    SCORES,
    st.floats(0.1, 5.0),
    st.integers(0, 700),
    st.floats(0.01, 1.0),
    st.integers(0, 2**32),
)
@example(np.array([0, 0, 1, 1], np.float32), 1.0, 1, 1.0, 0)  # of equal ones the first
def test_a_token_is_of_those_that_may_be_chosen(
    scores: NDArray[np.float32], temperature: float, top_k: int, top_p: float, seed: int
) -> None:
    sampler = Sampler(temperature, top_k, top_p, seed=seed)
    allowed = kept(scores, temperature, top_k, top_p)
    assert sampler.choose(scores, NONE) in allowed
    tokens, weights = sampler._candidates(scores)
    # At the border a sum may come out on either side by a rounding.
    assert abs(len(tokens) - len(allowed)) <= 1
    assert tokens.tolist()[: len(allowed)] == allowed[: len(tokens)]
    assert (np.diff(weights) <= 0).all()


@given(SCORES, st.integers(0, 2**32))
def test_a_seed_gives_the_same_choices(scores: NDArray[np.float32], seed: int) -> None:
    one, other = (Sampler(1.0, top_p=0.9, seed=seed) for _ in range(2))
    assert [one.choose(scores, NONE) for _ in range(5)] == [
        other.choose(scores, NONE) for _ in range(5)
    ]


def test_without_a_seed_choices_differ() -> None:
    scores = np.zeros(1000, np.float32)
    found = [[Sampler(1.0).choose(scores, NONE) for _ in range(3)] for _ in range(5)]
    assert len({tuple(one) for one in found}) > 1


def test_tokens_come_as_often_as_their_probabilities_say() -> None:
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])
    sampler = Sampler(1.0, seed=1)
    scores = np.log(probabilities).astype(np.float32)
    counts = Counter(sampler.choose(scores, NONE) for _ in range(20_000))
    found = np.array([counts[token] for token in range(4)]) / 20_000
    assert found == pytest.approx(probabilities, abs=0.015)


def test_a_temperature_sharpens_and_flattens() -> None:
    scores = np.array([1.0, 0.0], np.float32)

    def share(temperature: float) -> float:
        sampler = Sampler(temperature, seed=2)
        return sum(sampler.choose(scores, NONE) == 0 for _ in range(4_000)) / 4_000

    for temperature in (0.5, 1.0, 3.0):
        expected = 1 / (1 + np.exp(-1 / temperature))
        assert share(temperature) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("scores", "seen", "expected"),
    [
        ([2.0, 1.5, -1.0], [0], 1),  # 2 / 1.5 is less than 1.5
        ([2.0, 1.5, -1.0], [0, 0, 0, 1], 0),  # however often it stood there
        ([-1.0, -1.2, -9.0], [0], 1),  # -1 * 1.5 is less than -1.2
        ([2.0, 1.5, -1.0], [], 0),
    ],
)
def test_what_stood_there_already_is_penalized(
    scores: list[float], seen: list[int], expected: int
) -> None:
    given: Any = np.array(scores, np.float32)
    before = given.copy()
    sampler = Sampler(repetition_penalty=1.5)
    assert sampler.choose(given, np.array(seen, np.int64)) == expected
    assert (given == before).all()
