"""zeropoint optimize: make an artifact smaller and quicker, and prove that it is still right."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from zeropoint import manifest, settings
from zeropoint.artifact import Artifact, LocalRepository, open_repository
from zeropoint.cli import options
from zeropoint.errors import SettingsError
from zeropoint.settings import Settings

_CLEAR = "\r\x1b[2K"
_WIDTH = 100
# What layers were chosen on does better than what judges: so the aim is higher than the gate.
_OF_GATE = 0.5
_REASON = 240  # characters


class Asked(NamedTuple):
    """What the caller wants."""

    max_drop: float | None
    reason: str
    only: set[str]
    half: bool
    output: Path | None


@click.command(
    "optimize",
    epilog=options.examples(
        "zeropoint optimize efficientnet-lite0 --samples photos/",
        "zeropoint optimize my-model/ --samples rows.jsonl --max-drop 1",
    ),
)
@click.argument("artifact")
@click.option(
    "--samples",
    "place",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR|FILE.jsonl",
    help="What the model is asked in real life: a folder of photos or texts, or a line each.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0.0, 100.0),
    metavar="POINTS",
    help="How much worse it may be; by default the artifact's own, or 1.",
)
@click.option("--reason", default="", help="Why so much; goes into the artifact.")
@click.option("--only", default="", metavar="NAME,…", help="Try these candidates only.")
@click.option(
    "--half", is_flag=True, help="Try float16 too; for accelerators, processors are slower."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write a copy of the artifact there; by default it is changed in place.",
)
def command(
    artifact: str,
    place: Path | None,
    max_drop: float | None,
    reason: str,
    only: str,
    half: bool,
    output: Path | None,
) -> None:
    """Make candidates of ARTIFACT, measure each against the original, and keep the best.

    ARTIFACT is a model's name or its folder. Candidates are int8 in several ways, smaller weights
    and graphs that load quicker. One passes if it agrees with the original on samples (--max-drop),
    takes no more CPU time, is not larger without being quicker, and gives the known answer. The
    quickest of those is written as a variant, with the report and the gate.

    Exit status 1 if none passes: then nothing is written.
    """
    if place is None:
        raise click.UsageError(
            "expected --samples: a folder of photos or texts as the model will meet them, or a"
            " file with an instance in each line; at least 20, and 100 tell far more"
        )
    if output and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise click.BadParameter("expected a folder that is not there yet", param_hint="--output")
    chosen = settings.from_environment()
    repository, name = opened(artifact, chosen)
    names = {one.strip() for one in only.split(",") if one.strip()}
    asked = Asked(max_drop, reason, names, half, output)
    sys.exit(_optimize(repository, name, chosen, place, asked))


def opened(artifact: str, chosen: Settings) -> tuple[LocalRepository, str]:
    """Returns the repository and the model's name, for a name or an artifact's folder.

    Raises:
        SettingsError: the repository is not on this machine.
    """
    if (Path(artifact) / manifest.FILENAME).is_file():
        repository = LocalRepository(Path(artifact))
        return repository, repository.names()[0]
    found = open_repository(chosen)
    if not isinstance(found, LocalRepository):
        raise SettingsError(f"expected a local repository to write to, got {found.location}")
    return found, artifact


@contextmanager
def needs_extra() -> Iterator[None]:
    """Says which extra to install, if an import fails inside."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"expected the extra optimize (pip install 'zeropoint[optimize]'), got no {error.name}"
        ) from None


def progress() -> Callable[[str], None]:
    """Returns what shows the step of a long work in one line, if somebody looks at stderr."""
    looks = sys.stderr.isatty()

    def tell(text: str) -> None:
        if looks:
            click.echo(f"{_CLEAR}{text[:_WIDTH]}", nl=False, err=True)

    return tell


def _sorted(tell: Callable[[str], None], left_out: list[str], work: Path) -> Callable[[str], None]:
    """Returns what shows progress, and keeps why a candidate could not be made."""

    def told(text: str) -> None:
        if ": left out: " in text:
            short = text.replace(f"{work}/", "")
            left_out.append(textwrap.shorten(short, _REASON, placeholder=" …"))
        tell(text)

    return told


def _optimize(
    repository: LocalRepository,
    name: str,
    chosen: Settings,
    place: Path,
    asked: Asked,
) -> int:
    with needs_extra():
        from zeropoint.optimize import gate, report, samples, tables, writing
        from zeropoint.optimize.candidates import Job, candidates
        from zeropoint.optimize.trial import Judge
    tell = progress()
    tell("reading the samples")
    artifact = Artifact(repository, name)
    folder = repository.manifest_path(name).parent
    judge = Judge(artifact, chosen)
    found = samples.read(place, chosen, judge.original.takes_files, judge.prepare)
    parts = samples.split(found.samples)
    held = judge.gate(parts.judging, asked.max_drop, asked.reason)
    tell("")
    sizes = ", ".join(f"{len(part)} for {purpose}" for purpose, part in parts._asdict().items())
    click.echo(
        f"{name}: {len(found.samples)} samples ({found.refused} refused, {found.same} doubles),"
        f" {sizes}; {held.metric} may be {gate.points(held.max_drop)} worse"
    )
    with writing.workshop(asked.output or folder) as work:
        tuning = judge.widened(parts.tuning)
        job = Job(
            source=judge.path,
            calibration=judge.calibration(parts.calibration),
            folder=work,
            image=judge.image(),
            judge=lambda path: judge.drop(path, tuning, held.metric),
            target_drop=held.max_drop * _OF_GATE,
            half=asked.half or "fp16" in asked.only,
            only=asked.only,
            cache=judge.cache,
        )
        trials, paths = [], {}
        left_out: list[str] = []
        for candidate in candidates(job, _sorted(tell, left_out, work)):
            tell(f"{candidate.name}: on trial")
            trials.append(judge.trial(candidate, parts.judging, held))
            paths[candidate.name] = candidate.path
        tell("")
        best = gate.winner(trials)
        told = report.document(artifact.manifest, found, parts, held, trials, best, left_out)
        click.echo("\n".join(tables.lines(told)))
        if best is None:
            click.echo("no candidate passes; nothing is written")
            return 1
        target = writing.copied(folder, work) if asked.output else folder
        writing.write(target, work, best, paths[best.name], held, told)
        if asked.output:
            target.replace(asked.output)
    click.echo(f"{best.name} wins; written to {asked.output or folder}")
    return 0
