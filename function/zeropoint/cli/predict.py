"""zeropoint predict: the three steps in this process, without a server."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from zeropoint import settings
from zeropoint.artifact import open_repository
from zeropoint.catalog import Catalog
from zeropoint.errors import ClientError
from zeropoint.instances import Blob

_WIDTH = 24


@click.command("predict")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--model", default="", help="The model's name; by default the default model.")
@click.option("--parameters", default="{}", help="JSON, for instance '{\"top_k\": 1}'.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(files: tuple[Path, ...], model: str, parameters: str, as_json: bool) -> None:
    """Predict for each FILE in this process, without a server.

    A file that is refused is told on stderr, the others are answered; exit status 1 then.
    """
    chosen = settings.from_environment()
    try:
        varied = msgspec.json.decode(parameters, type=dict[str, Any])
    except msgspec.DecodeError:
        raise click.BadParameter("expected a JSON object", param_hint="--parameters") from None
    loaded = Catalog(open_repository(chosen), chosen).load(model)
    refused = 0
    for file in files:
        try:
            (prediction,) = loaded.predict([Blob(file.read_bytes())], varied).predictions
        except ClientError as error:
            refused += 1
            click.echo(f"{file}: {error.message}", err=True)
            continue
        if as_json:
            click.echo(json.dumps({"file": str(file), "prediction": prediction}))
        else:
            _print_table(file, prediction)
    raise SystemExit(1 if refused else 0)


def _print_table(file: Path, prediction: Any) -> None:
    click.echo(click.style(str(file), bold=True))
    if "top" not in prediction:
        click.echo(f"  {json.dumps(prediction)}")
        return
    for row in prediction["top"]:
        bar = "█" * round(row["probability"] * _WIDTH)
        click.echo(f"  {row['probability']:6.1%}  {bar:<{_WIDTH}}  {row['label']}")
