"""A server of a model that takes as long as it is told to, and calls that keep it busy."""

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import requests

from servers import Server
from tiny_models import write_slow_model
from zeropoint.artifact import LocalRepository
from zeropoint.loader import load
from zeropoint.settings import Settings

# One core, one pass at a time; a thread of the pool is far away from its end.
SETTINGS = {"ZEROPOINT_MAX_QUEUE": "3", "ZEROPOINT_CPUS": "1"}


class Slow(NamedTuple):
    """A server of the model ``slow``, and how many turns it makes in about 0.4 s."""

    server: Server
    turns: int


@contextlib.contextmanager
def slow_server(folder: Path, **settings: str) -> Iterator[Slow]:
    """Gives a server of the model ``slow`` that has measured its pace, 0.4 s an answer.

    Args:
        folder: Where the model goes; others may be there.
        settings: Beside those that keep it slow, or instead of them.
    """
    write_slow_model(folder)
    model = load(LocalRepository(folder), "slow", Settings(cpus=1))
    began_s = time.monotonic()
    model.answer([50])
    turns = max(1, round(50 * 0.4 / (time.monotonic() - began_s)))
    own = {
        "ZEROPOINT_MODELS": str(folder),
        "ZEROPOINT_MODEL": "slow",
        "ZEROPOINT_TIMEOUT_S": "20",
        "ZEROPOINT_RESULTS": (folder.parent / f"{folder.name}-results").as_uri(),
    }
    with Server({**SETTINGS, **own, **settings}) as running:
        running.wait_until_ready()
        assert ask(running, turns, 2).ok
        yield Slow(running, turns)


def ask(server: Server, turns: int, count: int = 1) -> requests.Response:
    """Asks for so many predictions of so many turns each."""
    return requests.post(server.url + "/predict", json={"instances": [turns] * count}, timeout=60.0)


def wait_for_queue(server: Server, length: int) -> None:
    """Waits until so many requests are at the model, answered and waiting."""
    until_s = time.monotonic() + 10.0
    while _in_queue(server) != length:
        assert time.monotonic() < until_s
        time.sleep(0.01)


def _in_queue(server: Server) -> int:
    text = requests.get(server.url + "/metrics", timeout=10.0).text
    found = re.search(r'^zeropoint_model_requests\{model="slow"\} (\S+)', text, re.M)
    assert found
    return int(float(found[1]))
