"""A bounded queue: who is refused, and how long they are told to stay away."""

import time
from contextlib import ExitStack

import pytest

from zeropoint.admission import Admission
from zeropoint.errors import InvalidError, OverloadedError

NEVER_S = float("inf")


def answer(admission: Admission, seconds: float, instances: int = 1) -> None:
    with admission.admit(instances, NEVER_S) as answered:
        time.sleep(seconds)
        answered(instances)


def test_a_full_queue_refuses_and_says_how_long_it_takes() -> None:
    admission = Admission(max_queue=2)
    answer(admission, 0.1)
    with ExitStack() as stack:
        stack.enter_context(admission.admit(1, NEVER_S))
        stack.enter_context(admission.admit(30, NEVER_S))
        with pytest.raises(OverloadedError, match="at most 2 requests") as caught:
            stack.enter_context(admission.admit(1, NEVER_S))
    assert caught.value.status == 429
    assert caught.value.retryable
    assert 3.0 < caught.value.retry_after_s < 6.0  # 31 predictions, a tenth of a second each
    answer(admission, 0.0)
    assert admission.requests == 0


def test_a_wait_beyond_the_deadline_is_refused_before_it_begins() -> None:
    admission = Admission(max_queue=100)
    answer(admission, 0.1)
    with admission.admit(20, NEVER_S):
        with (
            pytest.raises(OverloadedError, match="within the deadline, got one of 2 s"),
            admission.admit(1, time.monotonic() + 1.0),
        ):
            pass
        with admission.admit(1, time.monotonic() + 10.0):
            pass


def test_nobody_is_refused_where_nobody_waits() -> None:
    admission = Admission(max_queue=1)
    answer(admission, 0.05)
    with admission.admit(10_000, time.monotonic() + 1.0):
        pass


def test_the_pace_follows_the_model() -> None:
    admission = Admission(max_queue=1)
    answer(admission, 0.2)
    for _ in range(100):
        answer(admission, 0.001)
    with (
        admission.admit(10, NEVER_S),
        pytest.raises(OverloadedError) as caught,
        admission.admit(1, NEVER_S),
    ):
        pass
    assert caught.value.retry_after_s < 0.2


def test_a_refused_request_leaves_the_queue_and_is_no_measure() -> None:
    admission = Admission(max_queue=1)
    with pytest.raises(InvalidError), admission.admit(1, NEVER_S):
        raise InvalidError("bad")
    assert admission.requests == 0
    with (
        admission.admit(10, NEVER_S),
        pytest.raises(OverloadedError) as caught,
        admission.admit(1, NEVER_S),
    ):
        pass
    assert caught.value.retry_after_s == 1.0  # nothing is known yet, but 0 would be a hammer


def test_a_turn_that_did_not_come_is_told_as_overload() -> None:
    admission = Admission(max_queue=1)
    with (
        pytest.raises(OverloadedError, match="a turn before the deadline"),
        admission.admit(1, NEVER_S),
    ):
        raise TimeoutError
    assert admission.requests == 0


def test_requests_without_instances_are_no_measure() -> None:
    admission = Admission(max_queue=2)
    answer(admission, 0.01)
    for _ in range(300):
        answer(admission, 0.0, 0)
    with admission.admit(10, NEVER_S), admission.admit(1, time.monotonic() + 2.0):
        pass


def test_what_a_long_request_has_answered_nobody_waits_for() -> None:
    admission = Admission(max_queue=2)
    with admission.admit(100, NEVER_S) as answered:
        time.sleep(0.2)
        answered(1)
        with pytest.raises(OverloadedError), admission.admit(1, time.monotonic() + 1.0):
            pass
        answered(98)
        with admission.admit(1, time.monotonic() + 1.0):
            pass
    assert (admission.requests, admission._instances) == (0, 0)
