"""The native protocol, over HTTP: a file, a form with files, or JSON."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from servers import Server
from test_app import MARK, refused
from tiny_models import picture, sha256, write_colour_model

COLOURS = ("red", "green", "blue")
JSON = {"content-type": "application/json"}


def predict(server: Server, path: str = "/predict", **request: Any) -> requests.Response:
    return requests.post(server.url + path, timeout=30, **request)


def b64(colour: str) -> dict[str, str]:
    return {"b64": base64.b64encode(picture(colour)).decode()}


def labels(response: requests.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [prediction["label"] for prediction in response.json()["predictions"]]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    "media_type", ["image/png", "image/jpeg", "IMAGE/PNG; q=1", "application/octet-stream", None]
)
def test_a_file_is_a_body(colour_server: Server, colour: str, media_type: str | None) -> None:
    headers = {"content-type": media_type} if media_type else {}
    assert labels(predict(colour_server, data=picture(colour), headers=headers)) == [colour]


def test_an_answer_has_the_models_name_version_and_digest(colour_server: Server) -> None:
    response = predict(colour_server, data=picture("red"))
    body = response.json()
    assert body["model"] == "colour"
    assert body["version"] == "1"
    assert body["digest"] == response.headers["x-model-digest"]
    top = body["predictions"][0]["top"]
    assert [entry["index"] for entry in top] == [0, 1]
    assert sum(entry["probability"] for entry in top) <= 1.0


def test_every_answer_tells_its_steps(colour_server: Server) -> None:
    timing = predict(colour_server, data=picture("red")).headers["server-timing"]
    assert [entry.split(";")[0] for entry in timing.split(", ")][:4] == [
        "queue",
        "prepare",
        "execute",
        "output",
    ]


def test_a_model_is_named_in_the_path(colour_server: Server) -> None:
    assert labels(predict(colour_server, "/predict/colour", data=picture("blue"))) == ["blue"]


def test_files_of_a_form_are_answered_in_their_order(colour_server: Server) -> None:
    sent = ("red", "green", "red", "blue")
    files = [(name, ("x.png", picture(c))) for name, c in zip("abac", sent, strict=True)]
    assert labels(predict(colour_server, files=files)) == list(sent)


def test_a_bad_file_refuses_the_form_and_is_named(colour_server: Server) -> None:
    files = [("a", picture("red")), ("b", MARK.encode()), ("c", picture("red"))]
    error = refused(predict(colour_server, files=files), 415, "unsupported_media")
    assert error["message"].startswith("instance 2 of 3: expected a JPEG")


def test_json_instances_are_answered_in_their_order(colour_server: Server) -> None:
    response = predict(colour_server, json={"instances": [b64(c) for c in COLOURS]})
    assert labels(response) == list(COLOURS)


def test_no_instances_are_no_predictions(colour_server: Server) -> None:
    assert labels(predict(colour_server, json={"instances": []})) == []


def test_parameters_stand_in_json_or_in_the_query(colour_server: Server) -> None:
    document = {"instances": [b64("red")], "parameters": {"top_k": 3}}
    for response in (
        predict(colour_server, json=document),
        predict(colour_server, "/predict?top_k=3", data=picture("red")),
        predict(colour_server, "/predict?top_k=3", files={"a": picture("red")}),
        predict(colour_server, "/predict?top_k=3", json={"instances": [b64("red")]}),
    ):
        assert len(response.json()["predictions"][0]["top"]) == 3


@pytest.mark.parametrize("parameters", [{"top_k": 2}, {}])
def test_a_parameter_given_twice_is_400(colour_server: Server, parameters: dict[str, int]) -> None:
    query = "top_k=3" if parameters else "top_k=3&top_k=2"
    document = {"instances": [b64("red")], "parameters": parameters}
    refused(predict(colour_server, f"/predict?{query}", json=document), 400, "malformed")


@pytest.mark.parametrize("query", ["top_k=0", "top_k=4", "top_k=x", "top_k=1.5", f"{MARK}=1"])
def test_a_wrong_parameter_is_422(colour_server: Server, query: str) -> None:
    response = predict(colour_server, f"/predict?{query}", data=picture("red"))
    refused(response, 422, "invalid")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"instances": 1}',
        b'{"instances": [NaN]}',
        b'{"instances": [], "parameters": []}',
        b'\xff{"instances": []}',
        b'{"instances": ["\xff"]}',
        b'\xef\xbb\xbf{"instances": []}',
        b'{"instances": [{"b64": "\\ud800"}]}',
        b'{"instances": []} ' + MARK.encode(),
        b'{"instances": [{"b64": 1}]}',
        b'{"instances": ["not base64!"]}',
        b'{"instances": [{"gcs": "https://example.com/x"}]}',
        b'{"instances": [{"b64": "not base64!"}]}',
        b'{"instances": [{"b64": "data:image/png;base64,AAAA"}]}',
        b'{"instances": ' + b"[" * 120 + b"]" * 120 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: body[:24].decode("ascii", "replace"),
)
def test_json_that_cannot_be_parsed_is_400(colour_server: Server, body: bytes) -> None:
    refused(predict(colour_server, data=body, headers=JSON), 400, "malformed")


@pytest.mark.parametrize("instance", [1, None, [1], {"b64": "", "more": 1}, {"x": "y"}])
def test_json_that_is_no_image_is_422(colour_server: Server, instance: Any) -> None:
    refused(predict(colour_server, json={"instances": [instance]}), 422, "invalid")


def test_fifty_levels_of_nesting_are_parsed(colour_server: Server) -> None:
    body = b'{"instances": [' + b"[" * 48 + b"]" * 48 + b"]}"
    refused(predict(colour_server, data=body, headers=JSON), 422, "invalid")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "multipart/form-data"}, b"--x--"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\nno end"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"nothing of a form"),
        ({"content-type": 'multipart/form-data; boundary="\xe4"'}, b"--\xe4--"),
        ({"content-type": "image/png"}, b""),
    ],
)
def test_a_body_that_cannot_be_parsed_is_400(
    colour_server: Server, headers: dict[str, str], body: bytes
) -> None:
    refused(predict(colour_server, data=body, headers=headers), 400, "malformed")


def test_a_form_with_a_field_but_no_file_is_400(colour_server: Server) -> None:
    response = predict(colour_server, files={"a": (None, MARK)})
    refused(response, 400, "malformed")


@pytest.mark.parametrize("media_type", ["text/html", "application/x-www-form-urlencoded", "x"])
def test_another_media_type_is_415(colour_server: Server, media_type: str) -> None:
    response = predict(colour_server, data=picture("red"), headers={"content-type": media_type})
    refused(response, 415, "unsupported_media")


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    limits = {"ZEROPOINT_MAX_BODY_BYTES": "2000", "ZEROPOINT_MAX_PIXELS": "400"}
    with Server({"ZEROPOINT_MODELS": str(repository), **limits}) as running:
        running.wait_until_ready()
        yield running


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [2001, 4096, 100_000, 5_000_000])
def test_a_body_over_the_limit_is_413(small_server: Server, size: int, chunked: bool) -> None:
    body = b"\0" * size
    response = predict(small_server, data=iter([body]) if chunked else body)
    error = refused(response, 413, "body_too_large")
    assert error["message"] == "expected a body of at most 2000 bytes, got more"
    assert labels(predict(small_server, data=picture("red"))) == ["red"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_at_the_limit_is_read(small_server: Server, chunked: bool) -> None:
    body = picture("red").ljust(2000, b"\0")
    assert labels(predict(small_server, data=iter([body]) if chunked else body)) == ["red"]


def test_an_image_over_the_limit_is_413(small_server: Server) -> None:
    response = predict(small_server, data=picture("red", size=(21, 20)))
    error = refused(response, 413, "image_too_large")
    assert error["message"] == "expected at most 400 pixels, got 21 by 20"


def test_a_form_of_too_many_parts_is_413(colour_server: Server) -> None:
    files = [("a", picture("red", size=(1, 1))) for _ in range(1100)]
    refused(predict(colour_server, files=files), 413, "body_too_large")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["instances", "parameters", "b64", "x"]), JSON_VALUES))
@hypothesis_settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_document_is_answered_or_refused_in_shape(
    colour_server: Server, document: dict[str, Any]
) -> None:
    response = predict(colour_server, data=json.dumps(document).encode(), headers=JSON)
    if response.status_code == 200:
        assert document["instances"] == []
    else:
        refused(response, response.status_code, response.json()["error"]["code"])
        assert 400 <= response.status_code < 500


@given(st.binary(max_size=300), st.sampled_from(["image/png", "multipart/form-data; boundary=b"]))
@hypothesis_settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_refused_in_shape(colour_server: Server, body: bytes, kind: str) -> None:
    response = predict(colour_server, data=body, headers={"content-type": kind})
    refused(response, response.status_code, response.json()["error"]["code"])
    assert response.status_code in (400, 413, 415, 422)


def test_a_model_of_another_digest_never_answers(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path)
    expected = sha256(folder / "model.onnx")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1])
    with Server({"ZEROPOINT_MODELS": str(tmp_path)}) as running:
        response = predict(running, data=picture("red"))
        error = refused(response, 503, "model_unavailable")
        assert error["retryable"] is True
        assert int(response.headers["retry-after"]) >= 1
        told = [record for record in running.records() if record["severity"] == "ERROR"]
    assert len(told) == 1
    assert expected in told[0]["message"]
