"""The tables of variables and outputs in terraform/README.md, made from what the files declare.

    python tests/terraform/tables.py

writes them anew; a test says when they have to be. It reads files as `terraform fmt` leaves them:
a block ends at its closing brace in the first column, and its own arguments are indented by two.
"""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parents[2] / "terraform"


class Block(NamedTuple):
    """A variable or an output: its name and its arguments, as they are written."""

    name: str
    arguments: dict[str, str]


def blocks(kind: str, folder: Path = SOURCE) -> list[Block]:
    """Returns the blocks of one kind, ``variable`` or ``output``, by name."""
    found = []
    for path in sorted(folder.glob("*.tf")):
        for name, body in re.findall(
            rf'^{kind} "(\w+)" {{\n(.*?)^}}', path.read_text(), re.M | re.S
        ):
            arguments = re.findall(r"^  (\w+) += (.*?)(?=^  [^\s})\]]|\Z)", body, re.M | re.S)
            found.append(Block(name, {key: value.strip() for key, value in arguments}))
    return sorted(found)


def variables(folder: Path = SOURCE) -> str:
    """Returns the table of variables, and behind it the type of each object."""
    rows = ["| variable | type | default | what |", "|---|---|---|---|"]
    objects = []
    for name, arguments in blocks("variable", folder):
        type_ = arguments["type"]
        default = arguments.get("default")
        if type_.startswith("object("):
            type_cell = f"[object](#{name})"
            objects += [f"#### `{name}`", "", "```hcl", textwrap.dedent(" " * 2 + type_), "```", ""]
        else:
            type_cell = f"`{type_}`"
        shown = "required" if default is None else f"`{default}`"
        rows.append(f"| `{name}` | {type_cell} | {shown} | {text(arguments)} |")
    return "\n".join([*rows, "", *objects])


def outputs(folder: Path = SOURCE) -> str:
    """Returns the table of outputs."""
    rows = ["| output | what |", "|---|---|"]
    rows += [f"| `{name}` | {text(arguments)} |" for name, arguments in blocks("output", folder)]
    return "\n".join(rows) + "\n"


def text(arguments: dict[str, str]) -> str:
    """Returns a description as a table's cell holds it."""
    quoted = arguments["description"]
    return re.sub(r'\\(["\\])', r"\1", quoted.strip('"')).replace("|", "\\|")


def renewed(readme: str) -> str:
    """Returns a document with its tables made anew."""
    for name, table in (("variables", variables()), ("outputs", outputs())):
        before, rest = readme.split(f"<!-- {name} -->\n")
        _, after = rest.split(f"<!-- /{name} -->")
        readme = f"{before}<!-- {name} -->\n{table}<!-- /{name} -->{after}"
    return readme


if __name__ == "__main__":
    readme = SOURCE / "README.md"
    readme.write_text(renewed(readme.read_text()))
