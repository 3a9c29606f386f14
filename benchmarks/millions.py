"""Batches beside bare loops over the same input: photos, and rows of a table.

    .venv/bin/python benchmarks/millions.py [--rounds 7] [--photos 5000] [--rows 1000000]

The floor of the photos is two bare processes, each with a half of them and no output; that of the
rows is a loop of NumPy and ONNX Runtime over the same file, at its best batch size, without output
too; beside it the same loop over a matrix that is in memory. All are timed from their spawn to
their end. A ratio is the median of the rounds' own.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from contestants import ARTIFACT, HERE, ROOT
from processes import pss_mb

sys.path.insert(0, str(ROOT / "tests"))
from batch import inputs

_MODELS = ROOT / "model_artifacts"
_INT8 = ARTIFACT / "variants" / "int8-mixed.onnx"
_PHISHING = _MODELS / "phishing"
_BATCHES = (256, 1024, 4096, 16384)


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--beam", type=Path, help="a Python with Apache Beam, for its own handler")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = inputs.write_photos(folder / "photos", options.photos)
        inputs.write_sites(folder / "sites.csv", options.rows)
        matrix = np.loadtxt(folder / "sites.csv", np.float32, delimiter=",", skiprows=1)
        np.save(folder / "sites.npy", matrix)
        runs: dict[str, Callable[[], tuple[float, float]]] = {
            "two bare processes": lambda: _bare_photos(photos),
            "zeropoint batch, photos": lambda: _batch(folder, "efficientnet-lite0", "photos"),
            "a NumPy loop, rows": lambda: _bare_rows(folder / "sites.csv"),
            "a NumPy loop, rows in memory": lambda: _bare_rows(folder / "sites.npy"),
            "zeropoint batch, rows": lambda: _batch(folder, "phishing", "sites.csv"),
        }
        if options.beam:
            runs["Beam's own handler, photos"] = lambda: _beam(options.beam, folder / "photos")
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for turn in range(options.rounds):
            for name, run in runs.items():
                if "Beam" not in name or turn < 3:
                    found[name].append(run())
    of = {name: options.rows if "rows" in name else len(photos) for name in runs}
    print(f"{len(photos)} photos, {options.rows} rows, {options.rounds} rounds\n")
    print("| | a second | of its floor | most memory MB |")
    print("|---|---|---|---|")
    for name, many in found.items():
        floor = "a NumPy loop, rows" if of[name] == options.rows else "two bare processes"
        ratios = [a[0] / b[0] for a, b in zip(found[floor], many, strict=False)]
        per_s = of[name] / statistics.median(seconds for seconds, _ in many)
        memory = max(mb for _, mb in many)
        print(f"| {name} | {per_s:,.0f} | {statistics.median(ratios):.2f} | {memory:.0f} |")


def _batch(folder: Path, model: str, input_name: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = [sys.executable, "-m", "zeropoint", "batch", str(folder / input_name)]
        command += ["--out", out, "--model", model]
        return _run([command], ZEROPOINT_MODELS=str(_MODELS))


def _bare_photos(photos: Sequence[Path]) -> tuple[float, float]:
    script = str(HERE / "bare_photos.py")
    folder, count = str(photos[0].parent), len(photos)
    halves = [(0, count // 2), (count // 2, count)]
    commands = [[sys.executable, script, folder, str(a), str(b)] for a, b in halves]
    return _run(commands, MODEL=str(_INT8))


def _bare_rows(matrix: Path) -> tuple[float, float]:
    model = str(_PHISHING / "model.onnx")
    return min(
        _run([[sys.executable, str(HERE / "bare_rows.py"), str(matrix), str(size)]], MODEL=model)
        for size in _BATCHES
    )


def _beam(python: Path, photos: Path) -> tuple[float, float]:
    return _run([[str(python), str(HERE / "beam_stock.py"), str(photos)]], MODEL=str(_INT8))


def _run(commands: Sequence[Sequence[str]], **variables: str) -> tuple[float, float]:
    """Returns the seconds of programs at the same time, and the most memory that they took."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": tempfile.gettempdir(), **variables}
    began_s = time.perf_counter()
    processes = [
        subprocess.Popen(one, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
        for one in commands
    ]
    most_mb = 0.0
    for process in processes:
        while process.poll() is None:
            most_mb = max(most_mb, sum(pss_mb(one.pid) for one in processes if one.poll() is None))
            time.sleep(0.1)
        if process.returncode:
            raise RuntimeError(f"expected a run without errors, got status {process.returncode}")
    return time.perf_counter() - began_s, most_mb


if __name__ == "__main__":
    main()
