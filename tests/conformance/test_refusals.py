"""Cases 14, 15, 19 and 21: one shape for every error, and nothing of the request in it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conformance.broken_build import write_broken_build
from conformance.routes import ANSWERING, CHAT, TAKING, document_of, listed
from conformance.wire import JSON, MARK, Answer, call, connected, received, refused
from servers import Server
from slow_server import Slow, ask, wait_for_queue
from tiny_models import picture, write_colour_model

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO")


@pytest.mark.parametrize("path", [*ANSWERING, CHAT])
def test_14_what_cannot_be_parsed_is_400(server: Server, path: str) -> None:
    for body in (b"{" + MARK.encode(), b"", b"\xff", b"[" * 1000):
        refused(call(server, "POST", path, body, JSON), path, 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/{MARK}"),
        ("POST", f"/predict/{MARK}"),
        ("GET", f"/models/{MARK}"),
        ("GET", f"/v2/{MARK}"),
        ("GET", f"/v2/models/{MARK}"),
        ("GET", f"/v2/models/colour/versions/{MARK}/ready"),
        ("POST", f"/v2/models/{MARK}/infer"),
        ("POST", f"/v2/models/colour/versions/{MARK}/infer"),
        ("POST", f"/bigquery/{MARK}"),
        ("GET", f"/v1/{MARK}"),
        ("GET", f"/v1/models/{MARK}"),
        ("GET", "/v1/models/colour"),  # which is for other routes
    ],
)
def test_14_what_is_not_there_is_404(server: Server, method: str, path: str) -> None:
    body = document_of(path, 0.0) if method == "POST" else b""
    refused(call(server, method, path, body, JSON if body else {}), path, 404)


@pytest.mark.parametrize("path", [*TAKING, CHAT])
def test_14_what_is_too_large_is_413(small_server: Server, path: str) -> None:
    for length in (150_000, 10**9, 10**15):  # refused by us; by the server; absurd
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        data = f"{head}Content-Length: {length}\r\n\r\n".encode()
        if length == 150_000:
            if path in ("/events", "/pubsub"):
                continue  # acknowledged and recorded: case 10
            data += b" " * length
        with connected(small_server, data) as connection:
            answer = received(connection)
        assert answer
        assert "at most 100000 bytes" in refused(answer, path, 413)


@pytest.mark.parametrize("path", [*ANSWERING, CHAT])
def test_14_what_is_not_taken_is_415(server: Server, path: str) -> None:
    refused(call(server, "POST", path, MARK.encode(), {"content-type": "text/html"}), path, 415)


@pytest.mark.parametrize("path", ANSWERING)
def test_14_what_does_not_fit_the_model_is_422(server: Server, path: str) -> None:
    instance: object = 1.0 if path.startswith("/v2") else {MARK: MARK}
    refused(call(server, "POST", path, document_of(path, instance), JSON), path, 422)


def test_14_what_is_too_much_is_429(slow: Slow) -> None:
    server, turns = slow
    tensor = {"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}
    calls: dict[str, dict[str, object]] = {
        "/": {"instances": [1]},
        "/predict": {"instances": [1]},
        "/predict/slow": {"instances": [1]},
        "/bigquery": {"calls": [[1]]},
        "/v2/models/slow/infer": {"inputs": [tensor]},
        "/v2/models/slow/versions/1/infer": {"inputs": [tensor]},
        "/pubsub": {"message": {"messageId": "1", "data": "MQ=="}, "subscription": "s"},
    }
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, server, turns, 3) for _ in range(3)]
        wait_for_queue(server, 3)
        for path, document in calls.items():
            answer = call(server, "POST", path, json.dumps(document).encode(), JSON)
            refused(answer, path, 429)
        assert all(one.result().ok for one in waiting)


def test_14_our_own_fault_is_500_without_detail(tmp_path: Path) -> None:
    write_colour_model(tmp_path / "models")
    function = write_broken_build(tmp_path)
    settings = {"PYTHONPATH": str(function), "ZEROPOINT_MODELS": str(tmp_path / "models")}
    paths = (*ANSWERING, "/pubsub")
    with Server({**settings, "AIP_PREDICT_ROUTE": "/v1/predict"}, cwd=function) as running:
        running.wait_until_ready()
        for path in paths:
            body = document_of(path, 0.0)
            if path == "/pubsub":
                body = b'{"message": {"messageId": "1", "data": "MQ=="}, "subscription": "s"}'
            answer = call(running, "POST", path, body, JSON)
            assert "which its log tells" in refused(answer, path, 500)
        told = [one for one in running.records() if one["severity"] == "ERROR"]
        assert call(running, "GET", "/readyz").status == 200  # of all else nothing is broken
    assert len(told) == len(paths)
    assert all("LookupError" in one["stack_trace"] for one in told)


def test_14_what_is_away_is_503(tmp_path: Path) -> None:
    (write_colour_model(tmp_path) / "model.onnx").write_bytes(b"")
    settings = {"ZEROPOINT_MODELS": str(tmp_path), "AIP_PREDICT_ROUTE": "/v1/predict"}
    with Server({**settings, "AIP_HEALTH_ROUTE": "/health"}) as running:
        for path in ANSWERING:
            body = document_of(path, 0.0)
            refused(call(running, "POST", path, body, JSON), path, 503)
        for path in ("/readyz", "/health", "/v2/health/ready", "/v2/models/colour/ready"):
            refused(call(running, "GET", path), path, 503)


def test_15_another_method_is_405_with_allow(server: Server) -> None:
    routes = listed(server)
    assert len(routes) > 20
    for path, allowed in routes.items():
        for method in METHODS:
            if method in allowed:
                continue
            answer = call(server, method, path, b"" if method == "TRACE" else MARK.encode())
            if method == "HEAD":
                assert (answer.status, answer.body) == (405, b""), path
            else:
                refused(answer, path, 405)
            assert {*answer.headers["Allow"].split(", ")} == allowed, (method, path)


# Wherever a caller can write something.
PLACES = {
    "query": {"path": f"?{MARK}={MARK}"},
    "query without end": {"path": f"?top_k={MARK}%22%3E%3Cscript%3E"},
    "path": {"path": f"/{MARK}"},
    "path in percent": {"path": f"/%22{MARK}%0A%3Cscript%3E"},
    "content type": {"content-type": f"text/{MARK}"},
    "content type's parameter": {"content-type": f"multipart/form-data; boundary={MARK}"},
    "content encoding": {"content-encoding": MARK},
    "credentials": {"authorization": f"Bearer {MARK}"},
    "cookie": {"cookie": f"session={MARK}"},
    "host": {"host": MARK},
    "request id that is none": {"x-request-id": f"<{MARK}>"},
    "trace": {"traceparent": MARK, "x-cloud-trace-context": MARK},
    "agent": {"user-agent": MARK, "referer": MARK, "x-forwarded-for": MARK, "origin": MARK},
    "binary length": {"inference-header-content-length": MARK},
    "event": {"ce-id": MARK, "ce-source": MARK, "ce-type": MARK, "ce-specversion": MARK},
    "message": {"x-goog-pubsub-message-id": MARK},
}
BODIES = {
    "text": MARK.encode(),
    "broken JSON": b'{"' + MARK.encode(),
    "key": json.dumps({MARK: MARK, "instances": [], "parameters": {MARK: MARK}}).encode(),
    "instance": json.dumps({"instances": [MARK, {MARK: MARK}], "calls": [[MARK]]}).encode(),
    "type": json.dumps({"instances": MARK, "calls": MARK, "inputs": MARK}).encode(),
    "model": json.dumps({"calls": [["x"]], "userDefinedContext": {"model": MARK}}).encode(),
    "tensor": json.dumps(
        {"inputs": [{"name": MARK, "datatype": MARK, "shape": [1], "data": [MARK]}]}
    ).encode(),
    "output": json.dumps(
        {
            "inputs": [{"name": "instances", "datatype": "BYTES", "shape": [0], "data": []}],
            "outputs": [{"name": MARK}],
            "parameters": {MARK: 1},
        }
    ).encode(),
    "form": (
        f'--{MARK}\r\nContent-Disposition: form-data; name="{MARK}"; filename="{MARK}.png"\r\n'
        f"Content-Type: image/{MARK}\r\n\r\n{MARK}\r\n--{MARK}--\r\n"
    ).encode(),
}


def held(answer: Answer) -> str:
    """Returns all that came back, in lower case."""
    return f"{[*answer.headers.items()]} {answer.body.decode('utf-8', 'replace')}".lower()


@pytest.mark.parametrize("path", [*TAKING, CHAT, "/nope", "/v2/nope", "/models/nope"])
def test_19_nothing_of_the_request_is_in_an_error(server: Server, path: str) -> None:
    errors = 0
    for place in PLACES.values():
        headers = {**JSON, **{name: text for name, text in place.items() if name != "path"}}
        for body in BODIES.values():
            answer = call(server, "POST", path + place.get("path", ""), body, headers)
            if answer.status >= 400:
                errors += 1
                assert MARK not in held(answer), (place, body, held(answer))
                assert "<script>" not in held(answer)
    assert errors > 10


def test_19_nothing_of_what_is_no_http_is_in_an_error(server: Server) -> None:
    mark = MARK.encode()
    for data in (
        mark + b"\r\n\r\n",
        b"POST /predict " + mark + b"\r\n\r\n",
        b"POST /predict HTTP/1.1\r\n" + mark + b"\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: " + mark + b"\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: " + mark + b"\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + mark + b"\r\n",
        b"GET /" + mark + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n",
        b"GET http://" + mark + b"/nope HTTP/1.1\r\n\r\n",
    ):
        with connected(server, data) as connection:
            answer = received(connection)
        assert answer, data[:100]
        assert 400 <= answer.status < 500, data[:100]
        assert MARK not in held(answer), data[:100]


@pytest.mark.parametrize("request_id", ["124ab1c", "a.b:c/d+e=f@g_h-i", "x" * 128])
def test_21_a_request_id_is_given_back(server: Server, request_id: str) -> None:
    headers = {"x-request-id": request_id}
    for path, methods in {**listed(server), "/nope": {"GET"}}.items():
        for method in sorted(methods | {"DELETE"}):
            answer = call(server, method, path, b"{" if method == "POST" else b"", headers)
            assert answer.headers["X-Request-Id"] == request_id, (method, path)
    photo = call(server, "POST", "/predict", picture("red"), headers)
    assert (photo.status, photo.headers["X-Request-Id"]) == (200, request_id)


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 129, "<script>", "a;b", "\xe4", "a\tb"])
def test_21_what_is_no_request_id_is_not(server: Server, request_id: str) -> None:
    answer = call(server, "GET", "/livez", headers={"x-request-id": request_id})
    assert "X-Request-Id" not in answer.headers
