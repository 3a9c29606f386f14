"""zeropoint sync: sends what waits in the outbox, now that there may be a network."""

import json
import sys
from collections import Counter

import click

from zeropoint import settings
from zeropoint.cli import options
from zeropoint.errors import UnavailableError
from zeropoint.sinks import Sink, open_outbox, refusals
from zeropoint.sinks.outbox import DamagedEnvelopeError, Envelope, Outbox, fingerprint

_MOST_REFUSALS = 10  # in a row: then it is not the records


@click.command("sync", epilog=options.examples("zeropoint sync", "zeropoint sync --json"))
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def command(as_json: bool) -> None:
    """Send the results that wait in ZEROPOINT_OUTBOX to where ZEROPOINT_RESULTS says.

    The oldest goes first, and each leaves the outbox once the sink has it. In a bucket none is
    written twice; a topic may get one again. Exit status 1 if some still wait, or were refused.
    """
    sink, outbox = open_outbox(settings.from_environment())
    with outbox.alone():
        counts, problem = _send(sink, outbox)
        outbox.sweep()
    waiting, errors = len(outbox.waiting()), outbox.refused()
    if as_json:
        told = {name: counts[name] for name in ("sent", "repeated", "refused")}
        click.echo(json.dumps({**told, "waiting": waiting, "errors": errors}))
    else:
        click.echo(_summary(counts, waiting, errors, outbox))
    if problem:
        click.echo(f"zeropoint: {problem}", err=True)
    sys.exit(1 if problem or counts["refused"] else 0)


def _send(sink: Sink, outbox: Outbox) -> tuple[Counter[str], str]:
    """Sends what waits, as long as the sink takes it; returns counts, and why some wait still."""
    counts: Counter[str] = Counter()
    problem, in_a_row = "", 0
    for file in outbox.waiting():
        try:
            envelope = outbox.read(file)
            outcome = _deliver(sink, envelope)
        except DamagedEnvelopeError as error:
            outcome, why = "refused", f"{file}: {error}"
        except UnavailableError as error:
            if not refusals.lasts(error):
                problem, in_a_row = problem or str(error), in_a_row + 1
                if refusals.answered(error) and in_a_row < _MOST_REFUSALS:
                    continue
                break
            outcome, why = "refused", f"{envelope.name}: {error}"
        counts[outcome] += 1
        in_a_row = 0
        if outcome == "refused":
            outbox.refuse(file)
            click.echo(f"refused, and put into {outbox.location}/errors: {why}", err=True)
        else:
            outbox.remove(file)
    return counts, problem


def _deliver(sink: Sink, envelope: Envelope) -> str:
    """Sends one record.

    Returns:
        ``sent``, or ``repeated`` where the sink had the event's record already.

    Raises:
        RecordRefusedError: the sink will never take it.
        UnavailableError: the sink is away, or refuses.
    """
    record = bytes(envelope.record)
    if sink.put(envelope.name, record, envelope.attributes):
        return "sent"
    earlier = sink.get(envelope.name)
    if earlier is None:
        raise UnavailableError(f"{envelope.name}: expected the record that was there, got none")
    if fingerprint(earlier) != fingerprint(record):
        raise refusals.RecordRefusedError(
            "expected the data that came under this event's source and id before, got others"
        )
    return "repeated"


def _summary(counts: Counter[str], waiting: int, errors: int, outbox: Outbox) -> str:
    if not (counts or waiting or errors):
        return f"nothing waits in {outbox.location}"
    parts = [f"{counts['sent']:,} sent", f"{waiting:,} still waiting"]
    if counts["repeated"]:
        parts.insert(1, f"{counts['repeated']:,} there already")
    if errors:
        parts.append(f"{errors:,} refused, in {outbox.location}/errors")
    return ", ".join(parts)
