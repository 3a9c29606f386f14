"""zeropoint batch: the three steps for as many rows as there are, without a server."""

import shlex
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from zeropoint import api, bulk, cpus, settings, tasks
from zeropoint.batch import forms, job, place, share
from zeropoint.batch.answering import Answering
from zeropoint.batch.progress import Progress
from zeropoint.batch.shards import Shards
from zeropoint.batch.source import Source
from zeropoint.cli import options
from zeropoint.errors import SettingsError, UnavailableError

_MOST_ROWS = 1 << 15  # of a chunk of a table, which takes a fraction of a second
_SHARD_ROWS = 100_000
_SHARD_TEXTS = 1000  # that a model writes: these take some minutes
_FAILED_ROWS = 3
_INTERRUPTED = 130


@click.command(
    "batch",
    epilog=options.examples(
        "zeropoint batch photos/ --out results/",
        "zeropoint batch sites.csv --model phishing --out results/ --format parquet",
        "zeropoint batch 'gs://my-photos/**/*.jpg' --out gs://my-results --resume",
        "zeropoint batch prompts.jsonl --model smollm2-135m-instruct --out results/",
    ),
)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--out", required=True, metavar="OUT", help="The folder of results, or gs://….")
@options.model
@options.parameters
@click.option("--format", "suffix", type=click.Choice(["jsonl", "parquet"]), default="jsonl")
@click.option("--id-column", default="", help="Of tables: what names the rows, and is no input.")
@click.option(
    "--shard-rows",
    type=click.IntRange(min=1),
    help=f"Most rows of a file of results; by default {_SHARD_ROWS:,}, of texts that a model"
    f" writes {_SHARD_TEXTS:,}.",
)
@click.option("--resume", is_flag=True, help="Go on with what is in OUT.")
@click.option("--runner", default="", help="Of Apache Beam: DirectRunner, DataflowRunner, …")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of Beam's, as project=my-project; as often as there are some.",
)
def command(
    inputs: tuple[str, ...],
    out: str,
    model: str,
    parameters: dict[str, Any],
    suffix: str,
    id_column: str,
    shard_rows: int | None,
    resume: bool,
    runner: str,
    options: tuple[str, ...],
) -> None:
    """Predict for every row of the INPUTs, and write the results to OUT.

    An INPUT is a file, a folder or a pattern, of this machine or of gs://: photos, each of which is
    a row, or .jsonl, .csv (both also .gz) and .parquet. For a model that writes a row is a text, or
    an object with messages or a prompt.

    A row that cannot be answered is written with its error; exit status 3 then. What ends the batch
    before its time, --resume goes on with.

    As a task of a Cloud Run job it answers its share of the rows.
    """
    chosen = settings.from_environment()
    if options and not runner:
        raise click.BadParameter("expected --runner beside it", param_hint="--option")
    if runner and resume:
        raise click.BadParameter("expected no --runner: Beam begins anew", param_hint="--resume")
    mine = share.of_task()
    form = forms.open_form(f".{suffix}")
    threads = cpus.threads(chosen.cpus or cpus.available())
    # A pass in each thread, of one thread each: so that no thread waits for another.
    loaded = api.load(model, threads=1, limits=chosen)
    rows = {"most_rows": _MOST_ROWS} if bulk.takes_columns(loaded) else {}
    writes = tasks.writes(loaded.task)
    if writes:  # a thread waits for each text, and the next one begins where one ends
        threads, rows = threads * loaded.manifest.max_batch, {"most_rows": 1}
    shard_rows = shard_rows or (_SHARD_TEXTS if writes else _SHARD_ROWS)
    source = Source(inputs, loaded.takes_files, id_column, **rows)
    if runner:
        loaded.read_parameters(parameters)  # refuses parameters here, and not on each worker
        handler = (chosen, loaded.manifest, parameters, form.suffix)
        _run_beam(source, handler, out, [f"runner={runner}", *options])
    described = {
        "input": source.digest,
        "model": loaded.manifest.name,
        "digest": loaded.digest,
        "parameters": parameters,
        "format": suffix,
        "id-column": id_column,
        "share": f"{mine.number} of {mine.of}",
    }
    shards = Shards(place.folder(out), form, mine, described, shard_rows, resume or mine.again)
    if shards.done:
        click.echo(f"{_count(shards.rows, 'row')}, all there are, in {out} already", err=True)
        raise SystemExit(_FAILED_ROWS if shards.errors else 0)
    stopped = _stop_by_signal()
    problem: UnavailableError | None = None
    with Progress(source, shards.rows, shards.errors) as progress:
        answering = Answering(loaded, chosen, parameters)
        chunks = source.chunks(mine, shards.rows)
        try:
            done = job.run(chunks, answering, form, shards, threads, progress.tell, stopped.is_set)
        except UnavailableError as error:
            done, problem = False, error
    if not done:
        told = _count(shards.rows, "row")
        click.echo(f"{problem or 'interrupted'}: {told} written; go on with", err=True)
        resumed = [*sys.argv[1:], *([] if resume else ["--resume"])]
        click.echo(f"  {Path(sys.argv[0]).name} {shlex.join(resumed)}", err=True)
        raise SystemExit(1 if problem else _INTERRUPTED)
    click.echo(_summary(progress, shards, out))
    raise SystemExit(_FAILED_ROWS if progress.errors else 0)


def _stop_by_signal() -> threading.Event:
    """Returns what a first Ctrl-C or SIGTERM sets; a second one ends the process at once."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stopped.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return stopped


def _run_beam(source: Source, handler: tuple[Any, ...], out: str, options: list[str]) -> NoReturn:
    try:
        from zeropoint.batch import beam
    except ImportError:
        raise SettingsError("--runner needs Apache Beam: pip install 'zeropoint[beam]'") from None
    began_s = time.monotonic()
    counts = beam.run(source, beam.Handler(*handler), out, [f"--{option}" for option in options])
    seconds = time.monotonic() - began_s
    if counts is None:
        click.echo("the job is described, and was not run")
        raise SystemExit(0)
    rows = counts.pop("rows", 0)
    failed = Counter({name.removeprefix("error_"): count for name, count in counts.items()})
    click.echo(f"{_rows(rows, seconds, failed)}; in {out}")
    raise SystemExit(_FAILED_ROWS if failed else 0)


def _rows(rows: int, seconds: float, errors: Counter[str]) -> str:
    failed = ", ".join(f"{count:,} {code}" for code, count in sorted(errors.items()))
    told = f"errors: {failed}" if failed else "no errors"
    return f"{_count(rows, 'row')} in {seconds:,.1f} s, {rows / max(seconds, 1e-9):,.0f}/s; {told}"


def _summary(progress: Progress, shards: Shards, out: str) -> str:
    told = _rows(progress.rows, progress.seconds, progress.errors)
    return f"{told}; {_count(shards.files, 'file')} in {out}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' if number != 1 else ''}"
