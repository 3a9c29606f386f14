"""Who comes to a model that has too many is told so at once, and loses nothing by it."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers import SERVE, Server
from test_draining import ENDLESS, ask, connect, metric, turns_of, wait_for, wait_for_queue
from tiny_models import write_colour_model, write_slow_model

_JSON = {"Content-Type": "application/json"}


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Server]:
    """A server of two models, each for one request at a time."""
    write_slow_model(tmp_path)
    write_colour_model(tmp_path)
    settings = {
        "ZEROPOINT_MODELS": str(tmp_path),
        "ZEROPOINT_MODEL": "slow",
        "ZEROPOINT_CPUS": "1",
        "ZEROPOINT_MAX_QUEUE": "1",
        "ZEROPOINT_DRAIN_S": "0.5",
    }
    with Server(settings, command=SERVE) as running:
        running.wait_until_ready()
        yield running


@contextlib.contextmanager
def busy(server: Server) -> Iterator[None]:
    """Has the model ``slow`` at work, till the caller hangs up and the server ends."""
    document = json.dumps({"instances": [ENDLESS]}).encode()
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(document) + document)
        wait_for_queue(server, 1)
        yield


def answered(
    connection: http.client.HTTPConnection, path: str, document: object, request_id: str = "a"
) -> http.client.HTTPResponse:
    headers = {**_JSON, "X-Request-Id": request_id}
    connection.request("POST", path, json.dumps(document), headers)
    return connection.getresponse()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/predict", "overloaded"),
        ("/predict/slow", "overloaded"),
        ("/v2/models/slow/infer", None),
        ("/v2/models/slow/versions/1/infer", None),
    ],
)
def test_the_refusal_has_its_paths_shape_and_the_connection_stays(
    slow: Server, path: str, code: str | None
) -> None:
    with busy(slow), connect(slow) as connection:
        sockets = set()
        for number in range(3):
            answer = answered(connection, path, {"instances": [1]}, f"mine-{number}")
            error = json.loads(answer.read())["error"]
            assert (answer.status, answer.headers["X-Request-Id"]) == (429, f"mine-{number}")
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
            if code:
                assert error["code"] == code
            else:
                assert isinstance(error, str)
            sockets.add(connection.sock)
        assert len(sockets) == 1
        assert metric(slow, r'zeropoint_refusals_total\{code="overloaded"\}') == 3
        assert metric(slow, r"zeropoint_requests_in_flight") == 2  # with this one


def test_others_than_the_crowded_model_answer(slow: Server) -> None:
    with busy(slow), connect(slow) as connection:
        assert answered(connection, "/predict", {"instances": [1]}).read()
        for path in ("/livez", "/models"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
        answer = answered(connection, "/predict/colour", {"instances": [1]})
        answer.read()
        assert answer.status == 422  # it is asked, and wants a picture


def test_what_comes_at_once_by_one_connection_is_answered_in_order(slow: Server) -> None:
    def message(path: bytes, body: bytes) -> bytes:
        head = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" % path
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    one = message(b"/predict", b'{"instances": [1]}')
    live = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    with busy(slow), socket.create_connection(("127.0.0.1", slow.port), timeout=20) as connection:
        connection.sendall(one + live + one + live)
        statuses = []
        file = connection.makefile("rb")
        for _ in range(4):
            statuses.append(int(file.readline().split()[1]))
            length = 0
            while line := file.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            file.read(length)
        file.close()
    assert statuses == [429, 200, 429, 200]


def test_the_next_one_is_answered_once_there_is_room(slow: Server) -> None:
    turns = turns_of(slow, 0.3)
    with ThreadPoolExecutor(1) as pool, connect(slow) as connection:
        first = pool.submit(ask, slow, turns)
        wait_for_queue(slow, 1)
        answer = answered(connection, "/predict", {"instances": [1]})
        answer.read()
        assert answer.status == 429
        assert first.result().ok
        wait_for(lambda: metric(slow, r'zeropoint_model_requests\{model="slow"\}') == 0)
        answer = answered(connection, "/predict", {"instances": [1]})
        assert json.loads(answer.read())["predictions"] == [{"y": 1.0}]
