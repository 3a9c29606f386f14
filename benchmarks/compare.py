"""Zeropoint side by side with the floor and its peers: one photo, one model, one machine.

    .venv/bin/python benchmarks/compare.py [--quick] [--write]

The floor is a bare process without a server. In each round every contestant starts anew, alone on
the machine, and the order moves on by one; its cold start is the median of three. A ratio is the
median of the rounds' own ratios, so that a machine whose speed drifts does not mislead.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import NamedTuple

from contestants import (
    ARTIFACT,
    HERE,
    ROOT,
    Contestant,
    bare,
    cache_folder,
    peers,
    without_variants,
    zeropoint,
)
from measure import CALLERS, Round, cold_start_s, measure
from processes import cpu_quota, forget

OURS, OURS_FP32 = "Zeropoint", "Zeropoint, fp32"
FLOOR, FLOOR_FP32 = "floor, int8", "floor, fp32"
BEGIN, END = "<!-- compare -->", "<!-- /compare -->"
README = HERE / "README.md"
_STARTS = 3  # in a round, of all one after the other, so that they are seconds apart


class Found(NamedTuple):
    """A contestant's round, and its cold starts under harder conditions where allowed."""

    usual: Round
    quota_s: float | None  # under a quota of one CPU
    forgotten_s: float | None  # with nothing of its files in the file cache


class Goal(NamedTuple):
    """A ratio to reach."""

    what: str
    of: Callable[[Found], float | None]
    other: str  # a contestant's name; "": the best of the peers
    ours: str
    most: bool  # whether the ratio may be at most the limit, or at least
    limit: float


