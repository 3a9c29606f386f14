"""The load: how many ask at once, what it tells, and what an answer must be."""

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import Server, free_port
from tiny_models import picture
from zeropoint.bench import load
from zeropoint.bench.server import Server as Fresh
from zeropoint.bench.server import places
from zeropoint.errors import ClientError, ServerError

PHOTO = load.message("POST", "/predict", picture("red"), "application/octet-stream")


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """Says the same to whoever connects and sends something, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


@pytest.mark.parametrize("callers", [1, 5])
def test_all_callers_are_answered_for_as_long_as_is_asked(
    colour_server: Server, callers: int
) -> None:
    began_s = time.perf_counter()
    found = load.run(colour_server.port, [PHOTO], callers, 0.2)
    assert found.took_s <= time.perf_counter() - began_s
    assert found.took_s >= 0.2
    assert len(found.walls_s) >= callers
    assert found.walls_s == sorted(found.walls_s)
    # What they took together is the time of all callers, but for a little between answers.
    assert 0.3 * callers * found.took_s < sum(found.walls_s) < 1.05 * callers * found.took_s


def test_the_requests_take_turns(colour_server: Server) -> None:
    wrong = load.message("POST", "/predict", b"no photo", "application/octet-stream")
    assert load.run(colour_server.port, [PHOTO, wrong], 1, 0.0).walls_s
    with pytest.raises(ClientError, match=r"^expected an answer, got status 4\d\d: expected a J"):
        load.run(colour_server.port, [PHOTO, wrong], 1, 0.2)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"", "got a closed connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "got a closed connection"),
        (b"HTTP/1.1 503 Away\r\nContent-Length: 3\r\n\r\nno!", "got status 503: no more is told"),
    ],
)
def test_half_an_answer_is_none(reply: bytes, told: str) -> None:
    with answering(reply) as port, pytest.raises(ServerError, match=told):
        load.run(port, [PHOTO], 1, 0.0)


@given(st.lists(st.floats(0.0, 10.0), min_size=1))
def test_percentiles_are_of_what_was_measured(walls_s: list[float]) -> None:
    found = load.Load(sorted(walls_s), 1.0)
    told = [found.percentile_ms(share) for share in (0.0, 0.5, 0.99, 1.0)]
    assert told == sorted(told)
    assert told[0] == min(walls_s) * 1000
    assert told[-1] == max(walls_s) * 1000


def test_a_server_that_ends_is_told_with_its_last_words() -> None:
    code = "import sys; sys.exit('some line\\nzeropoint: expected a port')"
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen([sys.executable, "-c", code], stderr=stderr)
        with process, pytest.raises(ServerError, match=r"ended and said expected a port$"):
            Fresh(process, free_port(), time.perf_counter(), stderr).first_answer(PHOTO)


def test_callers_have_what_the_server_leaves() -> None:
    some, all_ = places(1), places(1000)
    assert len(some.server) <= 1
    assert some.callers
    assert all_.callers == all_.server
