"""Marked payloads and headers on every route, whole and broken: no mark is in the log."""

import base64
import contextlib
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from conformance.broken_build import write_broken_build
from servers import FRAMEWORK, SERVE, Server
from tiny_models import picture, write_colour_model, write_identity_model, write_lookup_model
from zeropoint import app
from zeropoint.settings import Settings

MARK = "m4rk0fTheCaller"
NUMBER = 918_273_645  # an index that no table has
AIP = {"AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/v1/predict"}
SETTINGS = Settings(aip_health_route="/health", aip_predict_route="/v1/predict")
MODELS = ("colour", "float", "lookup", MARK)
HEADERS = {
    "authorization": f"Bearer {MARK}",
    "cookie": f"session={MARK}",
    "x-api-key": MARK,
    "x-goog-iap-jwt-assertion": MARK,
    "x-serverless-authorization": f"Bearer {MARK}",
    "user-agent": MARK,
    "referer": f"http://example.com/{MARK}",
    "traceparent": f"00-{MARK}-01",
    "x-request-id": MARK,
}
EVENT = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "//here",
    "ce-type": "com.example.thing",
    "ce-subject": MARK,
    "ce-extra": MARK,
}


def marked_photo() -> bytes:
    """Returns a photo that can be answered, with a text in it."""
    file, text = io.BytesIO(), PngInfo()
    text.add_text("Comment", MARK)
    Image.new("RGB", (16, 12), "red").save(file, "PNG", pnginfo=text)
    return file.getvalue()


def b64(data: bytes | str) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def documents() -> Iterator[Any]:
    """Yields JSON documents of all protocols, with marks wherever a caller can put one."""
    yield {"instances": [{"b64": b64(marked_photo())}]}
    for instance in (MARK, {"b64": MARK}, {"gcs": f"gs://{MARK}/{MARK}"}, {MARK: MARK}, [MARK]):
        yield {"instances": [instance], "parameters": {}}
        yield {"calls": [[instance]], "requestId": MARK, "sessionUser": MARK}
    yield {"instances": [{"b64": b64(MARK)}], "parameters": {MARK: MARK, "top_k": MARK}}
    yield {"instances": [[float(NUMBER)]]}
    yield {"instances": [NUMBER]}  # of `lookup`, it fails inside the model
    yield {"instances": [MARK], MARK: MARK}
    yield {MARK: [MARK]}
    yield MARK
    found: list[tuple[list[int], list[Any]]] = [([1], [MARK]), ([1], [NUMBER]), ([NUMBER], [1])]
    for shape, data in found:
        tensor = {"name": "x", "shape": shape, "datatype": "INT64", "data": data}
        yield {"id": MARK, "inputs": [tensor]}
        yield {"inputs": [{**tensor, "name": MARK, "datatype": MARK, "parameters": {MARK: MARK}}]}
    for text in (b64(MARK), MARK, b64(marked_photo())):
        message = {"messageId": MARK, "data": text, "attributes": {MARK: MARK}}
        yield {"message": message, "subscription": MARK}
        yield {"specversion": "1.0", "id": "2", "source": "s", "type": "t", "data_base64": text}
    yield {"specversion": "1.0", "id": "3", "source": "s", "type": "t", "data": {MARK: MARK}}
    yield {"specversion": MARK, "id": MARK, "source": MARK, "type": MARK, "data": MARK}


def bodies() -> Iterator[tuple[dict[str, str], bytes]]:
    """Yields headers and a body each."""
    for document in documents():
        data = json.dumps(document).encode()
        yield {"content-type": "application/json"}, data
        if "specversion" in document:
            yield {"content-type": "application/cloudevents+json"}, data
    for broken in (f'{{"{MARK}', f'{{"instances": [{MARK}]}}', f'["{MARK}", NaN]', f"\udcff{MARK}"):
        yield {"content-type": "application/json"}, broken.encode("utf-8", "surrogateescape")
    for media_type in ("text/plain", "text/csv", "image/png", f"x/{MARK}", MARK, ""):
        yield {"content-type": media_type}, f"{MARK},{MARK}\n{MARK},1\n".encode()
        yield {**EVENT, "content-type": media_type}, MARK.encode()
    yield {"content-type": "image/png"}, marked_photo()
    yield {"content-type": "image/png"}, picture("red")[:60] + MARK.encode() * 9
    yield {**EVENT, "content-type": "image/png"}, marked_photo()
    yield {**EVENT, "ce-id": "4", "ce-source": MARK}, MARK.encode()
    yield {"content-type": "application/json", "content-encoding": MARK}, MARK.encode()
    yield {"content-type": f"multipart/form-data; boundary={MARK}"}, MARK.encode()
    part = f'--b\r\ncontent-disposition: form-data; name="{MARK}"; filename="{MARK}"\r\n\r\n{MARK}'
    yield {"content-type": "multipart/form-data; boundary=b"}, f"{part}\r\n--b--".encode()
    binary = {"content-type": "application/octet-stream", "inference-header-content-length": MARK}
    yield binary, MARK.encode()


