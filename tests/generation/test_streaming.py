"""Texts in pieces over HTTP: Server-Sent Events, refusals, and callers who hang up."""

import http.client
import json
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

import tiny_decoders
from servers import FRAMEWORK, SERVE, Server
from tiny_decoders import write_decoder
from tiny_models import write_colour_model

_EVENTS = {"Accept": "text/event-stream"}
_LONG, _SHORT = 1900, 120  # tokens
_RANDOM_REQUESTS = 1000
_CALLERS = 8
_GROWTH_BYTES = 32 << 20  # of a process that has answered a thousand requests
_WAIT_S = 20.0


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_decoder(folder)
    write_colour_model(folder)
    return folder


@pytest.fixture(scope="module", params=[SERVE, FRAMEWORK], ids=["serve", "framework"])
def server(request: pytest.FixtureRequest, repository: Path) -> Iterator[Server]:
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "tiny"}
    with Server(settings, request.param) as server:
        server.wait_until_ready()
        yield server


def asked(prompt: str, **parameters: Any) -> dict[str, Any]:
    return {"instances": [{"prompt": prompt}], "parameters": parameters}


def events(response: requests.Response) -> list[dict[str, Any]]:
    """Returns what the events of an answer have, and of errors the kind too."""
    found = []
    for text in response.text.split("\n\n"):
        if text:
            *kind, data = text.split("\n")
            assert data.startswith("data: ")
            found.append({**json.loads(data[6:]), **({"event": kind[0]} if kind else {})})
    return found


def gauge(server: Server, name: str) -> float:
    for line in requests.get(f"{server.url}/metrics", timeout=10).text.splitlines():
        if line.startswith(name):
            return float(line.rpartition(" ")[2])
    raise AssertionError(name)


def rest(server: Server) -> None:
    """Waits until nothing is written any more, and nobody is answered."""
    until_s = time.monotonic() + _WAIT_S
    while time.monotonic() < until_s:
        texts = gauge(server, 'zeropoint_texts{model="tiny"}')
        if not texts and not gauge(server, 'zeropoint_model_requests{model="tiny"}'):
            return
        time.sleep(0.01)
    raise AssertionError("texts are being written for nobody")


