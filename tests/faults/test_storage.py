"""Storage that fails, stalls or answers half: who needs it is told so in time, others go on."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from faults.calls import (
    acknowledged,
    label,
    make_buckets,
    of_object,
    predict,
    push,
    to_come_again,
)
from servers import Server
from storage_server import StorageServer
from tiny_models import picture, write_colour_model

TIMEOUT_S = 6.0  # half of it for one call of the storage
AT_ONCE_S = 1.5
MAX_QUEUE = 16  # 24 threads in all
CALLERS = 40


class Running(NamedTuple):
    """A server, and the storage that it reads and writes."""

    server: Server
    storage: StorageServer


@pytest.fixture
def storage() -> Iterator[StorageServer]:
    with StorageServer() as found:
        make_buckets(found, "photos", "results", "models")
        found.put("photos", "red.png", picture("red"))
        yield found


def settings_of(storage: StorageServer, models: str) -> dict[str, str]:
    return {
        "STORAGE_EMULATOR_HOST": storage.url,
        "ZEROPOINT_MODELS": models,
        "ZEROPOINT_BUCKETS": "photos",
        "ZEROPOINT_RESULTS": "gs://results/out",
        "ZEROPOINT_TIMEOUT_S": str(TIMEOUT_S),
        "ZEROPOINT_MAX_QUEUE": str(MAX_QUEUE),
    }


@pytest.fixture
def running(storage: StorageServer, colour_repository: Path) -> Iterator[Running]:
    with Server(settings_of(storage, str(colour_repository))) as server:
        server.wait_until_ready()
        assert of_object(server.url, "gs://photos/red.png").ok  # the client is imported
        yield Running(server, storage)


def ask_while(running: Running, calls: int, call: str) -> list[tuple[requests.Response, float]]:
    """Has many callers wait for the storage, and others be answered meanwhile, at once."""
    server, _ = running
    sent = threading.Barrier(calls + 1)

    def one(number: int) -> tuple[requests.Response, float]:
        sent.wait(30)
        began_s = time.monotonic()
        answer = (
            of_object(server.url, "gs://photos/red.png")
            if call == "object"
            else push(server.url, f"m-{number}", "red")
        )
        return answer, time.monotonic() - began_s

    with ThreadPoolExecutor(calls) as pool:
        waiting = [pool.submit(one, number) for number in range(calls)]
        sent.wait(30)
        time.sleep(0.5)
        while not all(each.done() for each in waiting):
            assert predict(server.url, "blue") < AT_ONCE_S
            began_s = time.monotonic()
            assert requests.get(server.url + "/readyz", timeout=10).ok
            assert time.monotonic() - began_s < AT_ONCE_S
            time.sleep(0.05)
        return [each.result() for each in waiting]


@pytest.mark.parametrize("call", ["object", "event"])
def test_a_storage_that_stalls_locks_nobody_out(running: Running, call: str) -> None:
    running.storage.stall(60.0)
    answers = ask_while(running, CALLERS, call)
    for answer, took_s in answers:
        to_come_again(answer, 429, 503)
        assert took_s < TIMEOUT_S + 2.0
    stalled = [answer for answer, _ in answers if answer.status_code == 503]
    assert len(stalled) >= MAX_QUEUE // 4
    assert {answer.status_code for answer, _ in answers} == {429, 503}
    running.storage.stall(0.0)
    assert of_object(running.server.url, "gs://photos/red.png").ok
    for number in range(3):
        acknowledged(push(running.server.url, f"m-{number}", "red"), "written")


def test_half_an_answer_and_then_nothing_is_told_in_time(running: Running) -> None:
    server, storage = running
    storage.hang_next("GET /download", count=9)
    began_s = time.monotonic()
    to_come_again(of_object(server.url, "gs://photos/red.png"))
    assert time.monotonic() - began_s < TIMEOUT_S + 2.0


def test_half_an_answer_is_asked_for_again(running: Running) -> None:
    server, storage = running
    storage.truncate_next("GET /download")
    answer = of_object(server.url, "gs://photos/red.png")
    assert answer.json()["predictions"][0]["label"] == "red"


def test_a_result_whose_write_was_not_heard_of_is_one(running: Running) -> None:
    server, storage = running
    storage.truncate_next("POST /upload")
    acknowledged(push(server.url, "m-1", "green"), "written")
    acknowledged(push(server.url, "m-1", "green"), "repeated")
    ((name, record),) = storage.objects("results").items()
    assert name == "out/pubsub/m-1.json"
    assert label(record) == "green"


def test_a_storage_that_stumbles_loses_nothing_and_writes_nothing_twice(running: Running) -> None:
    server, storage = running
    storage.stumble(0.2, seed=7)

    def deliver(number: int) -> None:
        colour = ("red", "green", "blue")[number % 3]
        until_s = time.monotonic() + 50
        while push(server.url, f"{colour}-{number}", colour).status_code != 200:
            assert time.monotonic() < until_s
            time.sleep(0.1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(deliver, range(20)))
    storage.stumble(0.0)
    found = storage.objects("results")
    assert len(found) == 20
    for name, record in found.items():
        assert storage.writes["results", name] == 1
        assert label(record) == name.removeprefix("out/pubsub/").partition("-")[0]


@pytest.mark.parametrize("fault", ["fails", "stalls", "half"])
def test_a_model_comes_once_its_repository_is_back(
    storage: StorageServer, tmp_path: Path, fault: str
) -> None:
    for path in write_colour_model(tmp_path).iterdir():
        storage.put("models", f"colour/{path.name}", path.read_bytes())
    if fault == "fails":
        storage.fail_next("", 503, count=999)
    elif fault == "stalls":
        storage.stall(60.0)
    else:
        storage.hang_next("GET /download", count=999)
    with Server(settings_of(storage, "gs://models")) as server:
        began_s = time.monotonic()
        to_come_again(requests.get(server.url + "/readyz", timeout=10))
        assert requests.get(server.url + "/livez", timeout=10).ok
        assert time.monotonic() - began_s < 2.0
        to_come_again(requests.post(server.url + "/predict", picture("red"), timeout=60))
        assert time.monotonic() - began_s < TIMEOUT_S + 3.0
        storage.mend()
        server.wait_until_ready()
        predict(server.url, "green")


def test_names_that_a_stalled_repository_cannot_tell_lock_nobody_out(
    storage: StorageServer, tmp_path: Path
) -> None:
    """Who asks for models that there are not makes the function ask the repository."""
    for path in write_colour_model(tmp_path).iterdir():
        storage.put("models", f"colour/{path.name}", path.read_bytes())
    with Server(settings_of(storage, "gs://models") | {"ZEROPOINT_MODEL": "colour"}) as server:
        server.wait_until_ready()
        storage.stall(60.0)

        def ask(number: int) -> requests.Response:
            return requests.post(f"{server.url}/predict/no-{number}", b"x", timeout=60)

        with ThreadPoolExecutor(CALLERS) as pool:
            waiting = [pool.submit(ask, number) for number in range(CALLERS)]
            time.sleep(0.5)
            assert not all(each.done() for each in waiting)
            while not all(each.done() for each in waiting):
                assert predict(server.url, "blue") < AT_ONCE_S
                time.sleep(0.05)
        for each in waiting:
            to_come_again(each.result())
        storage.mend()
        assert ask(1).status_code == 404
