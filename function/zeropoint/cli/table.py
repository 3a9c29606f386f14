"""A prediction as lines for people."""

import json
import math
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from zeropoint.tasks import Prediction

_BAR = 24  # characters
_SHOWN = 4  # numbers of a long list


def lines(prediction: Prediction) -> Iterator[str]:
    """Yields a prediction's lines: bars, boxes, or a line for each key."""
    if not isinstance(prediction, dict):
        yield _short(prediction)
    elif rows := _objects(prediction, "top", "label", "probability"):
        for row in rows:
            yield _bar(row["label"], row["probability"])
    elif "detections" in prediction and prediction["detections"] == []:
        yield "nothing found"
    elif rows := _objects(prediction, "detections", "label", "score", "box"):
        width = max(len(row["label"]) for row in rows)
        for row in rows:
            corners = "  ".join(f"{corner:6.0f}" for corner in row["box"])
            yield f"{row['score']:6.1%}  {row['label']:<{width}}  {corners}"
    else:
        width = max(map(len, prediction), default=0)
        for key, value in prediction.items():
            first, *rest = _short(value).splitlines() or [""]
            yield f"{key:<{width}}  {first}"
            for line in rest:  # of a text
                yield f"{'':<{width}}  {line}"


def fitted(first: str, rest: str, gap: str = "  ", indent: int = 6) -> str:
    """Returns a line, or on a terminal that it does not fit, its first part and the rest below.

    Args:
        first: What stands alone if it must.
        rest: What is put below it, in lines that fit.
        gap: Between the two where they are one line.
        indent: Of the lines below, in characters.
    """
    line = first + gap + rest
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(line)
    if len(line) <= columns:
        return line
    margin = " " * indent
    below = textwrap.fill(
        rest, columns, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )
    return f"{first.rstrip()}\n{below}"


def _objects(prediction: dict[str, Any], key: str, *keys: str) -> list[dict[str, Any]]:
    """Returns the objects under a key if all have these keys; a model may name anything so."""
    rows = prediction.get(key)
    if not isinstance(rows, list):
        return []
    fit = all(isinstance(row, dict) and row.keys() >= set(keys) for row in rows)
    return rows if fit else []


def _bar(label: str, probability: float | None) -> str:
    if probability is None or not math.isfinite(probability):
        return f"{'-':>6}  {'':<{_BAR}}  {label}"
    bar = "█" * round(min(max(probability, 0.0), 1.0) * _BAR)
    return f"{probability:6.1%}  {bar:<{_BAR}}  {label}"


def _short(value: Any) -> str:
    """Says a JSON value in one line; of a long list its first values and its length."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        shown = [_short(one) for one in value[:_SHOWN]]
        if len(value) <= _SHOWN:
            return f"[{', '.join(shown)}]"
        return f"[{', '.join(shown)}, …] ({len(value)} values)"
    return json.dumps(value)
