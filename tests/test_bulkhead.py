"""Places for those who wait for a store."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from zeropoint.bulkhead import Bulkhead
from zeropoint.errors import OverloadedError


@pytest.mark.parametrize(("max_queue", "most"), [(1, 1), (3, 1), (8, 2), (128, 32)])
def test_a_quarter_of_the_queue_may_wait(max_queue: int, most: int) -> None:
    bulkhead = Bulkhead(max_queue)
    inside, ended = Barrier(most + 1), Barrier(most + 1)

    def wait() -> None:
        with bulkhead.enter():
            inside.wait(30)
            ended.wait(30)

    with ThreadPoolExecutor(most) as pool:
        waiting = [pool.submit(wait) for _ in range(most)]
        inside.wait(30)
        with pytest.raises(OverloadedError, match=f"at most {most} requests") as told:
            bulkhead.enter().__enter__()
        assert told.value.retry_after_s == 5.0
        ended.wait(30)
        for one in waiting:
            one.result()


def test_a_place_is_free_again_after_an_error() -> None:
    bulkhead = Bulkhead(1)
    for _ in range(3):
        with pytest.raises(KeyError), bulkhead.enter():
            raise KeyError
