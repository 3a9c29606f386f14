"""ZEROPOINT_API_KEY: who has no key is told so, on every route but those of health, and no more."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis

from servers import FRAMEWORK, SERVE, Server, zeropoint
from tiny_models import picture, write_colour_model
from zeropoint.keys import Key

KEY = "the-key-that-nobody-else-has"
HEALTH = ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/health")
PAGE = ("/page/style.css", "/page/script.js", "/page/chat.js")  # the same for everybody
OPEN = (*HEALTH, *PAGE)
EVENTS = (*FRAMEWORK[:4], "on_event", *FRAMEWORK[5:], "--signature-type", "cloudevent")
MESSAGE = "expected the function's key, as Authorization: Bearer … or X-API-Key: …"


@pytest.fixture(scope="module", params=[SERVE, FRAMEWORK], ids=["serve", "framework"])
def keyed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that asks for a key; each kind of server."""
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    settings = {
        "ZEROPOINT_MODELS": str(repository),
        "ZEROPOINT_API_KEY": KEY,
        "AIP_HEALTH_ROUTE": "/health",
        "AIP_PREDICT_ROUTE": "/v1/predict",
    }
    with Server(settings, command=request.param) as running:
        running.wait_until_ready()
        yield running
        assert KEY not in running.stdout() + running.stderr()


def routes(server: Server) -> list[tuple[str, str]]:
    listed = requests.get(server.url + "/", headers={"X-API-Key": KEY}, timeout=10).json()
    found = [route.split() for route in listed["routes"]]
    return [(method, re.sub("<.*?>", "colour", path)) for method, path in found]


def test_every_route_but_those_of_health_asks_for_it(keyed: Server) -> None:
    found = routes(keyed)
    assert len(found) > 20
    unknown = [("GET", "/nope"), ("PUT", "/predict"), ("POST", "/v2/nope"), ("GET", "//livez/x")]
    unknown += [("GET", "/v1/nope"), ("POST", "/v1/models")]
    for method, path in (*found, *unknown):
        response = requests.request(method, keyed.url + path, data=b"{", timeout=10)
        if path in OPEN:
            assert path in PAGE or response.status_code == 200, path
            continue
        assert response.status_code == 401, path
        assert response.headers["WWW-Authenticate"] == "Bearer"
        if path.startswith("/v2"):
            assert response.json() == {"error": MESSAGE}
        elif path.startswith("/v1/") and path != "/v1/predict":
            told = {"message": MESSAGE, "type": "authentication_error", "param": None}
            assert response.json() == {"error": {**told, "code": "unauthorized"}}
        elif path == "/bigquery":
            assert response.json() == {"errorMessage": f"unauthorized: {MESSAGE}"}
        else:
            error = {"code": "unauthorized", "message": MESSAGE, "retryable": False}
            assert response.json() == {"error": error}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer  {KEY}"}, 200),
        ({"X-API-Key": KEY}, 200),
        ({"x-api-key": KEY, "Authorization": "Bearer of-the-platform"}, 200),
        ({"X-API-Key": "wrong", "Authorization": f"Bearer {KEY}"}, 200),
        ({}, 401),
        ({"Authorization": KEY}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"Authorization": f"Bearer {KEY[:-1]}"}, 401),
        ({"Authorization": f"Bearer {KEY}x"}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": KEY.upper()}, 401),
        ({"X-API-Key": f"{KEY}, {KEY}"}, 401),
        ({"X-API-Key": "\xe9" * len(KEY)}, 401),
        ({"X_API_KEY": KEY, "Api-Key": KEY}, 401),
    ],
)
def test_either_header_brings_it(keyed: Server, headers: dict[str, str], status: int) -> None:
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    response = requests.post(keyed.url + "/predict", data=picture("red"), headers=sent, timeout=10)
    assert response.status_code == status
    if status == 200:
        assert response.json()["predictions"][0]["label"] == "red"


def test_a_browser_is_asked_for_it_too(keyed: Server) -> None:
    for method, path in (("POST", "/"), ("POST", "/predict"), ("GET", "/models")):
        response = requests.request(
            method,
            keyed.url + path,
            data=picture("red"),
            headers={"Accept": "text/html"},
            timeout=10,
        )
        assert response.status_code == 401


def test_no_query_brings_it(keyed: Server) -> None:
    assert requests.get(f"{keyed.url}/models?key={KEY}", timeout=10).status_code == 401