def main() -> None:
    """Measures, prints the tables, and writes them and the plots where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, help="default 7; quick 3")
    parser.add_argument("--requests", type=int, help="of a round; default 1000; quick 400")
    parser.add_argument("--quick", action="store_true", help="us and the floor only")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md and plots/")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures")
    options = parser.parse_args()
    if options.quick and options.write:
        parser.error("--write keeps a whole run: not with --quick")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    rounds = options.rounds or (3 if options.quick else 7)
    count = options.requests or (400 if options.quick else 1000)
    with tempfile.TemporaryDirectory() as folder:
        everyone = [
            zeropoint(OURS, ROOT / "model_artifacts"),
            zeropoint(OURS_FP32, without_variants(Path(folder))),
            bare(FLOOR, ARTIFACT / "variants" / "int8-mixed.onnx"),
            bare(FLOOR_FP32, ARTIFACT / "model.onnx"),
        ]
        rivals = [] if options.quick else peers(cache_folder())
        found = compare([*everyone, *rivals], rounds, count)
    names = [one.name for one in rivals]
    text = report(found, names, rounds, count)
    print(text)
    if options.json:
        figures = {
            name: [{**one._asdict(), "usual": one.usual._asdict()} for one in many]
            for name, many in found.items()
        }
        options.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    if options.write:
        from plots import draw

        draw(found, HERE / "plots")
        old = README.read_text("utf-8")
        before, _, rest = old.partition(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")


def compare(everyone: Sequence[Contestant], rounds: int, count: int) -> dict[str, list[Found]]:
    """Measures all, in rounds; the first start of each is not counted, as it fills the caches."""
    found: dict[str, list[Found]] = {one.name: [] for one in everyone}
    for one in everyone:
        cold_start_s(one)
    files = {one.name: _files(one) for one in everyone}
    with cpu_quota(1.0) as quota:
        for turn in range(rounds):
            began_s = time.monotonic()
            at = turn % len(everyone)
            order = [*everyone[at:], *everyone[:at]]
            starts = [{one.name: cold_start_s(one) for one in order} for _ in range(_STARTS)]
            for one in order:
                start_s = statistics.median(each[one.name] for each in starts)
                usual = measure(one, count)._replace(cold_start_s=start_s)
                slow_s = cold_start_s(one, quota) if quota else None
                forget(files[one.name])
                found[one.name].append(Found(usual, slow_s, cold_start_s(one)))
            took_s = time.monotonic() - began_s
            print(f"round {turn + 1} of {rounds}: {took_s:.0f} s", file=sys.stderr, flush=True)
    return found


def report(found: dict[str, list[Found]], rivals: Sequence[str], rounds: int, count: int) -> str:
    """Returns the table of medians and that of the goals, in Markdown."""
    lines = [
        f"{_machine()}. {rounds} rounds of {count} requests, a quarter of them with one caller,"
        f" the others with {CALLERS}.",
        "",
        "| | cold start s | 1 CPU | files not cached | memory MB | CPU ms/request | requests/s"
        " | p50 ms, 1 caller | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, many in found.items():
        middle = [
            _seconds(statistics.median(one.usual.cold_start_s for one in many)),
            _seconds(_median_of(many, lambda one: one.quota_s)),
            _seconds(_median_of(many, lambda one: one.forgotten_s)),
            *(
                f"{statistics.median(getattr(one.usual, key) for one in many):.{digits}f}"
                for key, digits in (
                    ("memory_mb", 0),
                    ("cpu_ms", 1),
                    ("requests_per_s", 0),
                    ("p50_ms", 1),
                    ("busy_p50_ms", 0),
                    ("busy_p99_ms", 0),
                )
            ),
        ]
        lines.append(f"| {name} | {' | '.join(middle)} |")
    lines += ["", "| what | against | goal | reached | |", "|---|---|---|---|---|"]
    for goal in _goals(bool(rivals)):
        against, ratio = _ratio(goal, found, rivals)
        if ratio is None:
            continue
        met = ratio <= goal.limit if goal.most else ratio >= goal.limit
        sign = "≤" if goal.most else "≥"
        lines.append(
            f"| {goal.what} | {against} | {sign} {goal.limit:g} | {ratio:.2f}"
            f" | {'met' if met else 'not met'} |"
        )
    return "\n".join(lines)


def _goals(with_peers: bool) -> list[Goal]:
    def cold(one: Found) -> float:
        return one.usual.cold_start_s

    def memory(one: Found) -> float:
        return one.usual.memory_mb

    def cpu(one: Found) -> float:
        return one.usual.cpu_ms

    def rate(one: Found) -> float:
        return one.usual.requests_per_s

    goals = []
    if with_peers:
        goals += [
            Goal("cold start", cold, "", OURS, True, 0.45),
            Goal("cold start, 1 CPU", lambda one: one.quota_s, "", OURS, True, 0.5),
            Goal("cold start, files not cached", lambda one: one.forgotten_s, "", OURS, True, 0.5),
            Goal("memory", memory, "", OURS, True, 0.5),
            Goal("CPU ms", cpu, "", OURS, True, 0.5),
            Goal("requests/s", rate, "", OURS, False, 1.8),
        ]
    for ours, floor in ((OURS, FLOOR), (OURS_FP32, FLOOR_FP32)):
        goals += [
            Goal("cold start", cold, floor, ours, True, 1.35),
            Goal("memory", memory, floor, ours, True, 1.4),
            Goal("CPU ms", cpu, floor, ours, True, 1.0),
            Goal("requests/s", rate, floor, ours, False, 0.95),
            Goal("one caller's p50", lambda one: one.usual.p50_ms, floor, ours, True, 1.1),
        ]
    p99 = Goal("p99", lambda one: one.usual.busy_p99_ms, OURS, OURS, True, 3.0)
    return [*goals, p99]


def _ratio(
    goal: Goal, found: dict[str, list[Found]], rivals: Sequence[str]
) -> tuple[str, float | None]:
    """Returns whom a goal is measured against, and the median of the rounds' ratios."""
    ours = found[goal.ours]
    if goal.other == goal.ours:
        spreads = [one.usual.busy_p99_ms / one.usual.busy_p50_ms for one in ours]
        return "its own p50", statistics.median(spreads)
    middles = {
        name: middle
        for name in ([goal.other] if goal.other else rivals)
        if (middle := _median_of(found[name], goal.of)) is not None
    }
    if not middles:
        return "", None
    best = (min if goal.most else max)(middles, key=lambda name: middles[name])
    ratios = [
        mine / theirs
        for one, other in zip(ours, found[best], strict=True)
        if (mine := goal.of(one)) is not None and (theirs := goal.of(other)) is not None
    ]
    return best, statistics.median(ratios)


def _median_of(many: Sequence[Found], of: Callable[[Found], float | None]) -> float | None:
    values = [value for one in many if (value := of(one)) is not None]
    return statistics.median(values) if values else None


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _files(contestant: Contestant) -> list[Path]:
    """Returns the files that a contestant may read as it starts, Python's own among them."""
    library = Path(os.__file__).parent
    packages = library / "site-packages", library / "dist-packages"  # a contestant has its own
    own = [
        path
        for path in library.rglob("*")
        if path.is_file() and not any(path.is_relative_to(one) for one in packages)
    ]
    folders = (folder.rglob("*") for folder in contestant.folders)
    return [*own, *(path for folder in folders for path in folder if path.is_file())]


def _machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    packages = ", ".join(f"{name} {installed(name)}" for name in ("onnxruntime", "pillow", "numpy"))
    return (
        f"{time.strftime('%Y-%m-%d')}, {len(os.sched_getaffinity(0))} cores of {model},"
        f" {platform.system()} {platform.release().partition('-')[0]}, Python"
        f" {platform.python_version()}, {packages}"
    )


if __name__ == "__main__":
    main()
