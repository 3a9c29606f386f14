"""The table of 40: what each case promises, as the guide has it, and what became of its tests."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from servers import ROOT

COUNT = 40
FOLDER = Path(__file__).parent
GUIDE = ROOT / "docs" / "guides" / "reliability.md"
_ROW = re.compile(r"^\| (\d+) \| (.+?) \| \[\w+\]\((\S+)\) \|$", re.M)
_TEST = re.compile(r"\btest_(\d\d)_\w+")


def promised() -> dict[int, str]:
    """Returns what the guide promises, by the number of the case."""
    return {int(number): what for number, what, _ in _ROW.findall(GUIDE.read_text())}


def places() -> dict[int, Path]:
    """Returns the module in which the guide says that a case's tests are."""
    rows = _ROW.findall(GUIDE.read_text())
    return {int(number): (GUIDE.parent / path).resolve() for number, _, path in rows}


def number_of(test: str) -> int:
    """Returns the number of a test's case; 0: it is of none."""
    found = _TEST.search(test)
    return int(found[1]) if found else 0


def lines(tests: Iterable[tuple[str, str, float]]) -> Iterator[str]:
    """Yields the table's lines: of each case that was run, and how many of all have passed.

    Args:
        tests: Of each phase of each test its name, what became of it (empty: another phase tells)
            and its seconds.
    """
    outcomes: dict[int, list[str]] = {number: [] for number in range(1, COUNT + 1)}
    seconds = dict.fromkeys(outcomes, 0.0)
    for name, outcome, took_s in tests:
        number = number_of(name)
        if number in outcomes:
            outcomes[number] += [outcome] if outcome else []
            seconds[number] += took_s
    passed = 0
    for number, what in sorted(promised().items()):
        if not outcomes[number]:
            continue
        verdict = _verdict(outcomes[number])
        passed += verdict == "pass"
        count = outcomes[number].count("passed")
        yield f"{number:2}  {verdict:7}  {seconds[number]:6.1f} s  {count:3} passed  {what}"
    yield f"{passed} of {COUNT}"


def _verdict(outcomes: list[str]) -> str:
    if {"failed", "error", "xfailed", "xpassed"} & {*outcomes}:
        return "FAIL"
    if "skipped" in outcomes:
        return "skipped"
    return "pass"