def calls() -> Iterator[tuple[str, str]]:
    """Yields every route's method and path, for each model, and some that there are not."""
    for route in app.table(SETTINGS):
        for model in MODELS if "<model>" in route.path else ("",):
            yield route.method, route.path.replace("<model>", model).replace("<version>", MARK)
    yield from (("GET", f"/{MARK}"), ("PUT", "/predict"), ("POST", "/nope"))


RAW = (
    f"GET / HTTP/9.{MARK}\r\n\r\n",
    f"{MARK}\r\n\r\n",
    f"GET /{MARK}\r\n\r\n",
    f"GET /livez HTTP/1.1\r\n{MARK}\r\n\r\n",
    f"GET /livez HTTP/1.1\r\nbad name: {MARK}\r\n\r\n",
    f"POST /predict HTTP/1.1\r\ncontent-length: {MARK}\r\n\r\n",
    f"POST /predict HTTP/1.1\r\ncontent-length: -1\r\nauthorization: {MARK}\r\n\r\n",
    f"POST /predict HTTP/1.1\r\ntransfer-encoding: {MARK}\r\n\r\n{MARK}",
    f"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{MARK}\r\n{MARK}\r\n",
    f"POST /predict HTTP/1.1\r\ncontent-length: 999\r\nauthorization: {MARK}\r\n\r\n{MARK}",
    f"GET /livez HTTP/1.1\r\nx: {MARK * 20_000}\r\n\r\n",
)


def send(server: Server, text: str) -> None:
    """Sends bytes as they are, and hangs up."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port)) as one:
        one.settimeout(0.3)
        one.sendall(text.encode())
        one.recv(65536)


@pytest.mark.parametrize("command", [SERVE, FRAMEWORK], ids=["serve", "framework"])
def test_no_payload_and_no_secret_is_in_the_log(command: tuple[str, ...], tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    write_identity_model(tmp_path, "FLOAT")
    write_lookup_model(tmp_path)
    settings = {
        **AIP,
        "ZEROPOINT_MODELS": str(tmp_path),
        "ZEROPOINT_MODEL": "colour",
        "ZEROPOINT_TOKEN": MARK,  # no setting: told by its name
        "GOOGLE_API_KEY": MARK,
    }
    statuses = set()
    with Server(settings, command) as server, requests.Session() as caller:
        server.wait_until_ready()
        for method, path in calls():
            url = server.url + path
            for query in ("", f"?key={MARK}&top_k={MARK}"):
                given = bodies() if method == "POST" and not query else [({}, MARK.encode())]
                for headers, body in given:
                    answer = caller.request(
                        method, url + query, data=body, headers=HEADERS | headers, timeout=30
                    )
                    statuses.add(answer.status_code)
        for text in RAW:
            send(server, text)
        index = {"instances": [NUMBER]}
        failed = caller.post(f"{server.url}/predict/lookup", json=index, timeout=30)
        assert failed.status_code == 422, failed.text
        assert server.stop() == 0
        written = server.stdout() + server.stderr()
    assert {200, 400, 404, 405, 415, 422} <= statuses
    assert not any(status >= 500 for status in statuses), statuses
    assert '"message":"cold start"' in written
    assert "event refused: " in written
    assert "ZEROPOINT_TOKEN is no setting" in written
    for mark in (MARK, b64(MARK)[:16], str(NUMBER)):
        where = written.find(mark)
        assert where < 0, written[max(where - 500, 0) : where + 200]


def test_an_error_of_ours_is_told_without_the_payload(tmp_path: Path) -> None:
    """The words of an exception may hold what it met: its class and its place are told."""
    write_colour_model(tmp_path / "models")
    function = write_broken_build(tmp_path)
    settings = {"PYTHONPATH": str(function), "ZEROPOINT_MODELS": str(tmp_path / "models")}
    with Server(settings, cwd=function) as server:
        server.wait_until_ready()
        broken = requests.post(
            f"{server.url}/predict",
            marked_photo(),
            headers={**HEADERS, "content-type": "image/png"},
            timeout=30,
        )
        assert broken.status_code == 500
        (told,) = [one for one in server.records() if one["severity"] == "ERROR"]
        written = server.stdout() + server.stderr()
    assert "LookupError" in told["message"]
    assert 'serving.py", line ' in told["stack_trace"]
    assert MARK not in written