def resources(server: Server) -> tuple[int, int]:
    """Returns a process's memory in bytes, and its threads."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines())
    return int(found["VmRSS"].split()[0]) << 10, int(found["Threads"])


def test_a_text_comes_in_pieces(server: Server) -> None:
    response = requests.post(
        f"{server.url}/predict", json=asked("hello", max_tokens=30), headers=_EVENTS, timeout=30
    )
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    assert "execute;dur=" in response.headers["Server-Timing"]
    *pieces, last = events(response)
    expected = tiny_decoders.written("hello", 30)
    assert [one["text"] for one in pieces] == [*expected]
    assert last == {
        "text": "",
        "finish_reason": "length",
        "prompt_tokens": 5,
        "completion_tokens": 30,
        "model": "tiny",
        "version": "1",
        "digest": response.headers["X-Model-Digest"],
    }
    whole = requests.post(
        f"{server.url}/predict/tiny", json=asked("hello", max_tokens=30), timeout=30
    ).json()
    assert whole["predictions"][0]["text"] == expected


@pytest.mark.parametrize(
    ("path", "document", "status", "said"),
    [
        ("tiny", {"instances": ["a", "b"]}, 422, "got 2 for text-generation"),
        ("tiny", {"instances": []}, 422, "got 0 for text-generation"),
        ("tiny", asked("a", colour=1), 422, "no other keys"),
        ("tiny", asked("a" * 2000), 422, "at most 1999 tokens"),
        ("tiny", asked("a", max_tokens=2000), 422, "max_tokens of at most 1999"),
        ("colour", {"instances": ["a"]}, 422, "got 1 for image-classification"),
        ("nobody", {"instances": ["a"]}, 404, "expected the name of a model"),
    ],
)
def test_what_is_refused_has_a_status(
    server: Server, path: str, document: dict[str, Any], status: int, said: str
) -> None:
    response = requests.post(
        f"{server.url}/predict/{path}", json=document, headers=_EVENTS, timeout=30
    )
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert said in response.json()["error"]["message"]


def test_too_many_texts_at_once_are_told_to_come_again(repository: Path) -> None:
    size = 2 * tiny_decoders.LAYERS * tiny_decoders.HEADS * tiny_decoders.SIZE * 4
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "tiny"}
    limit = {"ZEROPOINT_MAX_CACHE_BYTES": str(4 * 2000 * size)}
    with Server(settings | limit) as server, ThreadPoolExecutor(24) as pool:
        server.wait_until_ready()
        session = requests.Session()
        found = pool.map(
            lambda number: session.post(
                f"{server.url}/predict",
                json=asked("hello", max_tokens=_LONG),
                headers=_EVENTS if number % 2 else {},
                timeout=60,
            ),
            range(24),
        )
        responses = [*found]
        refused = [one for one in responses if one.status_code == 429]
        assert {one.status_code for one in responses} == {200, 429}
        assert all(int(one.headers["Retry-After"]) >= 1 for one in refused)
        assert all(one.json()["error"]["code"] == "overloaded" for one in refused)
        rest(server)


def connected(server: Server, message: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=_WAIT_S)
    connection.sendall(message)
    return connection


def message(streamed: bool, **parameters: Any) -> bytes:
    body = json.dumps(asked("hello", **parameters)).encode()
    accept = "Accept: text/event-stream\r\n" if streamed else ""
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{accept}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("streamed", [True, False])
def test_who_hangs_up_is_not_written_for(server: Server, streamed: bool) -> None:
    name = 'zeropoint_tokens_total{kind="completion",model="tiny"}'
    rest(server)
    before = gauge(server, name)
    for _ in range(5):
        with connected(server, message(streamed, max_tokens=_LONG)) as connection:
            if streamed:
                assert connection.recv(4096)
            else:
                time.sleep(0.01)
    rest(server)
    if streamed or server.command is SERVE:  # the framework tells nobody until it writes
        assert gauge(server, name) - before < 5 * _LONG


def test_a_thousand_requests_of_which_many_hang_up_leave_nothing(repository: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "tiny"}
    with Server(settings, measured=False) as server:
        server.wait_until_ready()
        warm = _at_random(server, 200, seed=1, callers=3 * _CALLERS)  # all threads of the pool
        rest(server)
        before_bytes, threads = resources(server)
        counts = _at_random(server, _RANDOM_REQUESTS, seed=2)
        rest(server)
        assert warm["left"]
        assert counts["left"] > 200
        assert counts["whole"] > 200
        after_bytes, threads_after = resources(server)
        assert after_bytes - before_bytes < _GROWTH_BYTES
        assert threads_after <= threads + 2
        assert gauge(server, "zeropoint_requests_in_flight") == 1  # which asks
        found = requests.post(f"{server.url}/predict", json=asked("hello"), timeout=30).json()
        assert found["predictions"][0]["text"] == tiny_decoders.written("hello", 24)
        assert not [one for one in server.records() if one["severity"] == "ERROR"]


def _at_random(
    server: Server, requests_: int, seed: int, callers: int = _CALLERS
) -> dict[str, int]:
    """Sends requests of which half hang up somewhere; tells how many did, and how many stayed."""
    chance = random.Random(seed)  # noqa: S311 - the same requests at each run
    lock = threading.Lock()
    left = requests_
    counts = {"left": 0, "whole": 0}
    expected = tiny_decoders.written("hello", _SHORT)

    def call() -> None:
        nonlocal left
        while True:
            with lock:
                if left == 0:
                    return
                left -= 1
                count, streamed = chance.randint(1, _SHORT), chance.random() < 0.7
                after = chance.choice([None, None, 0, 1, 200, 2000])
                resets = chance.random() < 0.5
            with connected(server, message(streamed, max_tokens=count)) as connection:
                if after is None:
                    _read_whole(connection, streamed, expected[:count])
                elif after:
                    connection.recv(after)
                if resets:
                    now = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            with lock:
                counts["whole" if after is None else "left"] += 1

    with ThreadPoolExecutor(callers) as pool:
        for done in [pool.submit(call) for _ in range(callers)]:
            done.result()
    return counts


def _read_whole(connection: socket.socket, streamed: bool, expected: str) -> None:
    response = http.client.HTTPResponse(connection, method="POST")
    response.begin()
    body = response.read().decode()
    assert response.status == 200
    if streamed:
        parts = [json.loads(one[6:])["text"] for one in body.split("\n\n") if one]
        assert "".join(parts) == expected
    else:
        assert json.loads(body)["predictions"][0]["text"] == expected
