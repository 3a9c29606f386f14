"""What examples/complete would create, as text that a person reads and a test compares.

    ZEROPOINT_TERRAFORM_SETUP=… PYTHONPATH=tests python tests/terraform/inventory.py

writes it anew, for the reader of a change to see what it does. A value that the plan does not know
yet is shown by what it comes from: ``member <- google_service_account.runtime.member``.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from terraform.stage import SOURCE, copy, initialize, plan

INVENTORY = SOURCE / "examples" / "complete" / "inventory.txt"
_HEAD = """What `terraform plan` of this example creates: {} resources. A test holds it true.
Left out of each where it is the same: {}.
"""
_COMMON = ("labels", "location", "project", "user_labels")
_LONGEST = (
    200  # characters of a value: the middle of a longer one, such as a dashboard, is left out
)


def inventory(planned: dict[str, Any]) -> str:
    """Returns a plan's resources by address, each with the values that are written for it."""
    written = dict(expressions(planned["configuration"]["root_module"], ""))
    changes = [one for one in planned["resource_changes"] if one["mode"] == "managed"]
    common = most_common(change["change"]["after"] for change in changes)
    parts = []
    for change in sorted(changes, key=lambda one: str(one["address"])):
        after, unknown = change["change"]["after"], change["change"]["after_unknown"]
        own = {key: value for key, value in after.items() if common.get(key) != value}
        of_all = without_keys(change["address"])  # the instances of one resource are written once
        values = attributes("", own, unknown, written.get(of_all, {}))
        parts.append("\n    ".join([change["address"], *values]) + "\n")
    left_out = ", ".join(line for key in common for line in lines(key, common[key], {}, {}))
    return "\n".join([_HEAD.format(len(parts), left_out), *parts])


def most_common(values: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns of some attributes the value that the most resources have."""
    found: dict[str, list[Any]] = {key: [] for key in _COMMON}
    for one in values:
        for key in _COMMON:
            if one.get(key):
                found[key].append(one[key])
    return {key: max(all_, key=all_.count) for key, all_ in found.items() if all_}


def expressions(module: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the address of each resource of a module and those below, and how it is written."""
    for resource in module.get("resources", []):
        yield prefix + resource["address"], resource.get("expressions", {})
    for name, call in module.get("module_calls", {}).items():
        yield from expressions(call["module"], f"{prefix}module.{name}.")


def without_keys(address: str) -> str:
    """Returns an address without what stands in brackets: a count or a key of for_each."""
    kept, depth = "", 0
    for character in address:
        depth += character == "["
        kept += "" if depth else character
        depth -= character == "]"
    return kept


def attributes(prefix: str, value: Any, unknown: Any, written: Any) -> Iterator[str]:
    """Yields the lines of a resource or of one of its blocks."""
    for key in sorted({*value, *(unknown if isinstance(unknown, dict) else ())}):
        yield from lines(prefix + key, value.get(key), pick(unknown, key), pick(written, key))


def lines(name: str, value: Any, unknown: Any, written: Any) -> Iterator[str]:
    """Yields a line for each value of an attribute that is known or written; blocks are paths."""
    if unknown is True or (isinstance(unknown, list) and True in unknown):
        if isinstance(written, dict) and (sources := written.get("references")):
            yield f"{name} <- {' '.join(longest(sources))}"
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            path, own = name, item
            if len(value) > 1:
                own = {key: item[key] for key in item if key != "name"}
                path = f"{name}[{json.dumps(item['name']) if item.get('name') else index}]"
            found = attributes(f"{path}.", own, pick(unknown, index), pick(written, index))
            yield from list(found) or [f"{path} {{}}"]
    elif value is not None and value not in ([], {}):  # "" says something, as in a ttl
        shown = json.dumps(value, ensure_ascii=False, sort_keys=True)
        half = _LONGEST // 2
        yield f"{name} = {shown if len(shown) <= _LONGEST else f'{shown[:half]}…{shown[-half:]}'}"


def pick(tree: Any, key: str | int) -> Any:
    """Returns a part of a tree, or None where it ends."""
    if isinstance(tree, dict):
        return tree.get(str(key))
    if isinstance(tree, list) and isinstance(key, int) and key < len(tree):
        return tree[key]
    return None


def longest(references: list[str]) -> list[str]:
    """Returns references without those that others continue: a resource beside its attribute."""
    return [
        one for one in references if not any(o != one and o.startswith(one) for o in references)
    ]


def complete(folder: Path) -> str:
    """Plans examples/complete in a folder of its own, and returns its inventory."""
    return inventory(plan(initialize(copy(folder) / "examples" / "complete")))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        INVENTORY.write_text(complete(Path(temporary)))
