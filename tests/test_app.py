"""Routes, and one shape for every refusal from every layer."""

import re
from typing import Any

import pytest
import requests

from servers import Server
from tiny_models import picture

MARK = "mark-of-the-caller"  # stands for whatever must not come back
ROUTES = {
    "/": "GET, HEAD, POST",
    "/predict": "POST",
    "/predict/colour": "POST",
    "/livez": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/models": "GET, HEAD",
    "/models/colour": "GET, HEAD",
}


def refused(response: requests.Response, status: int, code: str) -> dict[str, Any]:
    """Checks that a response is a refusal in the one shape, and returns its error."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"code", "message", "retryable"}
    assert error["code"] == code
    assert MARK not in response.text
    return error


def test_livez_is_alive(colour_server: Server) -> None:
    assert requests.get(colour_server.url + "/livez", timeout=10).json() == {"alive": True}


def test_readyz_names_the_model_that_gave_its_known_answer(colour_server: Server) -> None:
    body = requests.get(colour_server.url + "/readyz", timeout=10).json()
    assert body["ready"] is True
    assert body["model"] == "colour"
    assert re.fullmatch("sha256:[0-9a-f]{64}", body["digest"])


def test_the_root_lists_the_routes(colour_server: Server) -> None:
    body = requests.get(colour_server.url + "/", timeout=10).json()
    assert "POST /predict" in body["routes"]
    assert body["commit"] == ""


def test_models_are_listed_and_described(colour_server: Server) -> None:
    listed = requests.get(colour_server.url + "/models", timeout=10).json()
    assert listed == {"models": [{"name": "colour", "state": "ready"}]}
    described = requests.get(colour_server.url + "/models/colour", timeout=10).json()
    assert described["task"] == "image-classification"
    assert described["inputs"] == ["input: float32[?, 3, 8, 8]"]
    assert described["outputs"] == ["scores: float32[?, 3]"]


@pytest.mark.parametrize(
    ("route", "method"),
    [
        (route, method)
        for route, allowed in ROUTES.items()
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO")
        if method not in allowed
    ],
)
def test_another_method_is_405_with_allow(colour_server: Server, route: str, method: str) -> None:
    response = requests.request(method, colour_server.url + route, data=MARK, timeout=10)
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == ROUTES[route]


@pytest.mark.parametrize(
    "route", ["/nope", "/predict/colour/more", "/favicon.ico", "/robots.txt", "/%00", "/%ff"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_route_is_404(colour_server: Server, route: str, method: str) -> None:
    url = f"{colour_server.url}{route}?{MARK}"
    headers = {"authorization": MARK}
    refused(requests.request(method, url, headers=headers, timeout=10), 404, "route_not_found")


@pytest.mark.parametrize("model", ["nope", MARK, "COLOUR", "%2e%2e%2fcolour", "%00", "x" * 300])
def test_an_unknown_model_is_404(colour_server: Server, model: str) -> None:
    for url in (f"/predict/{model}", f"/models/{model}"):
        method = "POST" if "predict" in url else "GET"
        response = requests.request(
            method, colour_server.url + url, data=picture("red"), timeout=10
        )
        assert response.status_code == 404
        assert response.json()["error"]["code"] in ("model_not_found", "route_not_found")
        assert MARK not in response.text


def test_a_trailing_slash_is_the_same_route(colour_server: Server) -> None:
    assert requests.get(colour_server.url + "/livez/", timeout=10).status_code == 200


def test_an_encoded_body_is_415(colour_server: Server) -> None:
    response = requests.post(
        colour_server.url + "/predict",
        data=b"\x1f\x8b" + MARK.encode(),
        headers={"content-type": "image/png", "content-encoding": "gzip"},
        timeout=10,
    )
    refused(response, 415, "unsupported_media")


def test_head_has_no_body(colour_server: Server) -> None:
    response = requests.head(colour_server.url + "/livez", timeout=10)
    assert response.status_code == 200
    assert response.content == b""


@pytest.mark.parametrize("request_id", ["124ab1c", "a.b:c/d+e=f@g_h-i", "x" * 128])
@pytest.mark.parametrize("route", ["/livez", "/nope", "/bigquery", "/v2"])
def test_a_request_id_is_given_back(colour_server: Server, route: str, request_id: str) -> None:
    headers = {"x-request-id": request_id}
    response = requests.get(colour_server.url + route, headers=headers, timeout=10)
    assert response.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 129, "<script>", "a;b", "ä"])
def test_another_text_is_no_request_id(colour_server: Server, request_id: str) -> None:
    headers = {"x-request-id": request_id.encode()}
    response = requests.get(colour_server.url + "/livez", headers=headers, timeout=10)
    assert "x-request-id" not in response.headers
