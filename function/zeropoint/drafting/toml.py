"""Writes TOML with comments, as a person would lay out a model.toml."""

import json
import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

_WIDTH = 100  # characters of a line
_BARE_KEY = re.compile(r"^[A-Za-z0-9_-]+\Z")


def dumps(tables: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """Writes tables, so that `tomllib.loads` reads the same.

    Args:
        tables: What JSON can say but null, with str keys.
        comments: What stands above a key or table: ``image``, ``image.mean``, ``features.0.type``.
    """
    lines = [*_entries(tables, "", (), comments)]
    return "\n".join(lines).strip("\n") + "\n"


def _entries(
    table: Mapping[str, Any], place: str, header: tuple[str, ...], comments: Mapping[str, str]
) -> Iterator[str]:
    """Yields a table's own keys, and then the tables below it."""
    below = {}
    for key, value in table.items():
        line = f"{_key(key)} = {_inline(value)}"
        tables = isinstance(value, list) and value and all(isinstance(v, dict) for v in value)
        top = not header and (isinstance(value, dict) or tables)
        if top or (isinstance(value, dict) and value and len(line) > _WIDTH):
            below[key] = value
            continue
        yield from _comment(comments.get(f"{place}{key}", ""))
        yield line if len(line) <= _WIDTH or not isinstance(value, list) else _lined(key, value)
    for key, value in below.items():
        path = (*header, _key(key))
        tables = value if isinstance(value, list) else [value]
        name = "[" * (2 if isinstance(value, list) else 1)
        name += ".".join(path) + "]" * (2 if isinstance(value, list) else 1)
        for number, one in enumerate(tables):
            inner = f"{place}{key}.{number}." if isinstance(value, list) else f"{place}{key}."
            yield ""
            if number == 0:
                yield from _comment(comments.get(f"{place}{key}", ""))
            yield name
            yield from _entries(one, inner, path, comments)


def _comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        clean = "".join(one if one.isprintable() else "?" for one in line)
        yield from textwrap.wrap(
            clean, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
        )


def _lined(key: str, values: list[Any]) -> str:
    """Writes a long array in lines that are full."""
    lines, line = [], " "
    for value in map(_inline, values):
        if len(line) + len(value) + 2 > _WIDTH and line != " ":
            lines.append(line)
            line = " "
        line += f" {value},"
    return "\n".join([f"{_key(key)} = [", *lines, line, "]"])


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_inline(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if value != value else "inf" if value > 0 else "-inf"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _key(key: str) -> str:
    return key if _BARE_KEY.match(key) else _text(key)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
