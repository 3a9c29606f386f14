"""At rest nothing runs: the process ends without requests, and loses none by it."""

import contextlib
import http.client
import os
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from edge.passing import TIMEOUT_S, Activator, wait_until
from servers import SERVE, Server
from test_draining import ENDLESS, ask, turns_of
from tiny_models import picture, sha256, write_slow_model

_ACTIVATIONS = int(os.environ.get("ZEROPOINT_ACTIVATIONS", "6"))
_IDLE_S = 0.5


def settings(repository: Path, idle_s: float = _IDLE_S) -> dict[str, str]:
    return {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_IDLE_EXIT_S": str(idle_s)}


def predict(url: str) -> int:
    return requests.post(f"{url}/predict", data=picture("red"), timeout=TIMEOUT_S).status_code


def test_it_starts_when_asked_ends_at_rest_and_starts_again(colour_repository: Path) -> None:
    with Activator(settings(colour_repository)) as function:
        assert function.process is None
        for turn in (1, 2):
            assert predict(function.url) == 200
            function.wait_for_rest()
            assert function.ended == [0] * turn
    assert all("no request for 0.5 s: the process ends" in said for said in function.said)
    assert not any("nothing starts it again" in said for said in function.said)


def test_no_request_is_lost_at_the_boundary(colour_repository: Path) -> None:
    """Requests come just before, while and just after the process ends, each by a new connection.

    One that were refused, reset or not answered would raise.
    """
    chance = random.Random(1)  # noqa: S311 - no secret
    idle_s = 0.2
    with Activator(settings(colour_repository, idle_s)) as function:
        while len(function.ended) < _ACTIVATIONS:
            assert predict(function.url) == 200
            time.sleep(idle_s + chance.uniform(-0.005, 0.02))
            with ThreadPoolExecutor(3) as pool:  # and three at once
                found = pool.map(predict, [function.url] * 3)
            assert [*found] == [200] * 3
    assert set(function.ended) == {0}


def test_who_keeps_a_connection_open_keeps_no_process(colour_repository: Path) -> None:
    with Activator(settings(colour_repository)) as function:
        connection = http.client.HTTPConnection("127.0.0.1", function.port, timeout=TIMEOUT_S)
        with contextlib.closing(connection), connected(function.port):
            connection.request("GET", "/livez")
            assert connection.getresponse().read()
            function.wait_for_rest()
            assert function.ended == [0]
            assert connection.sock.recv(1) == b""  # closed, not reset
            connection.close()
            connection.request("GET", "/livez")  # a new connection
            assert connection.getresponse().status == 200


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)


def test_half_a_request_is_a_request_and_so_is_one_of_health(colour_repository: Path) -> None:
    with Activator(settings(colour_repository)) as function:
        began_s = time.monotonic()
        with connected(function.port) as half:
            half.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
            while time.monotonic() < began_s + 3 * _IDLE_S:
                time.sleep(_IDLE_S / 5)  # what comes slowly comes
                half.sendall(b"")
            assert function.ended == []
            half.sendall(b"no-photo!")
            assert half.recv(1 << 16).startswith(b"HTTP/1.1 415 ")
        began_s = time.monotonic()
        while time.monotonic() < began_s + 3 * _IDLE_S:
            assert requests.get(f"{function.url}/livez", timeout=TIMEOUT_S).ok
            time.sleep(_IDLE_S / 5)
        assert function.ended == []


def test_what_takes_longer_than_that_is_answered(tmp_path: Path) -> None:
    write_slow_model(tmp_path)
    with Server(settings(tmp_path, 1.0), command=SERVE) as server:
        turns = turns_of(server, 2.5)
        began_s = time.monotonic()
        assert ask(server, turns).json()["predictions"] == [{"y": 1.0}]
        assert time.monotonic() - began_s > 1.0
        assert server.process.wait(TIMEOUT_S) == 0
        (warning,) = (one for one in server.records() if one["severity"] == "WARNING")
    assert "nothing starts it again" in warning["message"]


def test_a_load_is_no_rest(tmp_path: Path) -> None:
    folder = write_slow_model(tmp_path)
    known = folder / "check.json"
    before = sha256(known)
    known.write_text(str(ENDLESS))
    toml = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(toml.replace(before, sha256(known)))
    with Server(settings(tmp_path, 0.2), command=SERVE) as server:
        with pytest.raises(Exception, match="timed out"):
            server.process.wait(2.0)
        assert server.stop() == 0


def test_by_default_it_stays(colour_repository: Path) -> None:
    with Server({"ZEROPOINT_MODELS": str(colour_repository)}) as server:
        server.wait_until_ready()
        assert not any(one["severity"] == "WARNING" for one in server.records())
        wait_until(lambda: requests.get(server.url + "/livez", timeout=TIMEOUT_S).ok)
        assert server.process.poll() is None
