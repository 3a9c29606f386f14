"""zeropoint watch: what comes into a folder, answered as it comes."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import click
import msgspec

from zeropoint import api, settings
from zeropoint.cli import options
from zeropoint.cli.table import lines
from zeropoint.errors import SettingsError, ZeropointError
from zeropoint.sinks import Sink, file, open_sink, pubsub
from zeropoint.watching.changes import Changes, observed
from zeropoint.watching.folder import File, Folder
from zeropoint.watching.watcher import Outcome, Watcher


@click.command(
    "watch",
    epilog=options.examples(
        "zeropoint watch /srv/camera --out /srv/seen",
        "zeropoint watch /srv/camera --out gs://my-bucket/seen --match '*.jpg'",
        "zeropoint watch scans/ --out answers/ --once",
    ),
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, metavar="OUT", help="The folder of records, or gs://….")
@options.model
@options.parameters
@click.option("--match", multiple=True, metavar="PATTERN", help="Only such names, as '*.jpg'.")
@click.option("--once", is_flag=True, help="Answer what is there, and end.")
@click.option(
    "--settle-s",
    type=click.FloatRange(min=0.0),
    default=2.0,
    show_default=True,
    help="How long a file must be unchanged that nobody was seen to close.",
)
@click.option(
    "--rescan-s",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="How often to look through the folder, whatever the system tells.",
)
def command(
    folder: Path,
    out: str,
    model: str,
    parameters: dict[str, Any],
    match: tuple[str, ...],
    once: bool,
    settle_s: float,
    rescan_s: float,
) -> None:
    """Predict for each file that comes into FOLDER, and write its record to OUT, once.

    A file is answered when its writer closes it or moves it in. What is there already is answered
    first, but for what has its record in OUT: after a stop, a crash or a power cut just start it
    again. A file that cannot be answered has a record with its error.
    """
    chosen = settings.from_environment()
    root = folder.resolve()
    sink = _sink(root, out, chosen)
    loaded = api.load(model, limits=chosen)
    loaded.read_parameters(parameters)  # refused here, and not in each record
    changes, stopped = Changes(), threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
        stopped.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    watcher = Watcher(
        Folder(root, match), loaded, parameters, sink, chosen, settle_s, rescan_s, _tell
    )
    click.echo(f"watching {folder} with {loaded.manifest.name}; records go to {out}", err=True)
    try:
        with observed(root, changes):
            watcher.run(changes, stopped.is_set, once)
    except OSError as error:
        raise SettingsError(
            f"{folder}: expected a folder that can be read, got {error.strerror}"
        ) from None


def _sink(root: Path, out: str, chosen: settings.Settings) -> Sink:
    if out.startswith(pubsub.SCHEME):
        raise click.BadParameter(
            "expected a folder or gs://, which can be asked what was answered before, got a topic",
            param_hint="--out",
        )
    if "://" not in out:
        place = Path(out).resolve()
        if place.is_relative_to(root):
            raise click.BadParameter("expected a folder outside of FOLDER", param_hint="--out")
        return file.FileSink(place)
    return open_sink(msgspec.structs.replace(chosen, results=out))


def _tell(found: File, outcome: Outcome) -> None:
    name = found.name.encode(errors="replace").decode()
    if isinstance(outcome, ZeropointError):
        click.echo(f"{name}: {outcome.message}", err=True)
        return
    click.echo(click.style(name, bold=True))
    for prediction in outcome:
        for line in lines(prediction):
            click.echo(f"  {line}")
