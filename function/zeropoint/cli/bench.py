"""zeropoint bench: what a model takes on this machine, and what 1,000 predictions cost."""

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from zeropoint import settings
from zeropoint.artifact import Artifact, open_repository
from zeropoint.bench import prices
from zeropoint.bench.cost import Size
from zeropoint.bench.measure import measure, messages
from zeropoint.bench.result import Result
from zeropoint.catalog import Catalog
from zeropoint.cli import options
from zeropoint.errors import InvalidError
from zeropoint.events import payload
from zeropoint.instances import Instance
from zeropoint.loader import known_instance

_TERMINATED = 128 + signal.SIGTERM


@click.command(
    "bench",
    epilog=options.examples(
        "zeropoint bench",
        "zeropoint bench --model phishing --callers 32 --cpu 1 --memory-mib 512",
        "zeropoint bench --input photo.jpg --json",
    ),
)
@options.model
@click.option(
    "--input",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What is asked; by default the known answer's input.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.05, 3600),
    default=5.0,
    show_default=True,
    help="How long each of the two loads takes.",
)
@click.option(
    "--callers",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    help="How many ask at once: the concurrency.",
)
@click.option(
    "--starts",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="How many cold starts are measured.",
)
@click.option(
    "--cpu",
    type=click.Choice([str(vcpus) for vcpus in prices.MEMORY_MIB]),
    default="1",
    show_default=True,
    help="vCPUs of the instance.",
)
@click.option(
    "--memory-mib",
    type=int,
    default=512,
    show_default=True,
    help="Memory of the instance.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    model: str,
    file: Path | None,
    seconds: float,
    callers: int,
    starts: int,
    cpu: str,
    memory_mib: int,
    as_json: bool,
) -> None:
    """Measure a model behind its server on this machine, and what it costs on Cloud Run.

    Fresh processes of zeropoint serve tell the cold start; the last of them is then asked by one
    caller, and by several. A FILE is read as an upload is; of several instances each is a request.

    The server has as many processors of this machine as --cpu says, its callers have the others.
    """
    least, most = prices.MEMORY_MIB[int(cpu)]
    if not least <= memory_mib <= most:
        raise click.BadParameter(
            f"expected {least} to {most} with {cpu} vCPU, got {memory_mib}",
            param_hint="--memory-mib",
        )
    chosen = settings.from_environment()
    repository = open_repository(chosen)
    name = model or Catalog(repository, chosen).default_name()
    artifact = Artifact(repository, name)
    asked = _of_file(file) if file else [known_instance(artifact)]
    told = str(file) if file else artifact.manifest.check.input
    sent = messages(name, asked)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # and no server stays behind
    found = measure(name, sent, int(cpu), starts, callers, seconds)
    result = Result(name, artifact.manifest.version, told, found, Size(int(cpu), memory_mib))
    if as_json:
        click.echo(json.dumps(result.document(), indent=2))
        return
    for line in result.lines():
        click.echo(line)


def _of_file(file: Path) -> Sequence[Instance]:
    held = payload.of_object(file.name, file.read_bytes(), takes_files=False)
    if not held.instances:
        raise InvalidError(f"{file}: expected at least one instance, got none")
    return held.instances
