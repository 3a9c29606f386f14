"""The inventory of examples/complete is what its plan says."""

from pathlib import Path

from terraform.inventory import INVENTORY, complete
from terraform.stage import needs_stand_in, needs_terraform

pytestmark = [needs_terraform, needs_stand_in]


def test_the_inventory_is_the_plan_of_the_complete_example(tmp_path: Path) -> None:
    assert complete(tmp_path) == INVENTORY.read_text(), "run tests/terraform/inventory.py"
