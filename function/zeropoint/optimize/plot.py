"""The report's plot: agreement against CPU time, and bytes as area."""

import io
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from zeropoint.optimize.tables import Document

_AREA = 900.0  # square points of the largest file
_GREY = "#5b6470"
_COLOURS = ("#1f77b4", "#d9822b", "#2e8b57", "#b3433b", "#7a5ba8", "#8c6d46", "#c2569b", "#17a2b8")
_MOST = 100.0  # points; a relative error may be any number


def svg(told: Document) -> bytes:
    """Returns the plot of a report; the same report gives the same bytes."""
    original = told["original"]
    points = [{"name": "original", "drop": 0.0, "passes": True, **original}] * bool(original)
    points += [one for one in told["candidates"] if "cpu_ms" in one and one["drop"] is not None]
    most_bytes = max([one["bytes"] for one in points], default=1)
    with mpl.rc_context({"svg.hashsalt": "zeropoint", "svg.fonttype": "path", "font.size": 10}):
        figure = Figure((8.0, 4.4), layout="constrained")
        axes = figure.subplots()
        for number, one in enumerate(points):
            colour = _GREY if one["name"] == "original" else _COLOURS[number % len(_COLOURS)]
            area = _AREA * one["bytes"] / most_bytes
            fill = colour if one["passes"] else "none"
            x, y = one["cpu_ms"], -min(one["drop"], _MOST)
            axes.scatter(x, y, area, facecolors=fill, edgecolors=colour, alpha=0.75, zorder=2)
            axes.scatter([], [], 70, facecolors=fill, edgecolors=colour, label=_told(one))
        limit = -told["gate"]["max_drop"]
        axes.axhline(limit, color=_GREY, linestyle="--", linewidth=1, zorder=1, label="the gate")
        axes.set_title(f"{told['model']}: {told['gate']['metric']} against CPU time", fontsize=11)
        axes.set_xlabel("CPU ms for each prediction, one thread")
        axes.set_ylabel("points gained or lost")
        axes.margins(y=0.2)
        axes.set_xlim(0.0, 1.12 * max([one["cpu_ms"] for one in points], default=1.0))
        axes.grid(alpha=0.25)
        figure.legend(
            loc="outside right center",
            frameon=False,
            fontsize=9,
            title="area: bytes\nhollow: refused",
            title_fontsize=9,
        )
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _told(one: dict[str, Any]) -> str:
    size_bytes = one["bytes"]
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{one['name']}, {size_bytes / scale:.1f} {unit}"
    return f"{one['name']}, {size_bytes:.0f} bytes"
