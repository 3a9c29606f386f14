"""The page's files over HTTP: who gets them, with which headers, and how large they are."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from servers import FRAMEWORK, SERVE, Server
from tiny_models import write_colour_model
from tiny_tables import weighed_graph, write_table_model

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FILES = {
    "/page/style.css": "text/css",
    "/page/script.js": "text/javascript",
    "/page/chat.js": "text/javascript",
}
KEY = "the-key-that-nobody-else-has"
MOST_BYTES = 80_000
MOST_PACKED_BYTES = 30_000
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


@pytest.fixture(scope="module", params=[SERVE, FRAMEWORK], ids=["serve", "framework"])
def keyed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that asks for a key; each kind of server."""
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_API_KEY": KEY}
    with Server(settings, command=request.param) as running:
        yield running


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (HTML["Accept"], True),
        ("TEXT/HTML; q=0.5", True),
        ("*/*", False),
        ("application/json", False),
        ("", False),
        ("text/html;q=0, application/json", False),
        ("text/html-not", False),
    ],
)
def test_a_browser_gets_the_page_and_a_program_json(
    colour_server: Server, accept: str, is_page: bool
) -> None:
    response = requests.get(colour_server.url, headers={"Accept": accept}, timeout=10)
    assert response.status_code == 200
    assert response.headers["Vary"] == "Accept, Accept-Encoding" if is_page else "Accept"
    media_type = "text/html; charset=utf-8" if is_page else "application/json"
    assert response.headers["Content-Type"] == media_type
    if not is_page:
        assert response.json()["name"] == "zeropoint"


def test_every_file_is_guarded_and_known_again(colour_server: Server) -> None:
    for path, media_type in {"/": "text/html", **FILES}.items():
        response = requests.get(colour_server.url + path, headers=HTML, timeout=10, stream=True)
        assert response.headers["Content-Type"] == f"{media_type}; charset=utf-8"
        told = response.headers["Content-Security-Policy"].split(";")
        assert dict(one.strip().split(" ", 1) for one in told) == POLICY
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-cache"
        known = {**HTML, "If-None-Match": f'"other", {response.headers["ETag"]}'}
        again = requests.get(colour_server.url + path, headers=known, timeout=10)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == response.headers["ETag"]
        head = requests.head(colour_server.url + path, headers=HTML, timeout=10)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == str(len(response.raw.read()))


def test_the_page_is_small_and_asks_for_nothing_else(colour_server: Server) -> None:
    html = requests.get(colour_server.url, headers=HTML, timeout=10).text
    named = re.findall(r'(?:src|href)="([^"#]+)"', html)
    wanted = {"/page/chat.js", *(f"/{one}" for one in named if not one.startswith("data:"))}
    assert wanted == {*FILES, "/openapi.json"}
    sizes = [packed_and_whole(colour_server.url + path) for path in ("/", *FILES)]
    assert sum(packed for packed, _ in sizes) < MOST_PACKED_BYTES
    assert sum(whole for _, whole in sizes) < MOST_BYTES
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=)", html)


def packed_and_whole(url: str) -> tuple[int, int]:
    """Returns the bytes of a file as a browser gets it, and what it makes of them."""
    response = requests.get(url, headers=HTML, timeout=10, stream=True)
    assert response.headers["Content-Encoding"] == "gzip"
    packed = response.raw.read()
    assert response.headers["Content-Length"] == str(len(packed))
    return len(packed), len(gzip.decompress(packed))


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP; q=0.1", True),
        ("gzip;q=0, *", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("not-gzip", False),
        ("", False),
    ],
)
def test_it_is_packed_for_who_takes_that(
    colour_server: Server, accepted: str, is_packed: bool
) -> None:
    whole = requests.get(
        colour_server.url + "/page/script.js", headers={"Accept-Encoding": "identity"}, timeout=10
    )
    wanted = {"Accept-Encoding": accepted}
    for path in FILES:
        response = requests.get(colour_server.url + path, headers=wanted, timeout=10)
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers.get("Content-Encoding") == ("gzip" if is_packed else None)
        tag = response.headers["ETag"]
        if path == "/page/script.js":
            assert response.content == whole.content
            assert (tag == whole.headers["ETag"]) is not is_packed
        known = {**wanted, "If-None-Match": tag}
        again = requests.get(colour_server.url + path, headers=known, timeout=10)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["Vary"] == "Accept-Encoding"
        # What is kept in the one form is not taken for the other.
        other = {**known, "Accept-Encoding": "identity" if is_packed else "gzip"}
        assert requests.get(colour_server.url + path, headers=other, timeout=10).status_code == 200


def test_it_can_be_turned_off(colour_repository: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(colour_repository), "ZEROPOINT_PAGE": "false"}
    with Server(settings) as server:
        response = requests.get(server.url, headers=HTML, timeout=10)
        assert response.headers["Content-Type"] == "application/json"
        assert not [one for one in response.json()["routes"] if "/page" in one]
        for path in FILES:
            refused = requests.get(server.url + path, timeout=10)
            assert refused.status_code == 404
            assert refused.json()["error"]["code"] == "route_not_found"


def test_the_files_need_no_key_and_all_else_does(keyed: Server) -> None:
    for path in ("/", *FILES):
        assert requests.get(keyed.url + path, headers=HTML, timeout=10).status_code == 200
        assert requests.head(keyed.url + path, headers=HTML, timeout=10).status_code == 200
    for method, path in (("GET", "/models"), ("POST", "/"), ("GET", "/page/nope"), ("PUT", "/")):
        refused = requests.request(method, keyed.url + path, headers=HTML, timeout=10)
        assert refused.status_code == 401, path
    described = requests.get(keyed.url, headers={"Accept": "application/json"}, timeout=10)
    assert described.status_code == 401


def test_the_document_has_the_files(colour_server: Server) -> None:
    paths = requests.get(colour_server.url + "/openapi.json", timeout=10).json()["paths"]
    for path, media_type in FILES.items():
        answer = paths[path]["get"]["responses"]["200"]
        assert answer["content"] == {media_type: {"schema": {"type": "string"}}}


@pytest.mark.parametrize(("own", "told"), [(0.9, 0.9), (0.0, 0.0), (None, 0.5)])
def test_the_document_tells_a_models_own_threshold(
    tmp_path: Path, own: float | None, told: float
) -> None:
    output = {"labels": ["no", "yes"]} | ({} if own is None else {"threshold": own})
    features = [{"name": "x", "type": "number"}]
    label = "yes" if own == 0.0 else "no"
    write_table_model(tmp_path, weighed_graph([[1.0]]), features, output, [0.1], {"label": label})
    with Server({"ZEROPOINT_MODELS": str(tmp_path)}) as server:
        paths = requests.get(server.url + "/openapi.json", timeout=10).json()["paths"]
    operation = paths["/predict/{model}"]["post"]
    request = operation["requestBody"]["content"]["application/json"]["schema"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert request["title"] == answer["properties"]["model"]["const"] == "table"
    assert answer["properties"]["predictions"]["items"]["x-threshold"] == told
