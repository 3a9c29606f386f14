"""zeropoint new: from an .onnx file to an artifact that serves."""

import mimetypes
import re
import shlex
from pathlib import Path

import click

from zeropoint import cpus, settings, tasks
from zeropoint.artifact import Artifact, open_repository
from zeropoint.cli import options
from zeropoint.cli.table import lines
from zeropoint.drafting import fit, folder
from zeropoint.drafting.draft import Asked
from zeropoint.drafting.folder import Written
from zeropoint.drafting.graph import Graph
from zeropoint.manifest import NAME_PATTERN, Manifest
from zeropoint.tasks import TASKS

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_MAX_NAME = 63
_MOST_TYPED = 300  # characters of JSON


@click.command(
    "new",
    epilog=options.examples(
        "zeropoint new model.onnx --labels labels.txt --input cat.jpg",
        "zeropoint new model.onnx --task tabular-regression --into models/",
    ),
)
@click.argument("model", metavar="MODEL.onnx", type=_FILE)
@click.option(
    "--task",
    type=click.Choice(list(TASKS)),
    metavar="TASK",
    help=f"By default guessed, if it is clear; one of {', '.join(TASKS)}.",
)
@click.option("--name", help="The artifact's; by default the file's.")
@click.option("--labels", type=_FILE, help="A label a line, in the order of the scores.")
@click.option("--tokenizer", type=_FILE, help="tokenizer.json of a model that takes texts.")
@click.option("--like", metavar="NAME", help="Take the tables of this model of the repository.")
@click.option("--input", "example", type=_FILE, help="A photo, text or JSON for the known answer.")
@click.option(
    "--into", type=_FOLDER, default=Path(), help="Where the folder is written; by default here."
)
def command(
    model: Path,
    task: str | None,
    name: str | None,
    labels: Path | None,
    tokenizer: Path | None,
    like: str | None,
    example: Path | None,
    into: Path,
) -> None:
    """Make an .onnx file an artifact: model.toml, known answer, card.

    What the graph tells is filled in; what it does not is marked DECIDE in model.toml.
    """
    name = name or _name(model)
    if not re.match(NAME_PATTERN, name):
        raise click.BadParameter(
            f"expected at most {_MAX_NAME} characters of a-z0-9._- that begin with one of a-z0-9,"
            f" got {name!r}",
            param_hint="--name",
        )
    if (into / name).exists() or (into / name).is_symlink():
        raise click.BadParameter(
            f"{into / name} is there already: give another --name or --into", param_hint="--name"
        )
    chosen = settings.from_environment()
    other = Artifact(open_repository(chosen), like) if like else None
    asked = Asked(labels, tokenizer, example, other)
    graph = Graph(model, cpus.threads(chosen.cpus or cpus.available()))
    found = fit.choose(graph, asked, task or "")
    click.echo(f"task: {found}" + ("" if task else " (guessed)"))
    if not task and found == "tensor":
        for one, why in fit.misfits(graph).items():
            click.echo(f"  not {one}: {why}")
    draft = fit.KINDS[found].draft(graph, asked)
    if graph.fixed_rows:
        click.echo("one instance a forward pass, as the model's first dimension is fixed")
    try:
        written = folder.write(graph, draft, found, name, into, chosen)
    except OSError as error:
        raise click.FileError(str(into), error.strerror or str(error)) from None
    _tell(written, into)


def _tell(written: Written, into: Path) -> None:
    name = written.model.manifest.name
    click.echo(f"known answer, to {written.model.manifest.check.input}:")
    for line in lines(written.prediction):
        click.echo(f"  {line}")
    click.echo(f"ok    {name} {written.model.manifest.version}  {written.model.digest[:19]}")
    click.echo(f"\nwrote {written.folder}. Still to decide, in its model.toml:")
    for key, text in written.undecided.items():
        click.echo(f"  {key}: {text}")
    click.echo("\nThen, as each change needs it:")
    for step in _steps(written, into):
        click.echo(f"  {step}")


def _steps(written: Written, into: Path) -> list[str]:
    manifest = written.model.manifest
    here = f"ZEROPOINT_MODELS={shlex.quote(str(into))}"
    curl = _curl(manifest, written.folder / manifest.check.input)
    writes = tasks.writes(written.model.task)
    return [
        f"{here} zeropoint check {manifest.name}",
        f"{here} zeropoint serve",
        f"{curl} localhost:8080/predict/{manifest.name}",
        f"{here} zeropoint {'bench --model' if writes else 'tune --write'} {manifest.name}",
        f"{here} zeropoint optimize {manifest.name}",
    ]


def _curl(manifest: Manifest, example: Path) -> str:
    """Returns what sends the known answer's input: in the command if it is short, else the file."""
    path = shlex.quote(str(example))
    if example.suffix != ".json":
        type_ = _media_type(manifest.task, example)
        return f"curl --data-binary @{path} -H 'Content-Type: {type_}'"
    text = example.read_text("utf-8").strip()
    if len(text) <= _MOST_TYPED and "\n" not in text:
        document = '{"instances": [' + text + "]}"
        return f"curl --json {shlex.quote(document)}"
    return f"(printf '{{\"instances\": ['; cat {path}; printf ']}}') | curl --json @-"


def _media_type(task: str, path: Path) -> str:
    if task.startswith("text"):
        return "text/plain"
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _name(model: Path) -> str:
    """Returns a name from the file's; of a model.onnx, from its folder's."""
    stem = model.resolve().parent.name if model.stem == "model" else model.stem
    clean = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).lstrip("._-")
    return clean[:_MAX_NAME].rstrip("-") or "model"
