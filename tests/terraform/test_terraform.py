"""Terraform itself takes the module and its examples, and their own tests pass."""

import re
from pathlib import Path

import pytest

from terraform.stage import (
    EXAMPLES,
    SOURCE,
    copy,
    initialize,
    needs_stand_in,
    needs_terraform,
    plan,
    run,
    terraform,
)

TESTS = sorted(path.name for path in (SOURCE / "tests").glob("*.tftest.hcl"))

pytestmark = needs_terraform


def test_the_files_are_formatted(tmp_path: Path) -> None:
    done = run(copy(tmp_path), "fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", [".", *(f"examples/{name}" for name in EXAMPLES)])
def test_the_provider_takes_every_argument(folder: str, tmp_path: Path) -> None:
    said = terraform(initialize(copy(tmp_path) / folder), "validate")
    assert "Success!" in said
    assert "Warning" not in said, said


@pytest.mark.parametrize("name", TESTS)
def test_the_modules_own_tests_pass(name: str, tmp_path: Path) -> None:
    said = terraform(initialize(copy(tmp_path)), "test", f"-filter=tests/{name}")
    (passed,) = re.findall(r"^Success! (\d+) passed, 0 failed\.", said, re.M)
    written = (SOURCE / "tests" / name).read_text()
    assert int(passed) == len(re.findall(r"^run ", written, re.M)) > 0


@needs_stand_in
@pytest.mark.parametrize(
    "name", ["events", "minimal"]
)  # of the others there are tests of their own
def test_an_example_plans(name: str, tmp_path: Path) -> None:
    planned = plan(initialize(copy(tmp_path) / "examples" / name))
    changes = planned["resource_changes"]
    assert changes
    assert {action for one in changes for action in one["change"]["actions"]} <= {"create", "read"}


def test_the_readmes_example_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(
        r"^```hcl\n(module .*?)^```", (SOURCE / "README.md").read_text(), re.M | re.S
    )
    folder = copy(tmp_path) / "examples" / "readme"
    folder.mkdir()
    source = re.sub(r'(source += )"[^"]+"', r'\1"../.."', example)
    (folder / "main.tf").write_text(source)
    assert "Success!" in terraform(initialize(folder), "validate")
    (folder / "main.tf").write_text(example)
    assert terraform(folder, "fmt", "-diff") == ""


def test_only_one_provider_is_used(tmp_path: Path) -> None:
    said = terraform(initialize(copy(tmp_path)), "providers")
    assert set(re.findall(r"provider\[([^\]]+)\]", said)) == {
        "registry.terraform.io/hashicorp/google"
    }
