"""HTTP as bytes on a connection, well-formed or not, and the shape of every refusal."""

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from conftest import CAT
from servers import Server
from tiny_models import picture

JSON = {"content-type": "application/json"}
PHOTO = CAT.read_bytes()
PHOTO_MODEL = "efficientnet-lite0"
SMALL_BYTES = 100_000  # the body limit of the fixture `small_server`
FULL = os.environ.get("ZEROPOINT_CONFORMANCE") == "full"  # else what is long is shorter
LIBTIFF = "tempfile.tif: "  # how what libtiff writes to stderr begins
MARK = "mark-of-the-caller"  # stands for whatever must not come back


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Returns the body, which must be JSON as RFC 8259 has it."""
        return json.loads(self.body, parse_constant=_refuse_constant)


def call(
    server: Server,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> Answer:
    """Sends one whole request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout_s)
    with contextlib.closing(connection):
        connection.request(method, path, body or None, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())


@contextlib.contextmanager
def connected(
    server: Server, data: bytes = b"", timeout_s: float = 10.0
) -> Iterator[socket.socket]:
    """Gives a connection on which some bytes were sent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as connection:
        connection.sendall(data)
        yield connection


def received(connection: socket.socket, method: str = "POST") -> Answer | None:
    """Returns the next answer of a connection; None: it was closed, or nothing came in time."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        return Answer(response.status, dict(response.getheaders()), response.read())
    except (TimeoutError, ConnectionError):
        return None


def photo_is_answered(server: Server) -> None:
    """Checks that a server answers a photo, and rightly."""
    names = [model["name"] for model in call(server, "GET", "/models").json()["models"]]
    photo, expected = (PHOTO, "tiger cat") if PHOTO_MODEL in names else (picture("green"), "green")
    model = PHOTO_MODEL if PHOTO_MODEL in names else "colour"
    answer = call(server, "POST", f"/predict/{model}", photo, {"content-type": "image/jpeg"})
    assert answer.status == 200, answer.body[:500]
    (prediction,) = answer.json()["predictions"]
    assert prediction["label"] == expected
    if photo is PHOTO:
        assert abs(prediction["probability"] - 0.385) < 0.03


def refused(answer: Answer, path: str, status: int | None = None) -> str:
    """Checks that an answer is a refusal in its path's one shape, and returns its message."""
    told = (path, answer.status, answer.body[:500])
    assert answer.status == status if status else 400 <= answer.status < 500, told
    assert answer.headers["Content-Type"] == "application/json", told
    assert MARK.encode() not in answer.body, told
    body = answer.json()
    if path.startswith("/v2"):
        assert body.keys() == {"error"}, told
        message = body["error"]
    elif path.startswith("/v1/") and path != "/v1/predict":  # which is Vertex AI's here
        assert body.keys() == {"error"}, told
        assert body["error"].keys() == {"message", "type", "param", "code"}, told
        message = body["error"]["message"]
    elif path.startswith("/bigquery"):
        assert body.keys() == {"errorMessage"}, told
        message = body["errorMessage"]
    else:
        assert body.keys() == {"error"}, told
        assert body["error"].keys() == {"code", "message", "retryable"}, told
        assert body["error"]["retryable"] is (answer.status in (429, 503)), told
        message = body["error"]["message"]
    assert message, told
    assert len(message) < 500, told
    if answer.status in (429, 503):
        assert int(answer.headers["Retry-After"]) >= 1, told
    if answer.status == 405:
        assert answer.headers["Allow"], told
    return str(message)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
