"""SECURITY.md names tests that there are, and settings that there are."""

import re

from servers import ROOT
from zeropoint import settings

TEXT = (ROOT / "SECURITY.md").read_text()
TABLE = TEXT.split("<!-- defences -->")[1].split("<!-- /defences -->")[0]
ROWS = [line.strip("| ").split(" | ") for line in TABLE.strip().splitlines()[2:]]


def test_every_threat_has_a_defence_and_a_test() -> None:
    assert len(ROWS) > 20
    for row in ROWS:
        assert len(row) == 3, row
        assert re.findall(r"case \d+|\]\(t\w+/[^)]+\)", row[2]), row


def test_every_case_that_it_names_has_its_test() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for number in re.findall(r"[Cc]ase (\d+)", TABLE):
        assert re.search(rf"^def test_{int(number):02}_", sources, re.M), number


def test_every_place_that_it_names_has_tests() -> None:
    for place in re.findall(r"\]\(([^)#]+)\)", TABLE):
        path = ROOT / place
        files = [path] if path.is_file() else list(path.glob("*test*"))
        assert files, place
        assert any("test_" in one.read_text() or 'run "' in one.read_text() for one in files), place


def test_every_setting_that_it_names_is_one() -> None:
    known = {row.variable for row in settings.table()}
    assert set(re.findall(r"ZEROPOINT_\w+", TEXT)) <= known
