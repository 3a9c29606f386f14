"""How long things take, and how it is told."""

import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from servers import ROOT, environment
from zeropoint import timing
from zeropoint.timing import ColdStart, Timings

# https://www.w3.org/TR/server-timing/: names and values are tokens of RFC 9110
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
METRIC = rf"{TOKEN};dur={TOKEN}"
HEADER = re.compile(rf"({METRIC}(, {METRIC})*)?")


def test_steps_add_up_in_the_order_in_which_they_first_ran() -> None:
    timings = Timings()
    for step in ("queue", "prepare", "queue"):
        with timings.measure(step):
            time.sleep(0.01)
    assert list(timings) == ["queue", "prepare"]
    assert timings["queue"] >= 0.02
    assert 0.01 <= timings["prepare"] < timings["queue"]


def test_a_step_that_raises_is_measured_too() -> None:
    timings = Timings(execute=1.0)
    with pytest.raises(ZeroDivisionError), timings.measure("execute"):
        _ = 1 / 0
    assert timings["execute"] > 1.0


def test_the_header_is_in_milliseconds() -> None:
    timings = Timings(queue=0.0, prepare=0.0123456, execute=1.5)
    assert timings.header() == "queue;dur=0, prepare;dur=12.346, execute;dur=1500"
    assert timings.header("cold-").startswith("cold-queue;dur=0, cold-prepare;")
    assert timings.ms() == {"queue": 0.0, "prepare": 12.346, "execute": 1500.0}
    assert Timings().header() == ""


@settings(max_examples=50, deadline=None, database=None)
@given(strategies.dictionaries(strategies.sampled_from("abc"), strategies.floats(0.0, 1e6)))
def test_the_header_is_a_server_timing(steps: dict[str, float]) -> None:
    header = Timings(steps).header()
    assert HEADER.fullmatch(header)
    told = [float(metric.rpartition("=")[2]) for metric in header.split(", ") if metric]
    assert told == pytest.approx([1000 * s for s in steps.values()], rel=1e-5, abs=1e-3)


def test_a_process_knows_its_age(tmp_path: Path) -> None:
    script = (
        "import time; time.sleep(0.3); from zeropoint.timing import *;"
        "print(process_age_s(), ColdStart().total_s())"
    )
    said = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT / "function")}),
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout.split()
    age_s, total_s = map(float, said)
    assert 0.25 < age_s < 3
    assert age_s - 0.02 <= total_s < 3


def test_an_age_that_is_told_wrong_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_LONGEST_START_S", 0.0)
    assert timing.process_age_s() == 0.0
    assert 0.0 <= ColdStart().total_s() < 1.0


def test_one_answer_is_the_first() -> None:
    cold_start = ColdStart()
    together = threading.Barrier(8)

    def ask(_: int) -> bool:
        together.wait(10)
        return cold_start.is_first()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(8))) == [False] * 7 + [True]
    assert not cold_start.is_first()
    assert ColdStart().is_first()
