"""Cases 39 and 40: what thousands of requests leave behind, and what hostile ones in the log."""

import base64
import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conformance import wire
from conformance.broken_build import write_broken_build
from conformance.resources import MIB, Resources, taken
from conformance.wire import (
    JSON,
    LIBTIFF,
    PHOTO,
    PHOTO_MODEL,
    call,
    connected,
    photo_is_answered,
    received,
    refused,
)
from deliveries import STRUCTURED
from servers import Server
from test_logs import HOSTILE
from tiny_models import picture, write_colour_model

COUNT = 10_000 if wire.FULL else 1_500
CALLERS = 4
RED, BROKEN = picture("red"), picture("red", (64, 64), format="JPEG")[:400]
IMAGE = {"content-type": "image/png"}
INFER = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5, 2.5]}],
}


def answered(server: Server) -> None:
    answer = call(server, "POST", "/predict", RED, IMAGE)
    assert answer.json()["predictions"][0]["label"] == "red"


def answered_in_json(server: Server) -> None:
    text = base64.b64encode(picture("blue")).decode()
    answer = call(server, "POST", "/", json.dumps({"instances": [text]}).encode(), JSON)
    assert answer.json()["predictions"][0]["label"] == "blue"
    query = json.dumps({"calls": [[text], [None]]}).encode()
    replies = call(server, "POST", "/bigquery", query, JSON).json()["replies"]
    assert (replies[0]["label"], replies[1]) == ("blue", None)


def answered_with_tensors(server: Server) -> None:
    answer = call(server, "POST", "/v2/models/float/infer", json.dumps(INFER).encode(), JSON)
    assert answer.json()["outputs"][0]["data"] == [1.5, 2.5]


def a_photo(server: Server) -> None:
    answer = call(server, "POST", f"/predict/{PHOTO_MODEL}", PHOTO, {"content-type": "image/jpeg"})
    assert answer.json()["predictions"][0]["label"] == "tiger cat"


def a_form(server: Server) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + RED + b"\r\n"
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = call(server, "POST", "/predict", part * 2 + b"--b--\r\n", headers)
    assert [one["label"] for one in answer.json()["predictions"]] == ["red"] * 2


def no_json(server: Server) -> None:
    refused(call(server, "POST", "/predict", b'{"instances": [NaN]}', JSON), "/predict", 400)


def no_photo(server: Server) -> None:
    refused(call(server, "POST", "/predict", b"none", IMAGE), "/predict", 415)
    refused(call(server, "POST", "/predict", BROKEN, IMAGE), "/predict", 400)


def no_route(server: Server) -> None:
    refused(call(server, "GET", "/nope"), "/nope", 404)
    refused(call(server, "PUT", "/predict", RED, IMAGE), "/predict", 405)


