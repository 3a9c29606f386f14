"""The report of an optimization: what was tried, on what, and what came out."""

import importlib.metadata
import math
import platform
import statistics
import textwrap
from collections.abc import Sequence

from zeropoint import hardware
from zeropoint.manifest import Gate, Manifest
from zeropoint.optimize import tables
from zeropoint.optimize.gate import Trial, points
from zeropoint.optimize.measuring import LEAST_NOISE, Cost
from zeropoint.optimize.perplexity import MOST_WRITTEN, PERPLEXITY
from zeropoint.optimize.samples import DIGITS, Found, Parts
from zeropoint.optimize.tables import Document

_WIDTH = 100
_PACKAGES = ("zeropoint", "numpy", "onnx", "onnxruntime", "pillow", "tokenizers")


def document(
    manifest: Manifest,
    found: Found,
    parts: Parts,
    held: Gate,
    trials: Sequence[Trial],
    winner: Trial | None,
    left_out: Sequence[str] = (),
) -> Document:
    """Returns the report as JSON has it; without paths and names of this machine.

    Args:
        manifest: The artifact's.
        found: What the place of the samples has.
        parts: How they were split.
        held: The gate.
        trials: Of all candidates.
        winner: One of them, or none.
        left_out: Those that could not be made, and why.
    """
    judged = len(parts.judging)
    return {
        "model": manifest.name,
        "version": manifest.version,
        "task": manifest.task,
        "original_sha256": manifest.file.sha256,
        "winner": winner.name if winner else None,
        "gate": {"metric": held.metric, "max_drop": held.max_drop, "reason": held.reason},
        "one_sample_points": round(100.0 / judged, 3),
        "samples": {
            "read": len(found.samples),
            "refused": found.refused,
            "doubles": found.same,
            **{name: len(part) for name, part in parts._asdict().items()},
            "labelled_to_judge": sum(sample.label is not None for sample in parts.judging),
        },
        "original": _original(trials),
        "candidates": [_candidate(trial) for trial in trials],
        "left_out": list(left_out),
        "machine": {
            "architecture": platform.machine(),
            "features": sorted(hardware.features()),
            "threads": 1,
        },
        "packages": {"python": platform.python_version(), **_versions()},
        "seeds": "none: samples are split by their digests, and nothing is drawn by chance",
        "used": sorted(
            {one.digest[:DIGITS] for part in (parts.calibration, parts.tuning) for one in part}
        ),
    }


def markdown(told: Document) -> str:
    """Returns the report for people; beside it lies ``plot.svg``."""
    gate, samples, machine = told["gate"], told["samples"], told["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in told["packages"].items())
    hows = "".join(f"- `{one['name']}`: {one['how']}\n" for one in told["candidates"])
    refused = "".join(f"- `{name}`: {why}\n" for name, why in tables.refusals(told))
    refused = refused or "None.\n"
    said = f"The winner is `{told['winner']}`." if told["winner"] else "No candidate passed."
    rule = (
        f"A candidate passes if its {gate['metric']} is at most {points(gate['max_drop'])} worse"
        f" than the original's ({gate['reason']}), if it takes no more CPU time"
        f" ({LEAST_NOISE:.0%} is noise, or more where the rounds differ much), if it is not larger"
        " without being quicker, and if the known answer comes out."
    )
    writes = gate["metric"] == PERPLEXITY
    measured = (
        f"an answer's of at most {MOST_WRITTEN} tokens, and its pass the reading of the prompt"
        if writes
        else "a whole prediction's, and its pass the forward pass alone"
    )
    legend = (
        f'CPU time is {measured}, both with one thread; "of the original\'s" is the median of the'
        " ratios of rounds in which both took turns."
    )
    one = f" One of these is {points(told['one_sample_points'])}." * (not writes)
    split = (
        f"{samples['read']} samples ({samples['refused']} more were refused,"
        f" {samples['doubles']} were doubles): {samples['calibration']} calibrate,"
        f" {samples['tuning']} tune which layers stay as they are, and {samples['judging']} others"
        f" judge, {samples['labelled_to_judge']} of them with a label.{one} Seeds: {told['seeds']}."
    )
    features = ", ".join(machine["features"]) or "no known features"
    return f"""\
# {told["model"]} {told["version"]}, optimized

{said}
{_filled(rule)}

{tables.costs(told)}
{_filled(legend)}

![agreement against CPU time](plot.svg)

## Candidates

{hows}
## Refused

{refused}
## Agreement on the samples that judge

{tables.figures(told)}
## Samples

{_filled(split)}

## Machine

{_filled(f"{machine['architecture']} with {features}; {packages}.")}
"""


def _filled(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _original(trials: Sequence[Trial]) -> dict[str, float]:
    """Returns the original's cost: the median of its rounds beside each candidate."""
    costs = [trial.pair.original for trial in trials if trial.pair]
    if not costs:
        return {}
    told = {name: statistics.median(getattr(one, name) for one in costs) for name in Cost._fields}
    return {**told, "bytes": costs[0].bytes}


def _candidate(trial: Trial) -> Document:
    cost: Document = {"bytes": trial.size_bytes}
    if trial.pair:
        ratios = trial.pair.ratio._asdict().items()
        cost = {
            **trial.pair.candidate._asdict(),
            **{f"{name}_ratio": round(ratio, 4) for name, ratio in ratios},
            "noise": round(trial.pair.noise, 4),
            "rounds": trial.pair.rounds,
        }
    return {
        "name": trial.name,
        "how": trial.how,
        "requires": list(trial.requires),
        "threads": trial.threads,
        "alone": trial.alone,
        "passes": not trial.reasons,
        "reasons": list(trial.reasons),
        "drop": _finite(trial.drop),
        "figures": {name: _finite(value) for name, value in trial.figures.items()},
        **cost,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
