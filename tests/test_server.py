"""The server of zeropoint serve: who misbehaves is refused, and keeps nobody else waiting."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from servers import SERVE, Server, environment, free_port, zeropoint
from tiny_models import picture, write_colour_model

_LIMIT = 100_000


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the model ``colour`` that takes few bytes."""
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MAX_BODY_BYTES": str(_LIMIT)}
    with Server(settings, command=SERVE) as running:
        running.wait_until_ready()
        yield running


def raw(server: Server, data: bytes) -> tuple[int, dict[str, object]]:
    """Returns the status and the JSON that come back for bytes on a connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(data)
        told = b""
        while part := connection.recv(65536):
            told += part
            if b"}}" in told or b'"}' in told:
                break
    head, _, body = told.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        (b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400, "malformed"),
        (b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"POST /predict HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "malformed"),
        (
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
            413,
            "body_too_large",
        ),
    ],
)
def test_what_is_no_request_is_refused_in_our_shape(
    small_server: Server, request_line: bytes, status: int, code: str
) -> None:
    found, body = raw(small_server, request_line)
    error = body["error"]
    assert isinstance(error, dict)
    assert (found, error["code"]) == (status, code)
    assert error["message"].startswith("expected")


def test_a_refusal_has_the_shape_of_its_path(small_server: Server) -> None:
    line = b"POST /v2/models/colour/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"
    status, body = raw(small_server, line)
    assert status == 413
    assert body == {"error": f"expected a body of at most {_LIMIT} bytes, got more"}


def test_who_never_finishes_keeps_nobody_waiting(small_server: Server) -> None:
    with contextlib.ExitStack() as stack:
        for part in (b"POST /predict HTTP/1.1\r\nHost:", b"", b"POST /predict HTTP/1.1\r\n") * 100:
            connection = socket.create_connection(("127.0.0.1", small_server.port), timeout=10)
            stack.enter_context(connection)
            connection.sendall(part)
        body = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf"
        for _ in range(100):
            connection = socket.create_connection(("127.0.0.1", small_server.port), timeout=10)
            stack.enter_context(connection)
            connection.sendall(body)
        url = small_server.url + "/predict"
        for _ in range(20):
            answer = requests.post(url, data=picture("red"), timeout=10)
            assert answer.json()["predictions"][0]["label"] == "red"


def test_a_port_that_is_taken_is_one_line(small_server: Server, tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "serve", "--port", str(small_server.port))
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith(f"zeropoint: expected a free port, got {small_server.port}: ")


def test_a_process_that_is_ended_while_it_loads_ends_well(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "zeropoint", "serve", "--port", str(free_port())]
    for delay_s in (0.10, 0.14, 0.18, 0.22, 0.26, 0.30, 0.40):
        process = subprocess.Popen(command, env=environment(tmp_path), stderr=subprocess.PIPE)
        time.sleep(delay_s)
        process.terminate()
        _, told = process.communicate(timeout=30)
        assert process.returncode in (0, -signal.SIGTERM), told
        assert b"terminate called" not in told
