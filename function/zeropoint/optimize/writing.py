"""What an optimization leaves in an artifact, all of it or nothing.

Everything is made in a folder beside and moved in, model.toml last: it alone says which files
count. While they are moved, Ctrl-C waits.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zeropoint.errors import ArtifactError
from zeropoint.manifest import FILENAME, File, Gate, Variant
from zeropoint.optimize import plot, report, tables
from zeropoint.optimize.gate import Trial
from zeropoint.optimize.tables import Document
from zeropoint.optimize.toml_text import with_variant, without_variant

_CARD = "card.md"
_MARKED = re.compile(r"(<!-- optimized -->\n).*?(<!-- /optimized -->)", re.S)


@contextmanager
def workshop(beside: Path) -> Iterator[Path]:
    """Gives a folder on the same disk as ``beside``, which is gone afterwards.

    Raises:
        ArtifactError: none can be made there.
    """
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix=".optimize-", dir=beside.resolve().parent)
    except OSError as error:
        raise ArtifactError(
            f"{beside.name}: expected a folder around it that can be written, got {error.strerror}"
        ) from None
    with made as folder:
        yield Path(folder)


def write(folder: Path, work: Path, winner: Trial, file: Path, gate: Gate, told: Document) -> None:
    """Writes a winner, its report and the gate into an artifact.

    Args:
        folder: The artifact's.
        work: A folder on the same disk.
        winner: What passed.
        file: Its .onnx file.
        gate: What it passed.
        told: The report.

    Raises:
        ManifestError: model.toml is such that its text cannot be edited.
    """
    data = file.read_bytes()
    path = f"variants/{winner.name}.onnx"
    place = File(path, hashlib.sha256(data).hexdigest())
    variant = Variant(
        winner.name,
        place,
        tuple(winner.requires),
        threads=winner.threads,
        max_batch=winner.max_batch,
        alone=winner.alone,
    )
    toml = (folder / FILENAME).read_text("utf-8")
    files = {
        path: data,
        "report/report.json": json.dumps(told, indent=2, ensure_ascii=False).encode() + b"\n",
        "report/report.md": report.markdown(told).encode(),
        "report/plot.svg": plot.svg(told),
        FILENAME: with_variant(toml, variant, gate).encode(),
    }
    card = folder / _CARD
    if card.is_file():
        files[_CARD] = with_table(card.read_text("utf-8"), tables.costs(told)).encode()
    staged = work / "staged"
    for name, content in files.items():
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).write_bytes(content)
    without = work / FILENAME  # for the moment in which an earlier file of this name is replaced
    without.write_text(without_variant(toml, winner.name), "utf-8")
    with _no_interrupt():
        for name in files:
            (folder / name).parent.mkdir(exist_ok=True)
        os.replace(without, folder / FILENAME)
        for name in sorted(files, key=lambda one: one == FILENAME):
            os.replace(staged / name, folder / name)


def copied(folder: Path, work: Path) -> Path:
    """Returns a copy of an artifact, to be moved to its place when it is complete."""
    target = work / "artifact"
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".*"))
    return target


def with_table(card: str, table: str) -> str:
    """Returns a card with the table between its marks, or as it was if it has none."""
    return _MARKED.sub(lambda found: f"{found[1]}{table}{found[2]}", card, count=1)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