def test_it_is_asked_for_before_the_body_comes(keyed: Server) -> None:
    """A caller without it need not send a body, and cannot make the server keep one."""
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n"
    with socket.create_connection(("127.0.0.1", keyed.port), timeout=20) as connection:
        connection.sendall(head + b"Expect: 100-continue\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 401
        assert json.loads(response.read())["error"]["code"] == "unauthorized"


def test_the_document_names_both_ways(keyed: Server) -> None:
    document = schemathesis.openapi.from_url(
        keyed.url + "/openapi.json", headers={"Authorization": f"Bearer {KEY}"}
    )
    document.validate()
    raw = document.raw_schema
    schemes = raw["components"]["securitySchemes"]
    assert schemes == {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    assert raw["security"] == [{"bearer": []}, {"key": []}]
    for path, operations in raw["paths"].items():
        for method, operation in operations.items():
            is_open = path in OPEN
            assert ("401" in operation["responses"], operation.get("security")) == (
                not is_open,
                [] if is_open else None,
            ), path
            if not is_open:
                url = keyed.url + re.sub("{.*?}", "colour", path)
                refused = requests.request(method, url, data=b"x", timeout=10)
                document[path][method.upper()].validate_response(refused)


def test_a_guess_is_counted_and_kept_nowhere(keyed: Server) -> None:
    requests.get(keyed.url + "/models", headers={"X-API-Key": "a-guess"}, timeout=10)
    text = requests.get(keyed.url + "/metrics", headers={"X-API-Key": KEY}, timeout=10).text
    found = re.search(r'zeropoint_\w+\{.*code="unauthorized".*\} (\S+)', text)
    assert found
    assert float(found[1]) >= 1
    assert "a-guess" not in text + keyed.stdout() + keyed.stderr()


def test_without_a_key_the_document_names_none(colour_server: Server) -> None:
    document = requests.get(colour_server.url + "/openapi.json", timeout=10).json()
    assert not document["components"]["securitySchemes"]
    assert not document["security"]
    for operations in document["paths"].values():
        assert all("401" not in one["responses"] for one in operations.values())


def test_a_pipelined_stranger_is_refused_after_the_others(colour_repository: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(colour_repository), "ZEROPOINT_API_KEY": KEY}
    mine = f"GET /models HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n".encode()
    with (
        Server(settings) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
    ):
        connection.sendall(mine + b"GET /models HTTP/1.1\r\nHost: a\r\n\r\n" + mine)
        found = connection.makefile("rb").read()
    assert re.findall(rb"HTTP/1\.1 (\d+)", found) == [b"200", b"401"]  # and the end


def test_a_health_route_opens_no_other(colour_repository: Path) -> None:
    settings = {
        "ZEROPOINT_MODELS": str(colour_repository),
        "ZEROPOINT_API_KEY": KEY,
        "AIP_HEALTH_ROUTE": "/predict",
    }
    with Server(settings) as server:
        for method in ("GET", "POST"):
            response = requests.request(method, server.url + "/predict", timeout=10)
            assert response.status_code == 401


def test_events_of_the_framework_bring_it_too(colour_repository: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(colour_repository), "ZEROPOINT_API_KEY": KEY}
    headers = {
        "ce-id": "1",
        "ce-source": "//a",
        "ce-type": "b",
        "ce-specversion": "1.0",
        "content-type": "image/png",
    }
    with Server(settings, command=EVENTS) as server:
        found = []
        for path, more in (("/", {}), ("/livez", {}), ("/", {"X-API-Key": KEY})):
            url, sent = server.url + path, {**headers, **more}
            response = requests.post(url, data=picture("red"), headers=sent, timeout=30)
            found.append(response.status_code)
            assert bool([*server.results.rglob("*.json")]) == bool(more)
    assert found == [401, 401, 200]


def test_send_brings_it(colour_repository: Path, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    settings = {"ZEROPOINT_MODELS": str(colour_repository), "ZEROPOINT_API_KEY": KEY}
    with Server(settings) as server:
        arguments = ("send", str(tmp_path / "red.png"), "--to", server.url)
        refused = zeropoint(tmp_path, *arguments)
        sent = zeropoint(tmp_path, *arguments, settings={"ZEROPOINT_API_KEY": KEY})
    assert (refused.returncode, refused.stderr.startswith("401: ")) == (1, True)
    assert (sent.returncode, json.loads(sent.stdout)["outcome"]) == (0, "written")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_settings_tell_only_that_it_is_set(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = zeropoint(tmp_path, "settings", *options, settings={"ZEROPOINT_API_KEY": KEY})
    assert KEY not in done.stdout + done.stderr
    assert re.search(r'ZEROPOINT_API_KEY(": "|  +)set', done.stdout)


def test_a_key_that_is_wrong_is_told_without_it(tmp_path: Path) -> None:
    for wrong in ("too-short", KEY + " with spaces"):
        done = zeropoint(tmp_path, "serve", settings={"ZEROPOINT_API_KEY": wrong})
        assert done.returncode == 78
        assert "ZEROPOINT_API_KEY" in done.stdout
        assert wrong not in done.stdout + done.stderr


def test_only_the_key_opens() -> None:
    key = Key(KEY)
    assert key.opens(f"Bearer {KEY}", "")
    assert key.opens("", KEY)
    for authorization, api_key in (("", ""), ("Bearer ", " "), (KEY, ""), ("Bearer x", "\udcff")):
        assert not key.opens(authorization, api_key)
