"""Measure every model on held-out data, and compare with its card: `make models-report`.

    python model_artifacts/recipes/report.py [NAME]...

A model's ``recipe/evaluate.py`` measures it by way of Zeropoint's own three steps, the original and
each variant that this machine can run; its card has the same figures in the table under "Accuracy".
"""

import argparse
import importlib.util
import re
import sys
from pathlib import Path

from isolated import MODELS, cache_folder
from zeropoint import hardware, session
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.loader import load
from zeropoint.manifest import ORIGINAL
from zeropoint.settings import Settings

_ROW = re.compile(r"^\|[ ]?(.+?)[ ]?\|$", re.M)
# Processors differ in the last bits of a sum, and so may an answer at its threshold.
_TOLERANCE = 0.005


def names() -> list[str]:
    """Returns the models that can be measured."""
    return sorted(path.parent.parent.name for path in MODELS.glob("*/recipe/evaluate.py"))


def told(name: str) -> dict[str, dict[str, float]]:
    """Returns the figures of a model's card for each of its files: original and variants."""
    card = (MODELS / name / "card.md").read_text("utf-8").partition("## Accuracy")[2]
    rows = [found.split(" | ") for found in _ROW.findall(card.partition("## ")[0])]
    (_, *files, _), _, *rows = rows  # between what is measured, and on what; a line of dashes
    return {
        ORIGINAL if file == "value" else file: {row[0]: float(row[place]) for row in rows}
        for place, file in enumerate(files, 1)
    }


def measured(name: str, file: str, work: Path) -> dict[str, float]:
    """Measures a model.

    Args:
        name: The model's.
        file: Which of its files.
        work: The folder for downloads.
    """
    path = MODELS / name / "recipe" / "evaluate.py"
    spec = importlib.util.spec_from_file_location("evaluate", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = load(LocalRepository(MODELS), name, Settings(), variant=file)
    found: dict[str, float] = module.evaluate(model, work)
    return found


def main() -> int:
    """Prints a table; the exit status is 1 where a card says something else."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=names())
    wrong = 0
    print("| model | file | measure | measured | its card |\n|---|---|---|---|---|")
    for name in parser.parse_args().names:
        for file, card in told(name).items():
            if file not in _runnable(name):
                print(f"| {name} | {file} | not on this machine | - | - |")
                continue
            found = measured(name, file, cache_folder() / "downloads")
            for measure in sorted(card.keys() | found.keys(), key=[*card, *found].index):
                here, there = found.get(measure), card.get(measure)
                same = here is not None and there is not None and abs(here - there) <= _TOLERANCE
                wrong += not same
                cells = ("-" if one is None else f"{one:.3f}" for one in (here, there))
                end = "" if same else " differs"
                print(f"| {name} | {file} | {measure} | {' | '.join(cells)} |{end}", flush=True)
    return 1 if wrong else 0


def _runnable(name: str) -> set[str]:
    """Returns which of a model's files run right on this machine."""
    able = hardware.features() | session.providers()
    variants = Artifact(LocalRepository(MODELS), name).manifest.variant
    return {ORIGINAL, *(one.name for one in variants if able.issuperset(one.requires))}


if __name__ == "__main__":
    sys.exit(main())
