"""SIGTERM: what is here is answered in time, the rest is refused, and the process is gone."""

import contextlib
import http.client
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests

from servers import FRAMEWORK, SERVE, Server
from tiny_models import sha256, write_colour_model, write_identity_model, write_slow_model

ENDLESS = 10**9  # turns of the slow model
_SOME_TURNS = 100
_DRAIN_S = 1.5


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Server]:
    """A server of the model ``slow``, one pass at a time."""
    write_slow_model(tmp_path)
    settings = {
        "ZEROPOINT_MODELS": str(tmp_path),
        "ZEROPOINT_CPUS": "1",
        "ZEROPOINT_DRAIN_S": str(_DRAIN_S),
    }
    with Server(settings, command=SERVE) as running:
        running.wait_until_ready()
        yield running


def ask(server: Server, turns: int) -> requests.Response:
    return requests.post(server.url + "/predict", json={"instances": [turns]}, timeout=60)


def metric(server: Server, pattern: str) -> float:
    text = requests.get(server.url + "/metrics", timeout=10).text
    found = re.search(rf"^{pattern} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


def wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def wait_for_queue(server: Server, length: int) -> None:
    wait_for(lambda: metric(server, r'zeropoint_model_requests\{model="slow"\}') == length)


def stop(server: Server) -> float:
    """Ends a server in order and returns the seconds that it took."""
    began_s = time.monotonic()
    assert server.stop() == 0
    return time.monotonic() - began_s


def turns_of(server: Server, seconds: float) -> int:
    """Returns how many turns take about so long."""
    began_s = time.monotonic()
    assert ask(server, _SOME_TURNS).ok
    return max(1, round(_SOME_TURNS * seconds / (time.monotonic() - began_s)))


def connect(server: Server) -> "contextlib.closing[http.client.HTTPConnection]":
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    return contextlib.closing(connection)


def test_nothing_to_answer_is_no_wait(slow: Server) -> None:
    with socket.create_connection(("127.0.0.1", slow.port), timeout=5):
        assert stop(slow) < _DRAIN_S  # whoever says nothing is not waited for to the end


def test_what_is_in_flight_is_answered_and_nobody_else_is_let_in(slow: Server) -> None:
    turns = turns_of(slow, 0.7)
    with connect(slow) as kept_open, ThreadPoolExecutor(2) as pool:
        kept_open.request("GET", "/livez")
        kept_open.getresponse().read()
        answer = pool.submit(ask, slow, turns)
        wait_for_queue(slow, 1)
        stopped = pool.submit(stop, slow)
        time.sleep(0.2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", slow.port), timeout=5).close()
        kept_open.request("GET", "/livez")  # one that was on its way
        last = kept_open.getresponse()
        assert (last.status, last.headers["Connection"]) == (200, "close")
        last.read()
        assert stopped.result() < _DRAIN_S + 1
        assert answer.result().json()["predictions"] == [{"y": 1.0}]
        assert answer.result().headers["Connection"] == "close"


def test_what_the_drain_has_no_time_for_is_refused_and_the_process_ends(slow: Server) -> None:
    half = socket.create_connection(("127.0.0.1", slow.port), timeout=20)
    half.sendall(b"POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
    with ThreadPoolExecutor(4) as pool:
        waiting = []
        for turns in (ENDLESS, 1, 1):
            waiting.append(pool.submit(ask, slow, turns))
            wait_for_queue(slow, len(waiting))
        assert _DRAIN_S <= stop(slow) < _DRAIN_S + 1
        refused = [one.result() for one in waiting]
    message = "expected a request that can be answered before the process ends"
    for response in refused:
        assert response.status_code == 503
        error = {"code": "shutting_down", "message": message, "retryable": True}
        assert response.json() == {"error": error}
        assert response.headers["Retry-After"] == "1"
        assert response.headers["Connection"] == "close"
    with half:
        head, _, body = half.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(body) == {"error": message}
    assert slow.records()[-1]["severity"] == "WARNING"


@pytest.mark.parametrize("waits", [True, False])
def test_a_load_that_goes_on_keeps_no_process(tmp_path: Path, waits: bool) -> None:
    folder = write_slow_model(tmp_path)
    known = folder / "check.json"
    before = sha256(known)
    known.write_text(str(ENDLESS))
    toml = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(toml.replace(before, sha256(known)))
    settings = {"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_DRAIN_S": str(_DRAIN_S)}
    with Server(settings, command=SERVE) as server, ThreadPoolExecutor(1) as pool:
        wait_for(lambda: requests.get(server.url + "/readyz", timeout=10).status_code == 503)
        if waits:
            refused = pool.submit(ask, server, 1)
            wait_for(lambda: metric(server, "zeropoint_requests_in_flight") == 2)
            assert _DRAIN_S <= stop(server) < _DRAIN_S + 1
            assert refused.result().status_code == 503
        else:
            assert stop(server) < _DRAIN_S
        assert "terminate called" not in server.stderr()


def test_a_large_answer_to_a_slow_reader_comes_whole(tmp_path: Path) -> None:
    write_identity_model(tmp_path, "FLOAT", rank=1)
    settings = {"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_DRAIN_S": "10"}
    sent = np.arange(1_000_000, dtype=np.float32)
    tensor = {
        "name": "x",
        "shape": [len(sent)],
        "datatype": "FP32",
        "parameters": {"binary_data_size": sent.nbytes},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    with (
        Server(settings, command=SERVE) as server,
        ThreadPoolExecutor(1) as pool,
        connect(server) as connection,
    ):
        server.wait_until_ready()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        connection.request("POST", "/v2/models/float/infer", head + sent.tobytes(), headers)
        response = connection.getresponse()
        stopped = pool.submit(stop, server)
        body = b""
        while part := response.read(1 << 18):
            body += part
            time.sleep(0.05)
        assert stopped.result() < 11
    start = int(response.headers["Inference-Header-Content-Length"])
    assert body[start:] == 2 * sent.tobytes()


def test_the_framework_ends_in_time_too_and_leaves_nothing_in_the_home_folder(
    tmp_path: Path,
) -> None:
    write_slow_model(tmp_path)
    settings = {"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_DRAIN_S": "1"}
    with Server(settings, command=FRAMEWORK) as server, ThreadPoolExecutor(1) as pool:
        server.wait_until_ready()
        hung = pool.submit(ask, server, ENDLESS)
        wait_for_queue(server, 1)
        assert list(server.home.iterdir()) == []
        assert stop(server) < 1 + 1.5  # gunicorn looks once a second
        with contextlib.suppress(requests.ConnectionError):
            assert hung.result().status_code == 503


def test_sigterm_twice_is_once(tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    with Server({"ZEROPOINT_MODELS": str(tmp_path)}, command=SERVE) as server:
        server.wait_until_ready()
        with socket.create_connection(("127.0.0.1", server.port)):  # which keeps it for a second
            server.process.terminate()
            time.sleep(0.2)
            assert stop(server) < 5
