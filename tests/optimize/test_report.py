"""The report: JSON, Markdown, a table for the terminal and a plot."""

import json
import platform
import socket
from typing import Any
from xml.etree import ElementTree

import pytest

from zeropoint.manifest import Check, File, Gate, Manifest
from zeropoint.optimize import plot, report, tables
from zeropoint.optimize.gate import Trial
from zeropoint.optimize.measuring import Cost, Pair, Ratio
from zeropoint.optimize.samples import Found, Parts, Sample

DIGEST = "0" * 64
ORIGINAL = Cost(18_000_000, 21.0, 9.0, 5.6, 8.8)
LEFT_OUT = ["int4: left out: no MatMul"]
GATE = Gate("top-1 agreement", 5.0, "few photos judge")


def trial(name: str, cost: Cost, drop: float, *reasons: str) -> Trial:
    ratio = Ratio(
        cost.load_ms / ORIGINAL.load_ms,
        cost.pass_cpu_ms / ORIGINAL.pass_cpu_ms,
        cost.cpu_ms / ORIGINAL.cpu_ms,
    )
    figures = {"top-1 agreement": 1.0 - drop / 100, "max error": 0.1}
    pair = Pair(ORIGINAL, cost, ratio, 0.03, 25)
    return Trial(name, f"how {name} is made", (), cost.bytes, figures, drop, pair, reasons)


@pytest.fixture
def told() -> dict[str, Any]:
    """A report of four candidates, of which one wins and one could not be loaded."""
    trials = [
        trial("baked", Cost(18_100_000, 12.0, 8.8, 5.6, 8.7), 0.0),
        trial("int8", Cost(4_900_000, 14.0, 5.4, 2.9, 6.1), 17.0, "17.00 points worse"),
        trial("int8-mixed", Cost(5_200_000, 15.0, 5.6, 3.1, 6.3), 3.8),
        Trial("broken", "not at all", ("vnni",), 12, {}, None, None, ("it cannot be loaded",)),
    ]
    samples = [Sample(n, None, f"{n:016x}" + "0" * 48) for n in range(87)]
    parts = Parts(samples[:21], samples[21:42], samples[42:])
    manifest = Manifest(
        name="net",
        version="1",
        task="image-classification",
        license="CC0-1.0",
        file=File("model.onnx", DIGEST),
        check=Check("a.png", DIGEST, {"label": "a"}),
    )
    return report.document(manifest, Found(samples, 3, 2), parts, GATE, trials, trials[2], LEFT_OUT)


def test_the_json_tells_what_was_done_and_nothing_of_this_machine(told: dict[str, Any]) -> None:
    text = json.dumps(told, allow_nan=False)
    assert told["winner"] == "int8-mixed"
    assert told["samples"]["judging"] == 45
    assert told["one_sample_points"] == pytest.approx(100 / 45, abs=0.001)
    assert told["original"]["cpu_ms"] == 8.8
    assert told["packages"]["python"] == platform.python_version()
    assert len(told["used"]) == 42
    assert socket.gethostname() not in text
    assert "/" not in text


def test_the_markdown_has_every_candidate_and_reason(told: dict[str, Any]) -> None:
    text = report.markdown(told)
    assert "The winner is `int8-mixed`." in text
    assert "| **int8-mixed** | 5,200,000 | 15.000 | 5.600 | 3.100 | 6.300 | 0.72 |" in text
    assert "- `int8`: 17.00 points worse" in text
    assert "- `broken`: how" not in text
    assert "| broken | 12 | - | - | - | - | - | - | - | refused |" in text
    assert "One of these is 2.222 points" in text.replace("\n", " ")
    assert "\n\n\n" not in text


def test_a_model_that_writes_is_told_of_in_words_of_its_own(told: dict[str, Any]) -> None:
    assert "One of these is 2.222 points." in report.markdown(told)
    told["gate"]["metric"] = "perplexity"
    text = " ".join(report.markdown(told).split())
    assert "CPU time is an answer's of at most 64 tokens" in text
    assert "One of these is" not in text


def test_the_terminal_has_a_table_and_why_not(told: dict[str, Any]) -> None:
    lines = tables.lines(told)
    assert lines[1].startswith("original")
    assert lines[4].endswith("wins")
    assert lines[-3:-1] == ["int8: 17.00 points worse", "broken: it cannot be loaded"]
    assert lines[-1] == "int4: left out: no MatMul"


def test_no_winner_is_told(told: dict[str, Any]) -> None:
    assert "No candidate passed." in report.markdown({**told, "winner": None})


def test_the_plot_is_the_same_for_the_same_report(told: dict[str, Any]) -> None:
    drawn = plot.svg(told)
    assert drawn == plot.svg(told)
    root = ElementTree.fromstring(drawn)  # noqa: S314  drawn a line above
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_a_report_without_a_candidate_that_ran_is_drawn_too(told: dict[str, Any]) -> None:
    empty = {**told, "winner": None, "original": {}, "candidates": told["candidates"][3:]}
    assert plot.svg(empty)
    assert "| original | - | - |" in report.markdown(empty)
