"""Eight models in one function, and memory for three: every call is answered, and right.

Half of the calls' models are not in memory; `test_mixed` has the calls of every other kind.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from servers import Server
from soak.process import SOAK_S
from soak.weights import SIDE, write_weighty_model

SECONDS = min(SOAK_S, 120.0) or 4.0
NAMES = [f"m{number}" for number in range(8)]
CALLERS = 6


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of all eight, with room for three of them."""
    for factor, name in enumerate(NAMES, 1):
        write_weighty_model(tmp_path, name, factor)
    size_bytes = (tmp_path / NAMES[0] / "model.onnx").stat().st_size
    settings = {
        "ZEROPOINT_MODELS": str(tmp_path),
        "ZEROPOINT_MODEL": NAMES[0],
        "ZEROPOINT_MAX_LOADED_BYTES": str(3 * size_bytes + size_bytes // 2),
    }
    with Server(settings) as running:
        running.wait_until_ready()
        yield running


def memory_bytes(pid: int) -> int:
    """Returns the memory of a process and its children."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(memory_bytes, map(int, children)))


def call(session: requests.Session, url: str, chance: random.Random) -> None:
    number = chance.randrange(len(NAMES))
    values = [chance.randrange(1000) for _ in range(chance.choice([1, 1, 1, 5, 20]))]
    answer = session.post(
        f"{url}/predict/{NAMES[number]}", json={"instances": [[value] for value in values]}
    )
    assert answer.status_code == 200, answer.text
    expected = [{"y": [float(value * (number + 1))]} for value in values]
    assert answer.json()["predictions"] == expected


def test_no_call_is_refused_or_wrong_and_memory_stays_bounded(server: Server) -> None:
    model_bytes = SIDE * SIDE * 4
    before_bytes = memory_bytes(server.process.pid)  # with one model of the three
    most_bytes, calls = 0, 0
    until_s = time.monotonic() + SECONDS
    lock = threading.Lock()

    def caller(seed: int) -> None:
        nonlocal calls, most_bytes
        chance = random.Random(seed)  # noqa: S311 - a choice, no secret
        with requests.Session() as session:
            while time.monotonic() < until_s:
                call(session, server.url, chance)
                with lock:
                    calls += 1
                    most_bytes = max(most_bytes, memory_bytes(server.process.pid))

    with ThreadPoolExecutor(CALLERS) as pool:
        for one in [pool.submit(caller, seed) for seed in range(CALLERS)]:
            one.result()
    metrics = requests.get(server.url + "/metrics", timeout=10.0).text
    (evictions,) = [
        float(line.split()[1])
        for line in metrics.splitlines()
        if line.startswith("zeropoint_evictions_total")
    ]
    grown = (most_bytes - before_bytes) / model_bytes
    print(f"{calls} calls, {evictions:.0f} evictions, grown by {grown:.1f} models' bytes")
    assert calls > 2 * len(NAMES)
    assert evictions > len(NAMES)
    # Two more models, one and a half times their files each, and a load that takes twice its file.
    assert grown < 7.0
