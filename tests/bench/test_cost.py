"""The arithmetic of a bill: what holds for all sizes and times, and one bill by hand."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zeropoint.bench import cost, prices
from zeropoint.bench.cost import Size

SIZES = st.builds(
    Size, st.sampled_from([float(vcpus) for vcpus in prices.MEMORY_MIB]), st.floats(128, 32768)
)
TIMES_S = st.floats(1e-4, 3600)


def test_a_bill_by_hand() -> None:
    size = Size(1.0, 1024.0)
    bill = cost.lone(size, [0.012, 0.08, 0.11, 0.13])  # 100, 100, 200, 200 ms
    assert bill.billed_ms == pytest.approx(150.0)
    # 1,000 times 0.15 s of 0.000024 + 0.0000025, and 0.0000004 for the request.
    assert bill.request_based == pytest.approx(0.003975 + 0.0004)
    assert bill.instance_based == pytest.approx(1000 * 0.083 * 0.00002)
    assert cost.always_on(size) == pytest.approx(2_628_000 * 0.00002)


@pytest.mark.parametrize(
    ("seconds", "steps"), [(1e-9, 1), (0.1, 1), (0.1 + 1e-12, 1), (0.101, 2), (0.3, 3), (2.0, 20)]
)
def test_steps_that_have_begun_are_billed(seconds: float, steps: int) -> None:
    assert cost.steps(seconds) == steps


@given(TIMES_S)
def test_a_time_is_rounded_up_by_less_than_a_step(seconds: float) -> None:
    billed_s = cost.steps(seconds) * prices.STEP_S
    assert seconds - 1e-6 <= billed_s < max(seconds, 1e-9) + prices.STEP_S + 1e-6


@given(SIZES, st.integers(1, 1000))
def test_calls_within_a_step_are_billed_that_step_to_the_digit(size: Size, calls: int) -> None:
    assert cost.lone(size, [0.012] * calls).billed_ms == prices.STEP_S * 1000


@given(SIZES, TIMES_S, TIMES_S)
def test_what_takes_longer_costs_more(size: Size, one_s: float, other_s: float) -> None:
    shorter_s, longer_s = sorted((one_s, other_s))
    assume(longer_s > shorter_s * 1.001)
    assert cost.lone(size, [shorter_s]).request_based <= cost.lone(size, [longer_s]).request_based
    assert cost.cold(size, shorter_s).request_based <= cost.cold(size, longer_s).request_based
    shorter, longer = cost.busy(size, 1 / shorter_s), cost.busy(size, 1 / longer_s)
    assert shorter.request_based < longer.request_based
    assert (shorter.instance_based or 0.0) < (longer.instance_based or 0.0)


@given(TIMES_S, SIZES, st.floats(1.01, 8.0))
def test_a_larger_instance_costs_more(seconds: float, size: Size, times: float) -> None:
    larger = Size(size.vcpus * times, size.memory_mib * times)
    assert cost.lone(larger, [seconds]).request_based > cost.lone(size, [seconds]).request_based
    assert cost.always_on(larger) > cost.always_on(size)


@given(SIZES, TIMES_S, st.floats(0.01, 10_000))
def test_at_the_break_even_both_cost_the_same(size: Size, seconds: float, per_s: float) -> None:
    for bill in (cost.lone(size, [seconds]), cost.cold(size, seconds), cost.busy(size, per_s)):
        month = bill.break_even_per_month * bill.request_based / 1000
        assert month == pytest.approx(cost.always_on(size))
        assert bill.break_even_per_month == pytest.approx(bill.break_even_per_s * prices.MONTH_S)


@given(SIZES, st.floats(0.01, 10_000))
def test_one_instance_can_answer_as_much_as_the_break_even(size: Size, per_s: float) -> None:
    """Else an always-on instance would not do, and the comparison would be with several."""
    assert cost.busy(size, per_s).break_even_per_s <= per_s
    assert cost.lone(size, [1 / per_s]).break_even_per_s <= per_s


@given(SIZES, st.lists(TIMES_S, min_size=1, max_size=20))
def test_to_share_an_instance_never_costs_more(size: Size, walls_s: list[float]) -> None:
    shared = cost.busy(size, len(walls_s) / sum(walls_s)).request_based
    assert cost.lone(size, walls_s).request_based >= shared * (1 - 1e-4)
