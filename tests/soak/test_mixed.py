"""Ten minutes of every kind of request while a model a second makes room for another.

Nothing is answered wrongly, nothing is our fault, and the process holds no more than at the start.
"""

import itertools
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from conftest import CAT
from servers import Server
from soak import mix
from soak.process import GROWN, SOAK_S, at_rest
from soak.weights import write_weighty_model
from tiny_models import write_colour_model, write_identity_model

SECONDS = SOAK_S or 6.0
RATE = 50_000 / 600  # requests a second
CALLERS = 8
MAX_QUEUE = 32
WARM = 1000  # seeds from here on are of the requests before the soak
HEAVY = [f"heavy{number}" for number in range(6)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of a photo's model, small ones, and six heavy ones: not all have room."""
    models = tmp_path / "models"
    write_colour_model(models)
    write_identity_model(models, "FLOAT")
    for factor, name in enumerate(HEAVY, 1):
        write_weighty_model(models, name, factor)
    (models / mix.PHOTO).symlink_to(CAT.parents[1])
    photo_bytes = (models / mix.PHOTO / "model.onnx").stat().st_size
    heavy_bytes = (models / HEAVY[0] / "model.onnx").stat().st_size
    settings = {
        "ZEROPOINT_MODELS": str(models),
        "ZEROPOINT_MODEL": "colour",
        "ZEROPOINT_MAX_BODY_BYTES": str(mix.MAX_BODY_BYTES),
        "ZEROPOINT_MAX_QUEUE": str(MAX_QUEUE),
        "ZEROPOINT_MAX_LOADED_BYTES": str(photo_bytes + heavy_bytes * 5 // 2),
    }
    with Server(settings) as running:
        running.wait_until_ready()
        yield running


def known(server: Server) -> list[mix.Photo]:
    """Returns photos with what the model says of each when it is asked alone."""
    found = []
    for data in mix.photos(CAT.read_bytes()):
        url = f"{server.url}/predict/{mix.PHOTO}"
        answer = requests.post(url, data, headers={"content-type": "image/jpeg"}, timeout=60)
        (prediction,) = answer.json()["predictions"]
        found.append(mix.Photo(data, prediction["label"], prediction["probability"]))
    assert found[0].label == "tiger cat"
    return found


def load_in_turn(server: Server, turns: Iterator[int]) -> None:
    """Calls a heavy model that is not in memory, so that another one leaves it."""
    number = next(turns) % len(HEAVY)
    url = f"{server.url}/predict/{HEAVY[number]}"
    answer = requests.post(url, json={"instances": [[2.0]]}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == [{"y": [2.0 * (number + 1)]}]


def run(server: Server, photos: list[mix.Photo], seconds: float, seed: int) -> Counter[str]:
    """Sends requests of every kind at a pace, for so long and so many; returns how many of each."""
    tickets, turns = itertools.count(), itertools.count(seed)
    total = int(RATE * seconds)
    began_s = time.monotonic()
    ended = threading.Event()
    callers = [mix.Caller(server.port, seed + number, photos) for number in range(CALLERS)]

    def call(caller: mix.Caller) -> None:
        try:
            while (ticket := next(tickets)) < total and not ended.is_set():
                time.sleep(max(0.0, began_s + ticket / RATE - time.monotonic()))
                caller.call()
        except BaseException:
            ended.set()
            raise
        finally:
            caller.close()

    def evict() -> None:
        for second in itertools.count(1):
            if ended.wait(max(0.0, began_s + second - time.monotonic())):
                return
            load_in_turn(server, turns)

    with ThreadPoolExecutor(CALLERS + 1) as pool:
        loads = pool.submit(evict)
        try:
            for one in [pool.submit(call, caller) for caller in callers]:
                one.result()
        finally:
            ended.set()
        loads.result()
    return sum((caller.sent for caller in callers), Counter())


def fill_threads(server: Server, photo: bytes) -> None:
    """Has each thread of the pool made, so that none is made later: more photos than there are."""
    url = f"{server.url}/predict/{mix.PHOTO}"
    with ThreadPoolExecutor(2 * MAX_QUEUE) as pool:
        for _ in range(3):
            list(pool.map(lambda _: requests.post(url, photo, timeout=60), range(2 * MAX_QUEUE)))


def evictions(server: Server) -> int:
    text = requests.get(server.url + "/metrics", timeout=30).text
    found = re.search(r"^zeropoint_evictions_total (\S+)", text, re.M)
    assert found
    return int(float(found[1]))


def test_nothing_is_wrong_and_nothing_grows(server: Server) -> None:
    pid = server.process.pid
    photos = known(server)
    fill_threads(server, photos[0].data)
    run(server, photos, max(2.0, SECONDS / 10), seed=WARM)  # what is made once is made
    before, evicted = at_rest(pid), evictions(server)
    began_s = time.monotonic()
    sent = run(server, photos, SECONDS, seed=0)
    took_s = time.monotonic() - began_s
    evicted = evictions(server) - evicted
    after = at_rest(pid, before)
    print(f"\n{sent.total()} requests in {took_s:.0f} s, {evicted} evictions: {dict(sent)}")
    print(f"before: {before}\nafter:  {after}")
    text = requests.get(server.url + "/metrics", timeout=30).text
    assert not re.findall(r'^zeropoint_requests_total{.*status="5.*', text, re.M)
    assert [one for one in server.records() if one["severity"] not in ("INFO", "WARNING")] == []
    assert len(server.stderr().splitlines()) == 1  # where it listens
    assert sent.total() == int(RATE * SECONDS)
    assert evicted >= SECONDS * (0.9 if SOAK_S else 0.5)  # beside other tests a load takes longer
    assert after.descriptors <= before.descriptors + GROWN
    assert after.threads <= before.threads + GROWN
    assert after.memory_bytes <= before.memory_bytes + 32 * 2**20
    assert written(server) == sent["message"]
    assert known(server)[0].label == "tiger cat"


def written(server: Server) -> int:
    """Returns how many messages of the soak have their result, of the colour in their name."""
    found = 0
    for path in (server.results / "pubsub").iterdir():
        seed, _, colour = path.stem.split("-")
        assert json.loads(path.read_bytes())["predictions"][0]["label"] == colour
        found += int(seed) < WARM
    return found
