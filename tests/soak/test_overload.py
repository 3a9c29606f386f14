"""Ten times as much as can be answered: as many are answered as before, in time, and the rest told.

In the short form other tests run beside it, so that less must be kept of the capacity. Photos are
answered with all processors that there are; what sends and refuses ten times as many would need
some of its own, so that of them three times as many come, and less must be kept, too.
"""

import json
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from conftest import CAT
from servers import Server
from soak import arrivals
from soak.process import SOAK_S
from tiny_models import write_slow_model
from zeropoint.artifact import LocalRepository
from zeropoint.bench import load as closed_loop
from zeropoint.loader import load
from zeropoint.settings import Settings

SECONDS = min(SOAK_S, 60.0) or 4.0
TIMEOUT_S = 2.0
PASS_S = 0.025  # of the slow model
PASSED_S = 0.5 if SOAK_S else 1.0  # for a pass that began before the deadline, and its way back


class Loaded(NamedTuple):
    """A server, and the request that it is loaded with."""

    server: Server
    message: bytes
    times: int  # as many come as are answered
    kept: float  # of those that are answered


@pytest.fixture(params=["tensors", "photos"] if SOAK_S else ["tensors"])
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loaded]:
    """A server whose passes have one processor of two."""
    settings = {"ZEROPOINT_CPUS": "1", "ZEROPOINT_TIMEOUT_S": str(TIMEOUT_S)}
    if request.param == "photos":
        message = closed_loop.message("POST", "/predict", CAT.read_bytes(), "image/jpeg")
        times, kept = 3, 0.65
    else:
        write_slow_model(tmp_path)
        settings["ZEROPOINT_MODELS"] = str(tmp_path)
        body = json.dumps({"instances": [turns_of(tmp_path)]}).encode()
        message = closed_loop.message("POST", "/predict", body, "application/json")
        times, kept = 10, 0.9 if SOAK_S else 0.7
    with Server(settings) as server:
        server.wait_until_ready()
        yield Loaded(server, message, times, kept)


def turns_of(repository: Path) -> int:
    """Returns how many turns of the slow model take `PASS_S`."""
    model = load(LocalRepository(repository), "slow", Settings(cpus=1))
    began_s = time.monotonic()
    model.answer([50])
    return max(1, round(50 * PASS_S / (time.monotonic() - began_s)))


def capacity(loaded: Loaded) -> float:
    """Returns the most answers a second: of four callers who ask again as they are answered."""
    return closed_loop.run(loaded.server.port, [loaded.message], 4, max(2.0, SECONDS / 6)).per_s


def latency_s(loaded: Loaded) -> float:
    """Returns the median time of a request when there is no other."""
    return closed_loop.run(loaded.server.port, [loaded.message], 1, 1.0).percentile_ms(0.5) / 1000


class Probes:
    """Asks /livez every half second, as a platform does that restarts what does not answer."""

    def __init__(self, url: str) -> None:
        self.took_s: list[float] = []
        self._url = url + "/livez"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Probes":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.5):
            began_s = time.monotonic()
            ok = requests.get(self._url, timeout=30).ok
            self.took_s.append(time.monotonic() - began_s if ok else float("inf"))


def test_goodput_stays_and_latency_comes_back(loaded: Loaded) -> None:
    port = loaded.server.port
    latency_s(loaded)  # what is made once is made
    alone_s, before = latency_s(loaded), capacity(loaded)
    with Probes(loaded.server.url) as probes:
        outcomes = arrivals.run(port, loaded.message, loaded.times * before, SECONDS)
    time.sleep(5.0)
    later_s, after = latency_s(loaded), capacity(loaded)
    answered = [one for one in outcomes if one.status == 200]
    refused = [one for one in outcomes if one.status != 200]
    # Those whose answer came while the others still arrived.
    good = sum(one.sent_s + one.took_s <= SECONDS for one in answered) / SECONDS
    longest_s = max(one.took_s for one in answered)
    refusals_s = statistics.median(one.took_s for one in refused)
    print(
        f"\ncapacity {before:.1f} and {after:.1f}/s, {len(outcomes) / SECONDS:.0f}/s came:"
        f" goodput {good:.1f}/s, longest {longest_s:.2f} s,"
        f" {len(refused)} refused in {refusals_s * 1000:.1f} ms (median);"
        f" alone {alone_s * 1000:.1f} ms, 5 s later {later_s * 1000:.1f} ms;"
        f" probes at most {max(probes.took_s) * 1000:.0f} ms"
    )
    assert len(outcomes) > 0.8 * loaded.times * before * SECONDS
    assert {one.status for one in refused} == {429}
    assert all(1 <= int(one.retry_after) <= 60 for one in refused)
    assert good >= loaded.kept * min(before, after)
    assert longest_s <= TIMEOUT_S + PASSED_S
    assert later_s <= 2.0 * alone_s + 0.005
    assert max(probes.took_s) < 1.0
