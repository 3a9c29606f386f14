"""What a server does when more comes than it can answer."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from slow_server import Slow, ask, slow_server, wait_for_queue


@pytest.fixture(params=[20])
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Slow]:
    """A slow server with a place for results; the parameter is its time limit."""
    settings = {
        "ZEROPOINT_TIMEOUT_S": str(request.param),
        "ZEROPOINT_RESULTS": (tmp_path / "results").as_uri(),
    }
    with slow_server(tmp_path / "models", **settings) as running:
        yield running


def test_a_full_queue_answers_429_in_each_protocols_shape(slow: Slow) -> None:
    server, turns = slow
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, server, turns, 3) for _ in range(3)]
        wait_for_queue(server, 3)
        native = ask(server, 1)
        bigquery = requests.post(server.url + "/bigquery", json={"calls": [[1]]}, timeout=10.0)
        tensor = {"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}
        v2 = requests.post(
            server.url + "/v2/models/slow/infer", json={"inputs": [tensor]}, timeout=10.0
        )
        assert requests.get(server.url + "/livez", timeout=10.0).ok
        assert requests.get(server.url + "/readyz", timeout=10.0).ok
        assert [one.result().json()["predictions"] for one in waiting] == [[{"y": 1.0}] * 3] * 3
    message = "expected at most 3 requests at once for this model"
    error = {"code": "overloaded", "message": message, "retryable": True}
    assert native.json() == {"error": error}
    assert bigquery.json() == {"errorMessage": f"overloaded: {message}"}
    assert v2.json() == {"error": message}
    for refused in (native, bigquery, v2):
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert ask(server, 1).ok


def test_an_event_that_is_refused_now_comes_again_and_is_no_error(
    slow: Slow, tmp_path: Path
) -> None:
    server, turns = slow

    def deliver() -> requests.Response:
        headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/busy", "ce-type": "a"}
        event = {"instances": [1]}
        return requests.post(server.url + "/events", json=event, headers=headers, timeout=60.0)

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, server, turns, 3) for _ in range(3)]
        wait_for_queue(server, 3)
        assert deliver().status_code == 429
        assert all(one.result().ok for one in waiting)
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    again = deliver()
    assert (again.status_code, again.json()["outcome"]) == (200, "written")


def test_the_time_to_stay_away_is_what_the_queue_will_take(slow: Slow) -> None:
    server, turns = slow
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, server, turns, count) for count in (10, 2, 2)]
        wait_for_queue(server, 3)
        refused = ask(server, 1)
        began_s = time.monotonic()
        assert all(one.result().ok for one in waiting)
        took_s = time.monotonic() - began_s
    told_s = int(refused.headers["Retry-After"])
    assert told_s >= 2
    assert took_s / 3 < told_s < took_s * 3 + 1.0


@pytest.mark.parametrize("slow", [3], indirect=True)
def test_a_wait_beyond_the_deadline_is_refused_at_once(slow: Slow) -> None:
    server, turns = slow
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(ask, server, turns, 24)
        wait_for_queue(server, 1)
        began_s = time.monotonic()
        refused = ask(server, 1)
        assert time.monotonic() - began_s < 3.0
        assert refused.status_code == 429
        assert "within the deadline" in refused.json()["error"]["message"]
        assert int(refused.headers["Retry-After"]) > 3
        assert long.result().ok  # its turn came in time


def test_what_is_being_answered_at_sigterm_is_answered(slow: Slow) -> None:
    server, turns = slow
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, server, turns, 2)
        wait_for_queue(server, 1)
        assert server.stop() == 0
        assert len(answer.result().json()["predictions"]) == 2
