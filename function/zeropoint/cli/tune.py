"""zeropoint tune: how many rows of a forward pass pay, measured on this machine."""

import re
import statistics
import tomllib
from typing import NamedTuple

import click

from zeropoint import cpus, loader, settings, tasks
from zeropoint.artifact import Artifact, LocalRepository, open_repository
from zeropoint.cli import options
from zeropoint.errors import ManifestError, SettingsError
from zeropoint.manifest import FILENAME
from zeropoint.model import Model

_ROUNDS = 7
# A larger batch makes everybody in it wait for the whole: it has to be worth that.
_LEAST_GAIN = 1.1
_AS_GOOD = 1.1
_LINE = re.compile(r"^[ \t]*max_batch[ \t]*=.*(?:\n|\Z)", re.M)


class Measured(NamedTuple):
    """What forward passes of some rows take."""

    rows: int
    pass_ms: float

    @property
    def row_ms(self) -> float:
        """Returns the milliseconds for each row."""
        return self.pass_ms / self.rows


@click.command(
    "tune",
    epilog=options.examples(
        "zeropoint tune minilm-l6-v2",
        "zeropoint tune minilm-l6-v2 --write",
    ),
)
@click.argument("names", nargs=-1, metavar="[MODEL]...", shell_complete=options.complete_model)
@click.option(
    "--most", type=click.IntRange(1, 4096), default=64, show_default=True, help="Largest batch."
)
@click.option("--write", is_flag=True, help="Write max_batch into each model.toml.")
def command(names: tuple[str, ...], most: int, write: bool) -> None:
    """Measure which max_batch pays for models, with their known answers' inputs.

    Without MODEL, all of the repository. Measure where it will run, with ZEROPOINT_CPUS.
    """
    chosen = settings.from_environment()
    repository = open_repository(chosen)
    local = repository if isinstance(repository, LocalRepository) else None
    if write and local is None:
        raise SettingsError(f"expected a local repository to write to, got {repository.location}")
    threads = cpus.threads(chosen.cpus or cpus.available())
    for name in options.chosen_models(repository, names):
        model = loader.load(repository, name, chosen)
        instance = loader.known_instance(Artifact(repository, name))
        click.echo(f"{click.style(name, bold=True)}, threads: {threads}")
        if tasks.writes(model.task):
            click.echo("  nothing to measure here: its passes are of a token of each text;")
            click.echo("  zeropoint bench --callers N tells what N texts at once take")
            continue
        if not model.varies:
            click.echo("  one instance a pass, as the model's first dimensions are fixed")
            continue
        measured = measure(model, instance, most)
        for one in measured:
            gain = measured[0].row_ms / one.row_ms
            click.echo(
                f"  {one.rows:4} rows: {one.pass_ms:9.3f} ms a pass,"
                f" {one.row_ms:8.3f} ms a row, {gain:5.2f} times as fast as alone"
            )
        best = best_of(measured)
        click.echo(
            f"  max_batch = {best}" + ("" if write else f" (now {model.manifest.max_batch})")
        )
        if write and local:
            path = local.manifest_path(name)
            path.write_text(with_max_batch(path.read_text("utf-8"), best), "utf-8")


def measure(model: Model, instance: object, most: int) -> list[Measured]:
    """Times passes of 1, 2, 4, … rows, in rounds, so that what else runs hits all alike."""
    sizes = [2**power for power in range(most.bit_length())]
    seconds: dict[int, list[float]] = {rows: [] for rows in sizes}
    for _ in range(_ROUNDS):
        for rows in sizes:
            seconds[rows].append(model.time_pass(instance, rows))
    return [Measured(rows, statistics.median(seconds[rows]) * 1000.0) for rows in sizes]


def best_of(measured: list[Measured]) -> int:
    """Returns the smallest batch that is about as fast a row as any, or 1 if none pays."""
    fastest_ms = min(one.row_ms for one in measured)
    if measured[0].row_ms < _LEAST_GAIN * fastest_ms:
        return 1
    return next(one.rows for one in measured if one.row_ms <= _AS_GOOD * fastest_ms)


def with_max_batch(toml: str, max_batch: int) -> str:
    """Returns a model.toml with this max_batch, all else as it was.

    Raises:
        ManifestError: it is written in a way that would not give that.
    """
    line = f"max_batch = {max_batch}\n"
    table = re.search(r"^\s*\[", toml, re.M)
    head, rest = (toml[: table.start()], toml[table.start() :]) if table else (toml, "")
    if _LINE.search(head):
        after = _LINE.sub(line, head) + rest
    else:
        after = head.rstrip() + "\n" + line + ("\n" if rest else "") + rest.lstrip("\n")
    try:
        right = tomllib.loads(after) == {**tomllib.loads(toml), "max_batch": max_batch}
    except tomllib.TOMLDecodeError:
        right = False
    if not right:
        raise ManifestError(f"expected a {FILENAME} with a plain line for max_batch, got another")
    return after
