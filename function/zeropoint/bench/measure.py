"""Cold starts, latency, throughput, processor time and memory of a model behind its server."""

import json
import re
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from zeropoint.bench import load, processes
from zeropoint.bench.server import Server, places, serving
from zeropoint.instances import Blob, Instance

_WARM_UP_S = 0.3
_PHASE = re.compile(r"cold-(\w+);dur=([\d.]+)")


class ColdStart(NamedTuple):
    """Fresh processes until their first answer."""

    wall_ms: list[float]  # from the start of the process to the whole answer
    cpu_ms: float | None  # median
    phases_ms: dict[str, float]  # medians, as the server tells them

    @property
    def median_ms(self) -> float:
        """Returns the time that half of them took at most."""
        return statistics.median(self.wall_ms)


class Warm(NamedTuple):
    """A load of so many callers."""

    callers: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float | None  # of the server, a request
    walls_s: list[float]
    tokens_per_s: float = 0.0  # of a model that writes


class Measured(NamedTuple):
    """What a model takes."""

    variant: str
    digest: str
    processors: tuple[int, int]  # those of the server, and of its callers; 0: not known
    shared: bool  # the callers ran on the server's processors
    cold: ColdStart
    one: Warm
    many: Warm
    requests: int
    pss_bytes: int | None  # after them


def messages(name: str, instances: Sequence[Instance]) -> list[bytes]:
    """Returns requests of one instance each."""
    path = f"/predict/{name}"
    return [
        load.message("POST", path, one.data, "application/octet-stream")
        if isinstance(one, Blob)
        else load.message(
            "POST", path, json.dumps({"instances": [one]}).encode(), "application/json"
        )
        for one in instances
    ]


def measure(
    name: str, sent: Sequence[bytes], vcpus: int, starts: int, callers: int, seconds: float
) -> Measured:
    """Measures a model on servers of its own.

    Args:
        name: The model's, in the repository that the settings name.
        sent: Requests.
        vcpus: How many processors the server has.
        starts: How many cold starts are measured; one more comes before, for the file caches.
        callers: How many ask at once in the last part.
        seconds: How long each load takes.

    Raises:
        ZeropointError: the server did not start, or it refused a request.
    """
    at = places(vcpus)
    walls_ms, cpus_ms, phases = [], [], []
    for turn in range(starts + 1):
        with serving(name, vcpus, at) as server:
            reply, wall_s = server.first_answer(sent[0])
            if turn:
                walls_ms.append(wall_s * 1000.0)
                cpus_ms.append(processes.cpu_s(server.process.pid))
                phases.append(_phases(reply))
            if turn == starts:
                warm_up = load.run(server.port, sent, callers, _WARM_UP_S)
                one = _warm(server, sent, 1, seconds)
                many = _warm(server, sent, callers, seconds)
                pss_bytes = processes.pss_bytes(server.process.pid)
                variant, digest = _file(server, name)
    told_ms = [1000.0 * one for one in cpus_ms if one is not None]
    return Measured(
        variant,
        digest,
        (len(at.server), len(at.callers)),
        bool(set(at.server) & set(at.callers)),
        ColdStart(walls_ms, statistics.median(told_ms) if told_ms else None, _medians(phases)),
        one,
        many,
        1 + sum(map(len, (warm_up.walls_s, one.walls_s, many.walls_s))),
        pss_bytes,
    )


def _warm(server: Server, sent: Sequence[bytes], callers: int, seconds: float) -> Warm:
    before_s = processes.cpu_s(server.process.pid)
    found = load.run(server.port, sent, callers, seconds)
    after_s = processes.cpu_s(server.process.pid)
    cpu_ms = None
    if before_s is not None and after_s is not None:
        cpu_ms = (after_s - before_s) / len(found.walls_s) * 1000.0
    p50_ms, p99_ms = found.percentile_ms(0.5), found.percentile_ms(0.99)
    tokens_per_s = found.tokens_per_s
    return Warm(callers, found.per_s, p50_ms, p99_ms, cpu_ms, found.walls_s, tokens_per_s)


def _file(server: Server, name: str) -> tuple[str, str]:
    """Returns which of the model's files is served, and its digest."""
    with load.connect(server.port) as connection:
        connection.sendall(load.message("GET", f"/models/{name}"))
        told = json.loads(load.receive(connection).body)
    return told["variant"], told["digest"]


def _phases(reply: load.Reply) -> dict[str, float]:
    return {name: float(ms) for name, ms in _PHASE.findall(reply.headers["server-timing"])}


def _medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}
