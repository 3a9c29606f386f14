"""Shares of a batch: every row is in one of them, whoever asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeropoint.batch.share import Share, of_task
from zeropoint.errors import SettingsError


@given(st.text(), st.integers(1, 50))
def test_every_row_is_in_one_share(row: str, count: int) -> None:
    assert sum(Share(index, count).has(row) for index in range(count)) == 1


def test_shares_are_about_as_large() -> None:
    counts = [sum(Share(index, 4).has(f"photo-{n}.jpg") for n in range(4000)) for index in range(4)]
    assert sum(counts) == 4000
    assert 900 < min(counts) <= max(counts) < 1100


def test_a_task_of_a_job_has_its_share() -> None:
    assert of_task({}) == Share(0, 1, again=False)
    task = {"CLOUD_RUN_TASK_INDEX": "2", "CLOUD_RUN_TASK_COUNT": "4"}
    assert of_task(task) == Share(2, 4, again=False)
    assert of_task({**task, "CLOUD_RUN_TASK_ATTEMPT": "1"}) == Share(2, 4, again=True)
    assert of_task(task).name == "-00002-of-00004"


@pytest.mark.parametrize(
    ("index", "count", "attempt"),
    [("4", "4", "0"), ("-1", "4", "0"), ("a", "4", "0"), ("0", "0", "0")],
)
def test_other_numbers_are_refused(index: str, count: str, attempt: str) -> None:
    task = {
        "CLOUD_RUN_TASK_INDEX": index,
        "CLOUD_RUN_TASK_COUNT": count,
        "CLOUD_RUN_TASK_ATTEMPT": attempt,
    }
    with pytest.raises(SettingsError, match="CLOUD_RUN_TASK_INDEX below"):
        of_task(task)
