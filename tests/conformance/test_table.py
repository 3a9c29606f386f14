"""The guide and the tests name the same forty cases."""

import re

from conformance import table


def test_the_guide_has_every_case_once_and_says_where_its_tests_are() -> None:
    assert sorted(table.promised()) == [*range(1, table.COUNT + 1)]
    for number, path in table.places().items():
        assert f"def test_{number:02}_" in path.read_text(), number


def test_every_test_of_a_case_is_where_the_guide_says() -> None:
    places = table.places()
    for path in table.FOLDER.glob("test_*.py"):
        for number in re.findall(r"^def test_(\d\d)_", path.read_text(), re.M):
            assert places[int(number)] == path, (number, path.name)


def test_the_table_tells_what_passed_failed_or_was_skipped() -> None:
    tests = [
        ("a.py::test_01_a", "passed", 1.0),
        ("a.py::test_01_b[x]", "passed", 0.5),
        ("a.py::test_01_b[x]", "", 0.2),  # its set-up
        ("a.py::test_02_a", "passed", 1.0),
        ("a.py::test_02_b", "failed", 1.0),
        ("a.py::test_03_a", "skipped", 0.0),
        ("a.py::test_04_a", "error", 0.0),
        ("a.py::test_of_no_case", "failed", 0.0),
    ]
    found = [*table.lines(tests)]
    assert [line[4:11].strip() for line in found[:-1]] == ["pass", "FAIL", "skipped", "FAIL"]
    assert found[0].split()[2:6] == ["1.7", "s", "2", "passed"]
    assert found[-1] == "1 of 40"
