"""Cases 22, 23 and 30: limits are told before a body is read, and memory does not follow it."""

import contextlib
import gzip
import socket
import time
import zlib
from collections.abc import Callable

import pytest

from conformance.resources import MIB, Growth
from conformance.routes import ANSWERING, CHAT, TAKING, document_of
from conformance.wire import JSON, MARK, PHOTO, SMALL_BYTES, call, connected, received, refused
from servers import Server

EMPTY = b'{"instances":[]}'


@pytest.mark.parametrize("path", [*TAKING, CHAT])
def test_22_a_length_over_the_limit_is_413_before_the_body_comes(
    small_server: Server, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    data = f"{head}Content-Length: {SMALL_BYTES * 2}\r\n\r\n".encode()
    began_s = time.monotonic()
    with connected(small_server, data) as connection:
        answer = received(connection)
    assert answer
    assert f"at most {SMALL_BYTES} bytes" in refused(answer, path, 413)
    assert time.monotonic() - began_s < 5.0


@pytest.mark.parametrize("path", TAKING)
def test_22_chunks_over_the_limit_are_413_before_they_end(small_server: Server, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    sent = 0
    with connected(
        small_server, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    ) as connection:
        try:
            while sent < 1000 * SMALL_BYTES:  # it has no end of its own
                connection.sendall(chunk)
                sent += len(chunk)
                connection.setblocking(False)
                if peeked(connection):
                    break
                connection.settimeout(10.0)
        except ConnectionError:
            pass
        connection.settimeout(10.0)
        answer = received(connection)
    assert answer
    assert f"at most {SMALL_BYTES} bytes" in refused(answer, path, 413)
    assert sent < 100 * SMALL_BYTES  # and what the system's buffers hold


def peeked(connection: socket.socket) -> bool:
    """Tells whether something came back."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


@pytest.mark.parametrize("chunked", [False, True])
def test_22_a_body_at_the_limit_is_read(small_server: Server, chunked: bool) -> None:
    body = PHOTO.ljust(SMALL_BYTES, b"\0")
    head = b"POST /predict/efficientnet-lite0 HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n"
    if chunked:
        data = head + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body, 1000)
    else:
        data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connected(small_server, data) as connection:
        answer = received(connection)
    assert answer
    assert answer.json()["predictions"][0]["label"] == "tiger cat"


def in_chunks(body: bytes, size: int, extension: bytes = b"") -> bytes:
    """Returns a body in chunks."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "extension"),
    [
        (EMPTY.ljust(200_000), b""),
        (b'{"instances":[]}'.ljust(4000), b";" + b"a" * 900),
    ],
    ids=["of one byte", "with extensions"],
)
def test_23_very_many_chunks_take_no_memory(server: Server, body: bytes, extension: bytes) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    data = head + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body, 1, extension)
    call(server, "POST", "/predict", body, JSON)  # what any such body takes
    growth = Growth(server)
    for _ in range(2):
        began_s = time.monotonic()
        with connected(server, data, timeout_s=60.0) as connection:
            answer = received(connection)
        assert answer
        assert answer.json()["predictions"] == []
        assert time.monotonic() - began_s < 2.5
    assert growth.most_bytes < 16 * MIB
    assert growth.now_bytes < 8 * MIB


def test_23_who_sends_them_keeps_nobody_waiting(server: Server) -> None:
    """All of it at once, and a photo meanwhile."""
    body = in_chunks(EMPTY.ljust(200_000), 1)
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with connected(server, head + b"Transfer-Encoding: chunked\r\n\r\n") as connection:
        connection.settimeout(60.0)
        connection.sendall(body[:-5])
        began_s = time.monotonic()
        answer = call(server, "GET", "/livez")
        assert answer.status == 200
        assert time.monotonic() - began_s < 2.0
        connection.sendall(body[-5:])
        found = received(connection)
    assert found
    assert found.json()["predictions"] == []


def test_23_a_line_without_end_is_bounded(small_server: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    growth = Growth(small_server)
    for start in (b"1;", b"1\r\nx\r\n0\r\n", b"1\r\nx\r\n0\r\na: "):  # extension, trailers
        with connected(small_server, head + start) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"a" * 20 * MIB)
            answer = received(connection)
        assert answer
        refused(answer, "/predict")
    assert growth.most_bytes < 16 * MIB


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": bytes,
    "zstd": bytes,
    "compress": bytes,
    "identity, gzip": gzip.compress,
    "gzip, gzip": lambda body: gzip.compress(gzip.compress(body)),
    "aes128gcm": bytes,
    MARK: bytes,
    "identity;q=1": bytes,
    "*": bytes,
}


@pytest.mark.parametrize("path", [*TAKING, CHAT])
def test_30_an_encoding_that_is_not_decoded_is_415(server: Server, path: str) -> None:
    for encoding, encode in ENCODINGS.items():
        headers = {**JSON, "content-encoding": encoding}
        answer = call(server, "POST", path, encode(document_of(path, 0.0)), headers)
        refused(answer, path, 415)


@pytest.mark.parametrize("path", ANSWERING)
def test_30_no_bomb_is_decoded(server: Server, path: str) -> None:
    bomb = gzip.compress(bytes(64 * MIB))
    growth = Growth(server)
    for headers in ({**JSON, "content-encoding": "gzip"}, JSON):
        refused(call(server, "POST", path, bomb, headers), path)
    assert growth.most_bytes < 16 * MIB


def test_30_identity_is_no_encoding(server: Server) -> None:
    headers = {"content-type": "image/jpeg", "content-encoding": "identity"}
    answer = call(server, "POST", "/predict/efficientnet-lite0", PHOTO, headers)
    assert answer.json()["predictions"][0]["label"] == "tiger cat"
