"""The process killed at any moment, the storage stumbling: each event has its one right result."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from faults.calls import label, make_buckets, push
from servers import FRAMEWORK, SERVE, Server, free_port
from storage_server import StorageServer
from tiny_models import write_colour_model

COLOURS = ("red", "green", "blue")
EVENTS = 30
DELIVERIES = 3
KILLS = 3


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[StorageServer]:
    """A storage that has the model too, and fails one time in twenty."""
    with StorageServer() as found:
        make_buckets(found, "results")
        for path in write_colour_model(tmp_path).iterdir():
            found.put("models", f"colour/{path.name}", path.read_bytes())
        found.stumble(0.05, seed=11)
        yield found


@pytest.mark.parametrize("command", [SERVE, FRAMEWORK], ids=["serve", "framework"])
def test_kills_at_random_and_a_stumbling_storage_leave_one_result_each(
    storage: StorageServer, command: tuple[str, ...]
) -> None:
    """Also while it begins, as the model is read and loaded."""
    settings = {
        "STORAGE_EMULATOR_HOST": storage.url,
        "ZEROPOINT_MODELS": "gs://models",
        "ZEROPOINT_RESULTS": "gs://results",
    }
    chance = random.Random(3)  # noqa: S311 - the same order at each run
    deliveries = [number for number in range(EVENTS) for _ in range(DELIVERIES)]
    chance.shuffle(deliveries)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    acknowledged: list[int] = []
    given_up = threading.Event()

    def deliver(number: int) -> None:
        """Delivers as the platform does: again, until it is acknowledged."""
        colour = COLOURS[number % 3]
        while not given_up.wait(0.02):
            with contextlib.suppress(requests.RequestException):
                if push(url, f"{colour}-{number}", colour).status_code == 200:
                    acknowledged.append(number)
                    return

    with ThreadPoolExecutor(8) as pool, contextlib.ExitStack() as stack:
        stack.callback(given_up.set)
        for number in deliveries:
            pool.submit(deliver, number)
        for _ in range(KILLS):
            with Server(settings, command, port=port) as server:
                time.sleep(chance.uniform(0.0, 1.5))
                os.killpg(server.process.pid, signal.SIGKILL)
                server.process.wait()
        with Server(settings, command, port=port) as server:
            until_s = time.monotonic() + 120
            while len(acknowledged) < len(deliveries):
                assert time.monotonic() < until_s, server.stdout()[-2000:]
                time.sleep(0.02)
    found = storage.objects("results")
    assert sorted(found) == sorted(f"pubsub/{COLOURS[n % 3]}-{n}.json" for n in range(EVENTS))
    for name, record in found.items():
        assert storage.writes["results", name] == 1
        assert label(record) == name.removeprefix("pubsub/").partition("-")[0]
