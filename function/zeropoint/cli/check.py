"""zeropoint check: is each model what its manifest says?"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from zeropoint import hardware, loader, manifest, settings
from zeropoint.artifact import Artifact, LocalRepository, Repository, open_repository
from zeropoint.cli import options
from zeropoint.cli.optimize import needs_extra
from zeropoint.cli.table import fitted
from zeropoint.errors import SettingsError, ZeropointError
from zeropoint.settings import Settings


@click.command(
    "check",
    epilog=options.examples(
        "zeropoint check",
        "zeropoint check efficientnet-lite0",
        "zeropoint check efficientnet-lite0 --deep --samples photos/",
    ),
)
@click.argument("names", nargs=-1, metavar="[MODEL]...", shell_complete=options.complete_model)
@click.option("--deep", is_flag=True, help="Also compare each variant with the original.")
@click.option(
    "--samples",
    "place",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR|FILE.jsonl",
    help="What to compare on, with --deep; as for zeropoint optimize.",
)
def command(names: tuple[str, ...], deep: bool, place: Path | None) -> None:
    """Verify models: manifest, files and digests, and that the known answer comes out.

    Without MODEL, all of the repository. With --deep, each variant of MODEL is asked on samples
    too, except on those that it was made with, and its answers are held against the gate.

    Exit status 1 if one fails.
    """
    if deep and (place is None or not names):
        raise click.UsageError(
            "expected MODEL and --samples with --deep: a folder of photos or texts as the model"
            " will meet them, or a file with an instance in each line"
        )
    if place and not deep:
        raise click.UsageError("expected --samples with --deep only")
    chosen = settings.from_environment()
    repository = open_repository(chosen)
    failed = 0
    for name in options.chosen_models(repository, names):
        try:
            loaded = loader.load(repository, name, chosen)
            artifact = Artifact(repository, name)
            for variant in artifact.manifest.variant:
                artifact.fetch(variant.file)
        except ZeropointError as error:
            failed += 1
            click.echo(f"FAIL  {name}: {error.message}")
            continue
        phases = ", ".join(f"{step} {ms:.0f} ms" for step, ms in loaded.load_timings.ms().items())
        of = "" if loaded.variant == manifest.ORIGINAL else f" as {loaded.variant}"
        told = f"ok    {name} {loaded.manifest.version}{of}  {loaded.digest[:19]}"
        click.echo(fitted(told, f"({phases})"))
        if place:
            for reasons, text in _compared(repository, name, chosen, place):
                failed += bool(reasons)
                click.echo(f"{'FAIL' if reasons else 'ok  '}  {name}: {text}")
                for reason in reasons:
                    click.echo(f"      {reason}")
    sys.exit(1 if failed else 0)


def _compared(
    repository: Repository, name: str, chosen: Settings, place: Path
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields, for each variant, why it fails and what came out."""
    with needs_extra():
        from zeropoint import session
        from zeropoint.optimize import samples
        from zeropoint.optimize.candidates import Candidate
        from zeropoint.optimize.trial import Judge
    artifact = Artifact(repository, name)
    variants = artifact.manifest.variant
    if not variants:
        yield (), "no variant to compare"
        return
    judge = Judge(artifact, chosen)
    found = samples.read(place, chosen, judge.original.takes_files, judge.prepare)
    judging = samples.unused(found.samples, _used(repository, name))
    if not judging:
        raise SettingsError(f"{name}: expected samples that no variant was made with, got none")
    held = judge.gate(judging, None, "")
    able = hardware.features() | session.providers()
    for variant in variants:
        if not able.issuperset(variant.requires):
            yield (), f"{variant.name} was left out, as it needs {', '.join(variant.requires)}"
            continue
        path = artifact.fetch(variant.file)
        candidate = Candidate(variant.name, path, "", variant.requires, variant.alone)
        trial = judge.trial(candidate, judging, held, measured=False)
        lost = "" if trial.drop is None else f" {trial.drop:z.2f} points of {held.metric} lost"
        yield trial.reasons, f"{variant.name},{lost} of at most {held.max_drop:g}"


def _used(repository: Repository, name: str) -> set[str]:
    """Returns the digests of the samples that the artifact's variants were made with."""
    if not isinstance(repository, LocalRepository):
        return set()
    path = repository.manifest_path(name).parent / "report" / "report.json"
    try:
        return set(msgspec.json.decode(path.read_bytes())["used"])
    except FileNotFoundError:
        return set()
    except (msgspec.DecodeError, KeyError, TypeError):
        raise SettingsError(f"{name}: expected a report in report/report.json") from None
