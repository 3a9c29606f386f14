"""Cases 31, 32 and 33: SIGTERM ends a server in time, and loses no answer that it could give."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conformance.wire import JSON, Answer, call, connected, received, refused
from servers import SERVE, Server, environment, free_port
from slow_server import Slow, slow_server, wait_for_queue
from tiny_models import sha256, write_slow_model

DRAIN_S = 4.0
_LATE_S = 1.0  # how much later than the drain it may end
_BUSY_S = 1.5  # for a machine that does something else meanwhile


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    with slow_server(tmp_path, ZEROPOINT_DRAIN_S=str(DRAIN_S)) as running:
        yield running


def document(turns: int, count: int = 1) -> bytes:
    """Returns a document that takes so many turns, so many times."""
    return json.dumps({"instances": [turns] * count}).encode()


def ask(server: Server, turns: int, count: int = 1) -> Answer:
    """Asks for so many predictions of so many turns each."""
    return call(server, "POST", "/predict", document(turns, count), JSON)


def end(server: Server) -> float:
    """Sends SIGTERM, expects status 0, and returns how many seconds the end took."""
    began_s = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    return time.monotonic() - began_s


def is_refused(server: Server) -> bool:
    """Tells whether a new connection is refused."""
    with socket.socket() as probe:
        probe.settimeout(5.0)
        return probe.connect_ex(("127.0.0.1", server.port)) != 0


def test_31_what_came_before_sigterm_is_answered(slow: Slow) -> None:
    server, turns = slow
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(ask, server, turns) for _ in range(3)]  # one now, two in turn
        wait_for_queue(server, 3)
        took_s = end(server)
        for answer in answers:
            assert answer.result().json()["predictions"] == [{"y": 1.0}]
    assert took_s < DRAIN_S + _LATE_S
    assert server.stderr().count("\n") == 1  # that it serves
    assert [one for one in server.records() if one["severity"] == "ERROR"] == []


def test_31_no_new_connection_is_taken_meanwhile(slow: Slow) -> None:
    server, turns = slow
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, server, turns, 2)
        wait_for_queue(server, 1)
        server.process.send_signal(signal.SIGTERM)
        until_s = time.monotonic() + 2.0
        while not is_refused(server):
            assert time.monotonic() < until_s
            time.sleep(0.01)
        assert not answer.done()
        assert len(answer.result().json()["predictions"]) == 2
        assert server.process.wait(10) == 0


def test_31_what_takes_longer_is_refused_and_the_end_is_in_time(slow: Slow) -> None:
    server, turns = slow
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(ask, server, turns * 100) for _ in range(2)]  # 40 s each
        wait_for_queue(server, 2)
        took_s = end(server)
        for answer in answers:
            refused(answer.result(), "/predict", 503)
    assert DRAIN_S - 0.5 < took_s < DRAIN_S + _LATE_S + _BUSY_S


def test_31_who_never_finishes_a_request_delays_no_end(slow: Slow) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf"
    with contextlib.ExitStack() as stack:
        for part in (head, head[:30], b"") * 10:
            stack.enter_context(connected(slow.server, part))
        time.sleep(0.2)
        assert end(slow.server) < DRAIN_S + _LATE_S + _BUSY_S


@pytest.fixture
def loading(tmp_path: Path) -> dict[str, str]:
    """Settings of a server whose model takes seconds to load."""
    folder = write_slow_model(tmp_path)
    manifest, check = folder / "model.toml", folder / "check.json"
    text, before = manifest.read_text(), sha256(check)
    check.write_text("800")
    manifest.write_text(text.replace(before, sha256(check)))
    return {
        "ZEROPOINT_MODELS": str(tmp_path),
        "ZEROPOINT_CPUS": "1",
        "ZEROPOINT_DRAIN_S": str(DRAIN_S),
    }


@pytest.mark.parametrize("callers", [0, 3])
def test_32_sigterm_while_loading_ends_it_in_time(loading: dict[str, str], callers: int) -> None:
    with Server(loading) as running, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(ask, running, 1) for _ in range(callers)]
        assert call(running, "GET", "/readyz").status == 503
        time.sleep(0.1)
        took_s = end(running)
        for answer in answers:
            found = answer.result()
            assert found.status == 200 or refused(found, "/predict", 503)
        assert "Traceback" not in running.stdout() + running.stderr()
        assert "terminate called" not in running.stderr()
    assert took_s < DRAIN_S + _LATE_S + _BUSY_S


@pytest.mark.parametrize("delay_s", [0.05, 0.15, 0.25, 0.4, 0.6])
def test_32_at_any_moment_of_the_start_it_ends_well(
    loading: dict[str, str], tmp_path: Path, delay_s: float
) -> None:
    env = environment(tmp_path, {**loading, "PORT": str(free_port())})
    process = subprocess.Popen(SERVE, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        time.sleep(delay_s)
        process.terminate()
        told, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (0, -signal.SIGTERM), told  # before Python is up: the signal's own
    assert b"Traceback" not in told
    assert b"terminate called" not in told


def test_33_an_idle_connection_delays_no_end_and_is_closed(slow: Slow) -> None:
    server = slow.server
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(5)]
    with contextlib.ExitStack() as stack:
        for connection in connections:
            stack.enter_context(contextlib.closing(connection))
            connection.request("GET", "/livez")
            response = connection.getresponse()
            assert response.getheader("Connection") != "close"
            response.read()
        assert end(server) < 1.0 + _BUSY_S  # no drain: nothing is being answered
        for connection in connections:
            assert connection.sock.recv(1) == b""


def test_33_the_last_answer_of_a_connection_says_so(slow: Slow) -> None:
    server, turns = slow
    body = document(turns, 2)
    request = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    request += b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connected(server, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", timeout_s=30) as connection:
        first = received(connection, "GET")
        assert first
        assert first.headers.get("Connection", "").lower() != "close"
        connection.sendall(request)
        wait_for_queue(server, 1)
        server.process.send_signal(signal.SIGTERM)
        answer = received(connection)
        assert answer
        assert len(answer.json()["predictions"]) == 2
        assert answer.headers["Connection"].lower() == "close"
        assert connection.recv(1) == b""
    assert server.process.wait(10) == 0


def test_33_a_next_request_is_answered_whole_or_not_at_all(slow: Slow) -> None:
    server, turns = slow
    body = document(turns)
    request = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    request += b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connected(server, request * 3, timeout_s=30) as connection:
        wait_for_queue(server, 1)
        server.process.send_signal(signal.SIGTERM)
        told = b""
        while part := connection.recv(65536):
            told += part
    assert server.process.wait(10) == 0
    answers = told.split(b"HTTP/1.1 ")[1:]
    assert 1 <= len(answers) <= 3
    for answer in answers:
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith((b"200 ", b"503 "))
        json.loads(rest)