def no_http(server: Server) -> None:
    with connected(server, b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n") as connection:
        answer = received(connection)
    assert answer
    refused(answer, "/predict", 400)


def too_much(server: Server) -> None:
    data = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n"
    with connected(server, data + b"x" * 1000) as connection:
        answer = received(connection)
    assert answer
    refused(answer, "/predict", 413)


def an_event(server: Server) -> None:
    headers = {"ce-id": "1", "ce-source": "/a", "ce-type": "b", "ce-specversion": "1.0", **IMAGE}
    assert call(server, "POST", "/events", RED, headers).status == 200


def a_look(server: Server) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/models", "/openapi.json"):
        assert call(server, "GET", path).status == 200


def half_a_request(server: Server) -> None:
    data = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    with connected(server, data + PHOTO[:20_000]):
        pass


def an_answer_unread(server: Server) -> None:
    head = b"POST /predict/%s HTTP/1.1\r\nHost: a\r\n" % PHOTO_MODEL.encode()
    with connected(server, head + b"Content-Length: %d\r\n\r\n" % len(PHOTO) + PHOTO):
        pass


KINDS: dict[Callable[[Server], None], int] = {
    answered: 6,
    answered_in_json: 3,
    answered_with_tensors: 3,
    a_photo: 1,
    a_form: 1,
    no_json: 2,
    no_photo: 2,
    no_route: 2,
    no_http: 2,
    too_much: 2,
    an_event: 1,
    a_look: 1,
    half_a_request: 2,
    an_answer_unread: 1,
}


def many(server: Server, count: int, callers: int, seed: int) -> None:
    """Sends so many requests of all kinds."""

    def send(caller: int) -> None:
        chance = random.Random(seed + caller)  # noqa: S311 - a choice, no secret
        for kind in chance.choices([*KINDS], [*KINDS.values()], k=count // callers):
            kind(server)

    with ThreadPoolExecutor(callers) as pool:
        for one in [pool.submit(send, caller) for caller in range(callers)]:
            one.result()


def settled(server: Server, before: Resources) -> Resources:
    """Returns what a server takes once those who hung up are forgotten."""
    until_s = time.monotonic() + 10.0
    now = taken(server)
    while now.descriptors > before.descriptors and time.monotonic() < until_s:
        time.sleep(0.1)
        now = taken(server)
    return now


@pytest.fixture(scope="module")
def fresh_server(repository: Path) -> Iterator[Server]:
    """A server that no other case has attacked."""
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "colour"}
    with Server(settings) as running:
        running.wait_until_ready()
        yield running


def test_39_thousands_of_requests_leave_nothing_behind(fresh_server: Server) -> None:
    many(fresh_server, 400, callers=3 * CALLERS, seed=0)  # models, threads, caches
    photo_is_answered(fresh_server)
    time.sleep(0.5)
    before = taken(fresh_server)
    many(fresh_server, COUNT, CALLERS, seed=100)
    photo_is_answered(fresh_server)
    after = settled(fresh_server, before)
    print(f"{COUNT} requests: from {before} to {after}")
    assert after.descriptors <= before.descriptors + 2
    assert after.threads <= before.threads + 2
    assert after.memory_bytes < before.memory_bytes + 32 * MIB
    wrong = [one for one in fresh_server.records() if one["severity"] in ("ERROR", "CRITICAL")]
    assert wrong == []
    metrics = call(fresh_server, "GET", "/metrics").body.decode()
    assert 'status="500"' not in metrics


FORGED = '{"severity": "CRITICAL", "message": "forged"}'
TEXTS = [
    *HOSTILE,
    f"\n{FORGED}\n",
    f"\r{FORGED}\r",
    f"\\n{FORGED}",
    f'"}}\n{FORGED}\n{{"a": "',
    f"\u2028{FORGED}\u2029",
    "\x1b]0;title\x07\x1b[1A\x1b[2K",
    "\x00\x08\x7f\x9b",
]


def lines(server: Server) -> list[str]:
    """Returns the log's lines as a reader sees them, whatever it takes for the end of one."""
    return server.stdout().splitlines()


def check_records(server: Server, before: int, count: int, severity: str) -> None:
    """Checks that a server has written just so many records since, of one severity.

    On stderr, where a log is read too, only libtiff writes, which cannot be told not to.
    """
    until_s = time.monotonic() + 5.0
    while len(lines(server)) < before + count and time.monotonic() < until_s:
        time.sleep(0.01)
    found = lines(server)[before:]
    records = [json.loads(line) for line in found]
    assert [one["severity"] for one in records] == [severity] * count, found
    assert all(one["message"] != "forged" for one in records)
    assert "\x1b" not in "".join(found)  # no terminal is told what to do
    told = [line for line in server.stderr().splitlines() if not line.startswith(LIBTIFF)]
    assert len(told) == 1  # that it serves


@pytest.mark.parametrize(
    "place", ["id", "source", "type", "time", "subject", "datacontenttype", "extension"]
)
def test_40_an_event_is_one_record_whatever_is_in_it(server: Server, place: str) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/a", "type": "b"}
    for number, text in enumerate(TEXTS):
        before = len(lines(server))
        own = {"id": f"{place}{number}"} if place != "id" else {}
        told = {**event, **own, place: text, "data_base64": base64.b64encode(b"none").decode()}
        answer = call(
            server, "POST", "/events", json.dumps(told).encode(), {"content-type": STRUCTURED}
        )
        assert (answer.status, answer.json()["outcome"]) == (200, "refused"), answer
        check_records(server, before, 1, "WARNING")


def test_40_a_request_is_no_record_whatever_is_in_it(server: Server) -> None:
    names = ("traceparent", "x-cloud-trace-context", "x-request-id", "user-agent", "content-type")
    before = len(lines(server))
    for text in TEXTS:
        safe = text.encode("utf-8", "replace").translate(None, b"\r\n\0")[:10_000]
        for name in names:
            data = b"POST /predict HTTP/1.1\r\nHost: a\r\n%s: %s\r\n" % (name.encode(), safe)
            with connected(server, data + b"Content-Length: 4\r\n\r\nnone") as connection:
                answer = received(connection)
            assert answer
            assert 400 <= answer.status < 500
        body = json.dumps({"instances": [text], "parameters": {text: text}}).encode()
        refused(call(server, "POST", "/predict", body, JSON), "/predict")
        path = b"/" + safe.translate(None, b" \x1b")[:500]
        with connected(server, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n") as connection:
            received(connection, "GET")
    check_records(server, before, 0, "INFO")


def test_40_an_error_of_ours_is_one_record_whatever_is_in_it(tmp_path: Path) -> None:
    """Its trace has the request's content in it, as a programmer's error may put it there."""
    write_colour_model(tmp_path / "models")
    function = write_broken_build(tmp_path)
    settings = {"PYTHONPATH": str(function), "ZEROPOINT_MODELS": str(tmp_path / "models")}
    with Server(settings, cwd=function) as running:
        running.wait_until_ready()
        for text in TEXTS:
            before = len(lines(running))
            body = json.dumps({"instances": [], "parameters": {"a": text}}, ensure_ascii=True)
            answer = call(running, "POST", "/predict", body.encode(), JSON)
            if answer.status == 400:  # half a surrogate pair is no text
                continue
            refused(answer, "/predict", 500)
            check_records(running, before, 1, "ERROR")
