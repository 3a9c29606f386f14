"""zeropoint predict: the three steps in this process, without a server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from zeropoint import api, settings, uploads
from zeropoint.cli import options
from zeropoint.cli.table import lines
from zeropoint.errors import ClientError
from zeropoint.protocols import strict_json
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@click.command(
    "predict",
    epilog=options.examples(
        "zeropoint predict photo.jpg",
        "zeropoint predict *.jpg --parameters '{\"top_k\": 1}' --json",
        "zeropoint predict rows.csv --model phishing",
        "zeropoint predict photo.jpg --model ssd-mobilenet-oidv4 --draw boxes.png",
    ),
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@options.model
@options.parameters
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option(
    "--draw",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT.png",
    help="Write the photo with the boxes that were found.",
)
def command(
    files: tuple[Path, ...],
    model: str,
    parameters: dict[str, Any],
    as_json: bool,
    draw: Path | None,
) -> None:
    """Predict for each FILE in this process, without a server.

    A FILE is read as an upload is. To a model that takes photos it is a photo; else .jsonl, .csv
    and .json hold instances, and any other file is one text.

    A file that is refused is told on stderr, the others are answered; exit status 1 then.
    """
    chosen = settings.from_environment()
    if draw:
        _refuse_other_pictures(draw, files)
    loaded = api.load(model, limits=chosen)
    if draw and loaded.manifest.task != "object-detection":
        raise click.BadParameter(
            f"expected a model that finds boxes, got {loaded.manifest.name},"
            f" a model of {loaded.manifest.task}",
            param_hint="--draw",
        )
    refused = 0
    for file in files:
        try:
            answer = uploads.answer(
                loaded, file.name, file.read_bytes(), parameters, chosen.max_instances
            )
            _tell(file, answer.predictions, as_json, draw, chosen)
        except ClientError as error:
            refused += 1
            click.echo(f"{file}: {error.message}", err=True)
    raise SystemExit(1 if refused else 0)


def _refuse_other_pictures(draw: Path, files: tuple[Path, ...]) -> None:
    if len(files) > 1:
        raise click.BadParameter(f"expected one FILE, got {len(files)}", param_hint="--draw")
    if draw.suffix.lower() not in _PICTURES:
        raise click.BadParameter(
            f"expected a name that ends in {', '.join(_PICTURES)}", param_hint="--draw"
        )
    if not draw.parent.is_dir():
        raise click.BadParameter("expected a folder that exists", param_hint="--draw")
    if draw.exists() and draw.samefile(files[0]):
        raise click.BadParameter("expected another file than FILE", param_hint="--draw")


def _tell(
    file: Path,
    predictions: list[Prediction],
    as_json: bool,
    draw: Path | None,
    chosen: Settings,
) -> None:
    if draw:
        from zeropoint.cli.drawing import draw_boxes

        draw_boxes(file.read_bytes(), predictions[0], chosen.max_pixels).save(draw)
    if as_json:
        for row in _rows(file, predictions):
            click.echo(json.dumps(row))
        return
    click.echo(click.style(str(file), bold=True))
    many = len(predictions) > 1
    for number, prediction in enumerate(predictions, 1):
        margin = f"{number:>{len(str(len(predictions)))}}" if many else ""
        for line in lines(prediction):
            click.echo(f"{margin}  {line}")
            margin = " " * len(margin)


def _rows(file: Path, predictions: list[Prediction]) -> Iterator[dict[str, Any]]:
    """Yields what a program is told: of a file with several instances also which it is."""
    for number, prediction in enumerate(predictions, 1):
        which = {"instance": number} if len(predictions) > 1 else {}
        # As a response has it: NaN, which JSON has not, is null.
        told = msgspec.json.decode(strict_json.encode(prediction))
        yield {"file": str(file), **which, "prediction": told}
