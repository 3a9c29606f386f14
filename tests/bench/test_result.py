"""What is told of a measurement: also what it lacks, and what does not fit."""

import json
import re

import pytest

from zeropoint.bench.cost import Size
from zeropoint.bench.measure import ColdStart, Measured, Warm
from zeropoint.bench.result import Result

FOUND = Measured(
    variant="original",
    digest="sha256:" + "a" * 64,
    processors=(1, 1),
    shared=False,
    cold=ColdStart([200.0, 400.0, 300.0], 250.0, {"process": 150.0, "total": 290.0}),
    one=Warm(1, 100.0, 10.0, 12.0, 9.5, [0.01] * 100),
    many=Warm(8, 200.0, 40.0, 60.0, 9.0, [0.04] * 200),
    requests=301,
    pss_bytes=100 * 2**20,
)


SMALL = Size(1, 512)


def told(found: Measured, size: Size = SMALL) -> str:
    return "\n".join(Result("cats", "1", "cat.jpg", found, size).lines())


def test_the_median_counts() -> None:
    text = told(FOUND)
    assert "cold start    300 ms" in text
    assert "3 of them took 200 to 400" in text
    assert "of which    process 150\n" in text
    bill = Result("cats", "1", "cat.jpg", FOUND, SMALL).bills()["cold"]
    assert bill.request_based == pytest.approx(1000 * (0.3 * (0.000024 + 0.00000125) + 0.0000004))
    assert f"each a cold start         {bill.request_based:13.5f} " in text
    assert "it " not in text.partition("Cloud Run")[0].partition("memory")[2]


def test_tokens_are_told_of_a_model_that_writes() -> None:
    one, many = (warm._replace(tokens_per_s=51.25) for warm in (FOUND.one, FOUND.many))
    text = told(FOUND._replace(one=one, many=many))
    assert re.search(r"^1 caller .*  51\.2$", text, re.M)
    assert "CPU ms  tokens/s\n" in text
    assert "tokens" not in told(FOUND)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"pss_bytes": 600 * 2**20}, "it does not fit in 512 MiB"),
        ({"pss_bytes": None}, "memory and CPU: not told here"),
        ({"processors": (0, 0)}, "the server had no processors of its own"),
        ({"shared": True}, "the callers ran on the server's processors"),
    ],
)
def test_what_is_amiss_is_told(change: dict[str, object], expected: str) -> None:
    assert expected in told(FOUND._replace(**change))  # type: ignore[arg-type]
    assert expected not in told(FOUND)


def test_an_instance_larger_than_this_machine_is_told() -> None:
    assert "the server had 1 of 4 processors" in told(FOUND, Size(4, 2048))


def test_a_thing_that_is_not_known_is_a_dash_or_null() -> None:
    nothing = FOUND._replace(
        cold=FOUND.cold._replace(cpu_ms=None), one=FOUND.one._replace(cpu_ms=None), pss_bytes=None
    )
    assert "12.00         -" in told(nothing)
    document = json.loads(json.dumps(Result("cats", "1", "a", nothing, SMALL).document()))
    assert document["warm"][0]["cpu_ms"] is None
    assert document["memory"]["pss_bytes"] is None
    assert "walls_s" not in document["warm"][0]
