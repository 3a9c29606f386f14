"""Measure every model on held-out data, and compare with its card: `make models-report`.

    python model_artifacts/recipes/report.py [NAME]...

A model's ``recipe/evaluate.py`` measures it by way of Zeropoint's own three steps; its card has the
same figures in the table under "Accuracy".
"""

import argparse
import importlib.util
import re
import sys
from pathlib import Path

from build import MODELS, cache_folder
from zeropoint.artifact import LocalRepository
from zeropoint.loader import load
from zeropoint.settings import Settings

_ROW = re.compile(r"^\| ([^|]+?) \| (-?[\d.]+) \| ([^|]+?) \|$", re.M)
# Processors differ in the last bits of a sum, and so may an answer at its threshold.
_TOLERANCE = 0.005


def names() -> list[str]:
    """Returns the models that can be measured."""
    return sorted(path.parent.parent.name for path in MODELS.glob("*/recipe/evaluate.py"))


def told(name: str) -> dict[str, float]:
    """Returns the figures of a model's card."""
    card = (MODELS / name / "card.md").read_text("utf-8").partition("## Accuracy")[2]
    return {measure: float(value) for measure, value, _ in _ROW.findall(card.partition("## ")[0])}


def measured(name: str, work: Path) -> dict[str, float]:
    """Measures a model.

    Args:
        name: The model's.
        work: The folder for downloads.
    """
    path = MODELS / name / "recipe" / "evaluate.py"
    spec = importlib.util.spec_from_file_location("evaluate", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = load(LocalRepository(MODELS), name, Settings())
    found: dict[str, float] = module.evaluate(model, work)
    return found


def main() -> int:
    """Prints a table; the exit status is 1 where a card says something else."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=names())
    wrong = 0
    print("| model | measure | measured | its card |\n|---|---|---|---|")
    for name in parser.parse_args().names:
        card, found = told(name), measured(name, cache_folder() / "downloads")
        for measure in sorted(card.keys() | found.keys(), key=[*card, *found].index):
            here, there = found.get(measure), card.get(measure)
            same = here is not None and there is not None and abs(here - there) <= _TOLERANCE
            wrong += not same
            cells = ("-" if one is None else f"{one:.3f}" for one in (here, there))
            print(f"| {name} | {measure} | {' | '.join(cells)} |{'' if same else ' differs'}")
            sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
