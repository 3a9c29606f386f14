"""Case 38: who is slow, or never finishes, keeps nobody else waiting."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.wire import PHOTO, call, connected, photo_is_answered
from servers import Server

HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\n"
COUNT = 60  # of each kind: many more than there are threads


@pytest.fixture(scope="module")
def few_threads(repository: Path) -> Iterator[Server]:
    """A server of few threads."""
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "colour"}
    with Server({**settings, "ZEROPOINT_MAX_QUEUE": "4"}) as running:
        running.wait_until_ready()
        photo_is_answered(running)
        yield running


def large_request() -> bytes:
    """Returns a request whose answer is some megabytes."""
    data = struct.pack("<f", 1.0) * 250_000
    entry = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1, 250_000],
        "parameters": {"binary_data_size": len(data)},
    }
    text = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    head = (
        "POST /v2/models/float/infer HTTP/1.1\r\nHost: a\r\n"
        f"Inference-Header-Content-Length: {len(text)}\r\n"
        f"Content-Length: {len(text) + len(data)}\r\n\r\n"
    )
    return head.encode() + text + data


def others_are_answered(server: Server) -> None:
    """Checks that photos are answered, and none of them late."""
    for _ in range(15):
        began_s = time.monotonic()
        photo_is_answered(server)
        assert time.monotonic() - began_s < 3.0


KINDS = {
    "no byte": b"",
    "half a line": b"POST /pre",
    "half a head": HEAD + b"Content-Type: ima",
    "half a length": HEAD + b"Content-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\nhalf",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1000\r\nhalf",
    "a chunk without end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;",
    "no body after all": HEAD + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_38_who_never_finishes_keeps_nobody_waiting(few_threads: Server, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(COUNT):
            stack.enter_context(connected(few_threads, KINDS[kind]))
        others_are_answered(few_threads)


def test_38_who_sends_byte_by_byte_keeps_nobody_waiting(few_threads: Server) -> None:
    head = HEAD + b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(PHOTO)
    ended = threading.Event()

    def trickle(connections: list[socket.socket]) -> None:
        for byte in head + PHOTO:
            for connection in connections:
                with contextlib.suppress(OSError):  # it may be closed, as one that is too slow
                    connection.send(bytes([byte]))
            if ended.wait(0.002):
                return

    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(connected(few_threads)) for _ in range(COUNT)]
        thread = threading.Thread(target=trickle, args=(found,))
        thread.start()
        try:
            others_are_answered(few_threads)
        finally:
            ended.set()
            thread.join()


def test_38_who_never_reads_keeps_nobody_waiting(few_threads: Server) -> None:
    request = large_request()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(10.0)
            connection.connect(("127.0.0.1", few_threads.port))
            connection.sendall(request)
        others_are_answered(few_threads)


def test_38_who_asks_and_hangs_up_keeps_nobody_waiting(few_threads: Server) -> None:
    request = HEAD + b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(PHOTO) + PHOTO
    for _ in range(COUNT):
        with connected(few_threads, request):
            pass
    others_are_answered(few_threads)


def test_38_all_of_them_together_keep_nobody_waiting(few_threads: Server) -> None:
    with contextlib.ExitStack() as stack:
        for part in KINDS.values():
            for _ in range(COUNT):
                stack.enter_context(connected(few_threads, part))
        others_are_answered(few_threads)
        assert call(few_threads, "GET", "/readyz").status == 200
