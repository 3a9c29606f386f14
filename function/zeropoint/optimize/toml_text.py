"""model.toml as text: a variant and a gate go in, and all else stays as its author wrote it."""

import json
import re
import tomllib
from typing import Any

from zeropoint.errors import ManifestError
from zeropoint.manifest import FILENAME, Gate, Variant

_TABLE = re.compile(r"^[ \t]*\[\[?([^\[\]\n]+)\]\]?[ \t]*(#.*)?$", re.M)


def with_variant(toml: str, variant: Variant, gate: Gate) -> str:
    """Returns a model.toml with this variant before others and this gate, all else as it was.

    Raises:
        ManifestError: it writes them in a way that cannot be edited, such as an inline table.
    """
    rest = _without_tables(without_variant(toml, variant.name), "gate")
    requires = f"requires = {_text(list(variant.requires))}\n" if variant.requires else ""
    threads = f"threads = {variant.threads}\n" if variant.threads else ""
    rows = f"max_batch = {variant.max_batch}\n" if variant.max_batch else ""
    alone = "alone = true\n" if variant.alone else ""
    added = (
        f"[[variant]]\nname = {_text(variant.name)}\n"
        f"file = {{ path = {_text(variant.file.path)}, sha256 = {_text(variant.file.sha256)} }}\n"
        f"{requires}{threads}{rows}{alone}"
    )
    held = (
        f"[gate]\nmetric = {_text(gate.metric)}\nmax_drop = {float(gate.max_drop)!r}\n"
        f"reason = {_text(gate.reason)}\n"
    )
    others = [span for name, span in _spans(rest) if name == "variant"]
    place = others[0][0] if others else len(rest)
    head, tail = rest[:place].rstrip("\n"), rest[place:].lstrip("\n").rstrip("\n")
    blocks = [head, added.rstrip("\n"), tail, held.rstrip("\n")]
    after = "\n\n".join(block for block in blocks if block) + "\n"
    values = tomllib.loads(toml)
    kept = [one for one in values.get("variant", []) if one.get("name") != variant.name]
    wanted = {
        **values,
        "variant": [tomllib.loads(added)["variant"][0], *kept],
        "gate": tomllib.loads(held)["gate"],
    }
    _refuse_other(after, wanted)
    return after


def without_variant(toml: str, name: str) -> str:
    """Returns a model.toml without the variant of a name; all else as it was."""
    after = _without_tables(toml, "variant", name)
    values = tomllib.loads(toml)
    variants = [one for one in values.pop("variant", []) if one.get("name") != name]
    _refuse_other(after, {**values, **({"variant": variants} if variants else {})})
    return after


def _spans(toml: str) -> list[tuple[str, tuple[int, int]]]:
    """Returns each table's name and where it stands, the comments above the next one not in it."""
    heads = list(_TABLE.finditer(toml))
    ends = [head.start() for head in heads[1:]] + [len(toml)]
    found = []
    for head, end in zip(heads, ends, strict=True):
        kept = toml[head.start() : end].splitlines(keepends=True)
        while kept and (not kept[-1].strip() or kept[-1].lstrip().startswith("#")):
            kept.pop()
        found.append((head[1].strip(), (head.start(), head.start() + sum(map(len, kept)))))
    return found


def _without_tables(toml: str, table: str, name: str = "") -> str:
    for title, (start, end) in reversed(_spans(toml)):
        if title == table and (not name or _named(toml[start:end]) == name):
            toml = toml[:start].rstrip("\n") + "\n\n" + toml[end:].lstrip("\n")
    return toml.rstrip("\n") + "\n"


def _named(block: str) -> str:
    try:
        return str(tomllib.loads(block)["variant"][0].get("name"))
    except (tomllib.TOMLDecodeError, KeyError):
        return ""


def _text(value: Any) -> str:
    """Says a text or a list of texts as TOML does, which is here as JSON does."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _refuse_other(toml: str, wanted: dict[str, Any]) -> None:
    try:
        same = tomllib.loads(toml) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise ManifestError(
            f"{FILENAME}: expected [[variant]] and [gate] as tables with a head of their own,"
            " at the end of the file, got them written in another way"
        )
