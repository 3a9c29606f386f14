"""Connections of zeropoint serve: who is slow, silent or gone keeps nobody waiting."""

import contextlib
import http.client
import json
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from servers import SERVE, Server
from test_draining import ask, metric, turns_of, wait_for, wait_for_queue
from tiny_models import picture, write_colour_model, write_identity_model, write_slow_model

MB = 1_000_000
_HEAD = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has a second for a request to come in, and little room for them."""
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    write_slow_model(repository)
    write_identity_model(repository, "FLOAT", rank=1)
    settings = {
        "ZEROPOINT_MODELS": str(repository),
        "ZEROPOINT_MODEL": "colour",
        "ZEROPOINT_CPUS": "1",
        "ZEROPOINT_TIMEOUT_S": "2",
        "ZEROPOINT_MAX_INCOMING_BYTES": str(8 * MB),
    }
    with Server(settings, command=SERVE) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Server]:
    """A server of the model ``slow``, one pass at a time."""
    write_slow_model(tmp_path)
    settings = {"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_CPUS": "1"}
    with Server(settings, command=SERVE) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(autouse=True)
def _a_photo_is_answered_rightly_after_all(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        server: Server = request.getfixturevalue("server")
        answer = requests.post(server.url + "/predict", data=picture("red"), timeout=10)
        assert answer.json()["predictions"][0]["label"] == "red"


def connect(server: Server, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(data)
    return connection


def told(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Returns status, headers and body of the one answer that a connection gives till its end."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, dict(response.headers), response.read()


def resident_bytes(server: Server) -> int:
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize(
    "begin",
    [b"G", b"POST /predict HTTP/1.1\r\nHost: a\r\n", _HEAD % (b"/predict", 100) + b"half"],
    ids=["nothing", "head", "body"],
)
def test_who_does_not_finish_a_request_is_refused_in_time(server: Server, begin: bytes) -> None:
    with connect(server, begin) as connection:
        began_s = time.monotonic()
        status, headers, body = told(connection)
        assert time.monotonic() - began_s < 8
    assert status == 408
    assert json.loads(body)["error"]["code"] == "request_timeout"
    assert headers["Connection"] == "close"


def test_who_sends_a_byte_now_and_then_is_refused_in_time(server: Server) -> None:
    with connect(server, _HEAD % (b"/predict", 10_000)) as connection:
        connection.settimeout(0.1)
        until_s = time.monotonic() + 8
        answer = b""
        while not answer:
            assert time.monotonic() < until_s
            connection.sendall(b".")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_who_does_not_read_an_answer_loses_it(server: Server) -> None:
    before = resident_bytes(server)
    tensor = {"name": "x", "shape": [200_000], "datatype": "FP32", "data": [0.1] * 200_000}
    body = json.dumps({"inputs": [tensor]}).encode()
    with contextlib.ExitStack() as stack:
        silent = socket.socket()
        stack.enter_context(silent)
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.settimeout(20)
        silent.connect(("127.0.0.1", server.port))
        silent.sendall(_HEAD % (b"/v2/models/float/infer", len(body)) + body)
        began_s = time.monotonic()
        wait_for(lambda: not connected(silent))
        assert 1.5 < time.monotonic() - began_s < 10
    assert resident_bytes(server) - before < 40 * MB


def connected(connection: socket.socket) -> bool:
    """Tells whether the server still has its end of a connection."""
    port = f":{connection.getsockname()[1]:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    # Of an established one the state is 01; its remote end is our own port.
    return any(line.split()[2].endswith(port) and line.split()[3] == "01" for line in lines)


def test_bodies_that_stall_make_room_for_those_that_come(server: Server) -> None:
    before = resident_bytes(server)
    with contextlib.ExitStack() as stack:
        stalled = [
            connect(server, _HEAD % (b"/predict", 3 * MB) + bytes(int(2.5 * MB))) for _ in range(3)
        ]
        for connection in stalled:
            stack.enter_context(connection)
        time.sleep(1.3)
        photo = picture("red") + bytes(3 * MB)  # what follows a PNG is no part of it
        answer = requests.post(server.url + "/predict", data=photo, timeout=20)
        assert answer.json()["predictions"][0]["label"] == "red"
        found = [told(connection) for connection in stalled]
    codes = [json.loads(body)["error"]["code"] for _, _, body in found]
    assert "overloaded" in codes
    assert {*codes} <= {"overloaded", "request_timeout"}
    assert resident_bytes(server) - before < 30 * MB


def test_many_bodies_at_once_take_no_more_than_there_is_room_for(server: Server) -> None:
    before = resident_bytes(server)
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(30):
            connection = stack.enter_context(connect(server))
            with contextlib.suppress(ConnectionError):
                connection.sendall(_HEAD % (b"/predict", 3 * MB) + bytes(2 * MB))
            found.append(connection)
        assert resident_bytes(server) - before < 40 * MB
        answers = [told(connection) for connection in found]
    refused = [headers for status, headers, _ in answers if status == 429]
    assert len(refused) >= 20
    assert all(headers["Retry-After"] and headers["Connection"] == "close" for headers in refused)


def test_a_body_that_is_alone_is_taken_whatever_the_room(tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    settings = {"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_MAX_INCOMING_BYTES": "1"}
    with Server(settings, command=SERVE) as running:
        data = picture("red") + bytes(3 * MB)
        answer = requests.post(running.url + "/predict", data=data, timeout=20)
        assert answer.json()["predictions"][0]["label"] == "red"


def test_a_refused_body_need_not_come_and_the_refusal_is_read_though_it_does(
    server: Server,
) -> None:
    ask_first = (_HEAD % (b"/predict", 40 * MB)).replace(b"Host", b"Expect: 100-continue\r\nHost")
    with connect(server, ask_first) as connection:
        assert told(connection)[0] == 413
    with connect(server, _HEAD % (b"/predict", 40 * MB) + bytes(40 * MB)) as connection:
        assert told(connection)[0] == 413


def test_requests_sent_at_once_are_answered_in_order(server: Server) -> None:
    request = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
    paths = [b"/livez", b"/nowhere", b"/models", b"/livez"]
    with connect(server, b"".join(request % path for path in paths)) as connection:
        file = connection.makefile("rb")
        statuses = []
        for _ in paths:
            statuses.append(int(file.readline().split()[1]))
            length = 0
            while (line := file.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split()[1])
            file.read(length)
        file.close()
    assert statuses == [200, 404, 200, 200]


def test_who_sends_no_more_may_still_read(server: Server) -> None:
    photo = picture("green")
    for _ in range(20):
        with connect(server, _HEAD % (b"/predict", len(photo)) + photo) as connection:
            connection.shutdown(socket.SHUT_WR)
            status, _, body = told(connection)
            assert (status, b'"green"' in body) == (200, True)


def test_a_thousand_silent_connections_make_room(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1500:
        pytest.skip("too few descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1500), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(1010):
            stack.enter_context(connect(server))
        answer = requests.post(server.url + "/predict", data=picture("blue"), timeout=20)
        assert answer.json()["predictions"][0]["label"] == "blue"


def test_the_work_of_callers_who_hang_up_is_dropped_and_counted(slow: Server) -> None:
    turns = turns_of(slow, 1.0)
    before = metric(slow, r'zeropoint_forward_passes_total\{model="slow"\}')
    document = json.dumps({"instances": [turns]}).encode()
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, slow, turns)
        wait_for_queue(slow, 1)
        callers = [
            connect(slow, head + b"Content-Length: %d\r\n\r\n" % len(document) + document)
            for _ in range(5)
        ]
        wait_for_queue(slow, 6)
        last = pool.submit(ask, slow, 1)
        wait_for_queue(slow, 7)
        for caller in callers:
            caller.close()
        assert first.result().ok
        assert last.result().ok
    wait_for(lambda: metric(slow, r'zeropoint_refusals_total\{code="cancelled"\}') == 5)
    assert metric(slow, r'zeropoint_forward_passes_total\{model="slow"\}') == before + 2
    assert metric(slow, r'zeropoint_model_requests\{model="slow"\}') == 0
