"""A served model that fails on the way: what comes of it, and that a chat is told why."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from zeropoint.cli.conversation import There
from zeropoint.errors import ClientError, ServerError, UnavailableError, ZeropointError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
PIECE = b'data: {"text":"a cat"}\n\n'
LAST = (
    b'data: {"text":"","finish_reason":"stop","prompt_tokens":2,"completion_tokens":3,"model":"m"}'
)
MESSAGES = [{"role": "user", "content": "who"}]


@contextmanager
def answered_with(data: bytes) -> Iterator[str]:
    """Listens, and gives the first request this answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                asked = b""
                while not asked.endswith(b"}"):
                    asked += connection.recv(1 << 16)
                connection.sendall(data)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(10.0)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_pieces_come_to_an_end(end: bytes) -> None:
    events = (b": a comment\n\n" + PIECE + PIECE + LAST + b"\n\n").replace(b"\n\n", end)
    with (
        answered_with(HEAD + events) as url,
        There(url, "m", {}, "").answer(MESSAGES) as reply,
    ):
        assert list(reply) == ["a cat", "a cat"]
        assert (reply.finish_reason, reply.completion_tokens) == ("stop", 3)


@pytest.mark.parametrize(
    ("rest", "kind", "said"),
    [
        (
            b'event: error\ndata: {"error": {"code": "internal", "message": "no memory"}}\n\n',
            ServerError,
            "no memory",
        ),
        (b"", UnavailableError, "expected the text's end, got that of the connection"),
        (b'data: {"piece": "a"}\n\n', ServerError, "expected an event of this function"),
        (b'data: {"te', UnavailableError, "expected the text's end"),
    ],
)
def test_what_goes_wrong_after_some_words(
    rest: bytes, kind: type[ZeropointError], said: str
) -> None:
    with (
        answered_with(HEAD + PIECE + rest) as url,
        There(url, "", {}, "").answer(MESSAGES) as reply,
        pytest.raises(kind, match=said),
    ):
        list(reply)
    with (
        answered_with(HEAD + PIECE + rest) as url,
        There(url, "", {}, "").answer(MESSAGES) as reply,
    ):
        assert next(iter(reply)) == "a cat"


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\nno page", ClientError, "got another of status 404"),
        (
            b'HTTP/1.1 429 Too Many\r\n\r\n{"error": {"message": "fewer"}}',
            ServerError,
            "fewer",
        ),
        (b"HTTP/1.1 500 No\r\n\r\n[]", ServerError, "got another of status 500"),
        (b"", UnavailableError, "is the function served there"),
        (b"no HTTP\r\n\r\n", UnavailableError, "is the function served there"),
    ],
)
def test_a_refusal_before_the_first_word(
    answer: bytes, kind: type[ZeropointError], said: str
) -> None:
    with answered_with(answer) as url, pytest.raises(kind, match=said):
        There(url, "m", {}, "").answer(MESSAGES)
