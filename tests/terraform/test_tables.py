"""The tables of the README are what the files declare, and what they declare is told."""

import re
from pathlib import Path

import pytest

from terraform.stage import EXAMPLES, SOURCE
from terraform.tables import blocks, renewed

README = SOURCE / "README.md"
FOLDERS = [SOURCE, *(SOURCE / "examples" / name for name in EXAMPLES)]


def test_the_tables_of_the_readme_are_new() -> None:
    readme = README.read_text()
    assert readme == renewed(readme), "run python tests/terraform/tables.py"
    for block in (*blocks("variable"), *blocks("output")):
        assert f"\n| `{block.name}` |" in readme


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_variable_and_output_says_what_it_is(folder: Path) -> None:
    for kind, wanted in (("variable", "type"), ("output", "value")):
        found = blocks(kind, folder)
        declared = "".join(path.read_text() for path in folder.glob("*.tf"))
        assert len(found) == len(re.findall(rf"^\s*{kind}\s", declared, re.M))
        for block in found:
            description = block.arguments["description"]
            assert re.fullmatch(r'"[A-Z`].*\."', description), f"{block.name}: {description}"
            assert wanted in block.arguments, block.name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
@pytest.mark.parametrize("kind", ["variable", "output"])
def test_they_stand_in_the_order_of_the_alphabet(folder: Path, kind: str) -> None:
    for path in folder.glob("*.tf"):
        names = re.findall(rf'^{kind} "(\w+)"', path.read_text(), re.M)
        assert names == sorted(names), path
