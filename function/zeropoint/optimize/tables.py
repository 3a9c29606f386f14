"""A report's tables, for Markdown and for a terminal."""

from collections.abc import Mapping
from typing import Any

_COLUMNS = ("bytes", "load ms", "p50 ms", "pass CPU ms", "CPU ms", "of the original's")

Document = dict[str, Any]


def costs(told: Document) -> str:
    """Returns the candidates' costs as a table in Markdown, the original first."""
    metric = told["gate"]["metric"]
    heads = ("model", *_COLUMNS, metric, "points lost", "")
    rows = [heads, ("---",) + ("--:",) * (len(heads) - 2) + ("---",)]
    rows += _rows(told, "**{}**")
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def lines(told: Document) -> list[str]:
    """Returns the same for a terminal, the reasons below it."""
    heads = ("", *_COLUMNS, told["gate"]["metric"], "points lost", "")
    rows = [heads, *_rows(told, "{}")]
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads))]
    shown = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        shown.append("  ".join([*cells, row[-1]]).rstrip())
    return [*shown, *(f"{name}: {why}" for name, why in refusals(told))]


def _rows(told: Document, of_winner: str) -> list[tuple[str, ...]]:
    metric = told["gate"]["metric"]
    of_original = next(
        (
            one["figures"][f"{metric} of the original"]
            for one in told["candidates"]
            if f"{metric} of the original" in one["figures"]
        ),
        None,
    )
    rows = [("original", *_cost(told["original"]), _number(of_original), "", "")]
    for one in told["candidates"]:
        wins = one["name"] == told["winner"]
        verdict = "wins" if wins else "passes" if one["passes"] else "refused"
        rows.append(
            (
                of_winner.format(one["name"]) if wins else one["name"],
                *_cost(one),
                _number(one["figures"].get(metric)),
                _number(one["drop"], 2),
                verdict,
            )
        )
    return rows


def _cost(one: Mapping[str, Any]) -> tuple[str, ...]:
    size = f"{one['bytes']:,.0f}" if "bytes" in one else "-"
    names = ("load_ms", "p50_ms", "pass_cpu_ms", "cpu_ms")
    return size, *(_number(one.get(name), 3) for name in names), _number(one.get("cpu_ratio"), 2)


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:z.{digits}f}"


def refusals(told: Document) -> list[tuple[str, str]]:
    """Returns the candidates that are refused or could not be made, and why."""
    found = [(one["name"], "; ".join(one["reasons"])) for one in told["candidates"]]
    left_out = [text.partition(": ")[::2] for text in told["left_out"]]
    return [(name, why) for name, why in [*found, *left_out] if why]


def figures(told: Document) -> str:
    """Returns every figure of agreement as a table in Markdown."""
    names = list(dict.fromkeys(name for one in told["candidates"] for name in one["figures"]))
    rows = [["model", *names], ["---", *["--:"] * len(names)]]
    for one in told["candidates"]:
        rows.append([one["name"], *(_number(one["figures"].get(name)) for name in names)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
