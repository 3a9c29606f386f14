"""The comparison as pictures: a bar a contestant, and the range of its rounds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from compare import Found

_OURS, _FLOOR, _PEER = "#1f6f54", "#8a8f98", "#c58b2b"
_PANELS: list[tuple[str, str, Callable[["Found"], float]]] = [
    ("cold-start", "Spawn to the first right answer, s", lambda one: one.usual.cold_start_s),
    ("memory", "Memory after all requests, MB", lambda one: one.usual.memory_mb),
    ("cpu", "CPU time of a request, ms", lambda one: one.usual.cpu_ms),
    ("throughput", "Requests a second, 8 callers", lambda one: one.usual.requests_per_s),
]


def draw(found: Mapping[str, Sequence["Found"]], folder: Path) -> None:
    """Writes an SVG and a PNG with a panel a measure.

    Args:
        found: The rounds of each contestant.
        folder: Where to.
    """
    folder.mkdir(exist_ok=True)
    # No dates and no random ids in the file: the same figures give the same picture.
    mpl.rcParams["svg.hashsalt"] = "zeropoint"
    mpl.rcParams["svg.fonttype"] = "none"
    names = list(found)[::-1]
    figure, axes = plt.subplots(2, 2, figsize=(11, 0.75 * len(names)), sharey=True)
    for axis, (_, title, of) in zip(axes.flat, _PANELS, strict=True):
        values = {name: sorted(map(of, found[name])) for name in names}
        middles = [statistics.median(values[name]) for name in names]
        spans = [
            [middle - values[name][0] for name, middle in zip(names, middles, strict=True)],
            [values[name][-1] - middle for name, middle in zip(names, middles, strict=True)],
        ]
        colours = [_colour(name) for name in names]
        axis.barh(names, middles, xerr=spans, color=colours, ecolor="#44444488", height=0.7)
        axis.set_title(title, fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(folder / "compare.svg", metadata={"Date": None})
    figure.savefig(folder / "compare.png", dpi=110)
    plt.close(figure)


def _colour(name: str) -> str:
    if name.startswith("Zeropoint"):
        return _OURS
    return _FLOOR if name.startswith("floor") else _PEER
