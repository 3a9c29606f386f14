"""Whatever comes over the wire, a server answers it in shape, and the next photo rightly."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from fuzz import bodies
from fuzz.budget import tries
from fuzz.damage import HEADER_TEXT, damaged
from servers import Server
from tiny_decoders import write_decoder
from tiny_models import picture, write_colour_model, write_identity_model
from tiny_tables import weighed_graph, write_table_model
from tiny_texts import write_judge_model

PATHS = (
    *("/", "/predict", "/predict/colour", "/predict/table", "/predict/float", "/predict/string"),
    *("/predict/judge", "/predict/int64", "/bigquery", "/events", "/pubsub", "/models/table"),
    *("/v2/models/float/infer", "/v2/models/colour/infer", "/v2/models/string/versions/1/infer"),
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings"),
)
QUERIES = ("", "?top_k=1", "?threshold=0.5", "?top_k=" + "9" * 5000, "?a=" + "[" * 3000, "?%ff=%00")
OTHER_HEADERS = ("traceparent", "x-request-id", "x-cloud-trace-context", "content-encoding")
REQUEST = (
    b"POST /predict?top_k=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b'Content-Length: 17\r\nX-Request-Id: 1\r\n\r\n{"instances": []}'
)
CHUNKED = (
    b"POST /v2/models/float/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5;a=b\r\n{"inp\r\n9\r\nuts": []}\r\n0\r\nA: b\r\n\r\n'
)
HTTP = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b":", b"\0", b"\xff", b"HTTP/1.0", b"HTTP/2.0"),
    *(b"Content-Length: 0\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"ffffffff\r\n"),
    *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Content-Encoding: gzip\r\n"),
    *(b"GET ", b"TRACE ", b"OPTIONS * ", b"CONNECT a:1 ", b"http://[::1", b"//", b"%", b"%2e%2e/"),
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"Host: b\r\n", b" a: b\r\n", b"a" * 70_000),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a model of each kind, which has logged no error of ours when it ends."""
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    write_judge_model(repository)
    write_decoder(repository)
    for dtype in ("FLOAT", "STRING", "INT64"):
        write_identity_model(repository, dtype)
    features = [{"name": name, "type": "number", "default": 0} for name in "ab"]
    output = {"labels": ["small", "large"], "activation": "softmax"}
    model = weighed_graph([[0.0, 1.0], [1.0, 0.0]])
    write_table_model(repository, model, features, output, {"a": 1, "b": 0}, {"label": "large"})
    settings = {
        "ZEROPOINT_MODELS": str(repository),
        "ZEROPOINT_MODEL": "colour",
        "ZEROPOINT_BUCKETS": "photos",
        # A storage that is away: events and instances that name its objects may come again.
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",
    }
    with Server(settings) as running:
        running.wait_until_ready()
        yield running
        assert [one for one in running.records() if one["severity"] in ("ERROR", "CRITICAL")] == []
        assert "Traceback" not in running.stderr()


@pytest.fixture(autouse=True)
def still_right(server: Server) -> Iterator[None]:
    """After each test the same server answers a photo rightly."""
    yield
    for colour in ("red", "blue"):
        answer = requests.post(server.url + "/predict", data=picture(colour), timeout=60)
        assert answer.json()["predictions"][0]["label"] == colour


def check(path: str, status: int, body: bytes) -> None:
    """Checks an answer: never our fault, and a refusal is of its route's shape."""
    assert status < 500 or status == 503, (status, body[:500])
    if status == 200:
        return
    told = json.loads(body)
    if path.startswith("/v2"):
        assert told.keys() == {"error"}
        assert isinstance(told["error"], str)
    elif path.startswith("/v1"):
        assert told["error"].keys() == {"message", "type", "param", "code"}
    elif path.startswith("/bigquery"):
        assert told.keys() == {"errorMessage"}
    elif "errorMessage" not in told:  # what was sent to / may be BigQuery's
        assert told["error"].keys() == {"code", "message", "retryable"}


@tries(300)
@given(
    st.sampled_from(PATHS),
    st.sampled_from(QUERIES),
    bodies.SENT,
    bodies.EVENT_HEADERS,
    st.dictionaries(
        st.sampled_from(
            ["traceparent", "x-request-id", "x-cloud-trace-context", "content-encoding"]
        ),
        HEADER_TEXT,
    ),
)
def test_any_request_is_answered_in_shape(
    server: Server,
    path: str,
    query: str,
    sent: tuple[str, bytes],
    event: dict[str, str],
    others: dict[str, str],
) -> None:
    media_type, body = sent
    headers = {"content-type": media_type, **others}
    if path in ("/", "/events", "/pubsub"):
        headers |= event
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        connection.putrequest("POST", path + query)
        for name, value in headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        check(path, answer.status, answer.read())


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/", b'{"a":' + b"[" * 50_000, 400),
        ("/", b'{"calls":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400),
        ("/predict/table?a=" + "[" * 3000, b'{"instances": [[1, 2]]}', 422),
        ("/predict/table?a=" + "9" * 5000, b'{"instances": [[1, 2]]}', 422),
        ("/predict/table", b'{"instances": [[' + b"9" * 5000 + b", 2]]}", 400),
        ("/predict/colour", b'{"instances": [' + b"1," * 100_000 + b"1]}", 413),
        ("/bigquery", b'{"calls": [' + b"[1]," * 100_000 + b"[1]]}", 413),
    ],
    ids=lambda one: one[:16] if isinstance(one, str | bytes) else "",
)
def test_what_was_found_stays_refused(server: Server, path: str, body: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    answer = requests.post(server.url + path, data=body, headers=headers, timeout=60)
    assert answer.status_code == status
    check(path, answer.status_code, answer.content)


@tries(150)
@given(damaged([REQUEST, CHUNKED], HTTP))
def test_broken_http_is_refused_or_dropped(server: Server, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(1 << 16):
                received += chunk
    for line in received.split(b"\r\n"):
        if line.startswith(b"HTTP/1."):
            assert int(line.split()[1]) < 500, received[:500]
