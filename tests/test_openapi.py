"""The OpenAPI document: whole, and true of every answer and refusal.

That it is true of whatever else is sent, tests/conformance shows.
"""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import requests
import schemathesis
from schemathesis.schemas import BaseSchema

from servers import ROOT, Server
from test_app import MARK
from tiny_decoders import write_decoder
from tiny_models import picture, write_colour_model, write_identity_model
from tiny_texts import write_embedding_model
from zeropoint import app, handlers, openapi
from zeropoint.protocols import native
from zeropoint.route import Route
from zeropoint.serving import Serving
from zeropoint.settings import Settings
from zeropoint.timing import ColdStart

MODEL_ROUTES = (("/predict/{model}", "POST"), ("/models/{model}", "GET"))
NO_ROUTES = (("GET", "/nope"), ("PUT", "/predict"), ("FOO", "/"), ("GET", "/favicon.ico"))


@pytest.fixture(scope="module")
def mixed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of models of five tasks, with all routes that settings can add."""
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    write_identity_model(repository, "FLOAT")
    write_decoder(repository)
    write_embedding_model(repository)
    shutil.copytree(ROOT / "model_artifacts" / "phishing", repository / "phishing")
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "colour"}
    vertex = {"AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/v1/predict"}
    with Server({**settings, **vertex}) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session")
def single_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the model ``colour``."""
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    with Server({"ZEROPOINT_MODELS": str(repository)}) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(params=["single_server", "mixed_server"])
def any_server(request: pytest.FixtureRequest) -> Server:
    """A server of one model, and one of several."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def described(any_server: Server) -> BaseSchema:
    """The document of a server, with which its answers can be compared."""
    return schemathesis.openapi.from_url(any_server.url + "/openapi.json")


def schemas(value: Any) -> Iterator[Any]:
    """Yields every schema of a document, each with the components that it may refer to."""
    if isinstance(value, dict):
        if "schema" in value and "properties" not in value:
            yield value["schema"]
        for one in value.values():
            yield from schemas(one)
    elif isinstance(value, list):
        for one in value:
            yield from schemas(one)


def test_it_is_valid_openapi(described: BaseSchema) -> None:
    document = described.raw_schema
    assert document["openapi"] == "3.1.0"
    described.validate()
    found = [*schemas(document["paths"]), *document["components"]["schemas"].values()]
    assert len(found) > 20
    for schema in found:
        jsonschema_rs.meta.validate(schema)
        jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


def test_every_route_is_in_it(described: BaseSchema, any_server: Server) -> None:
    documented = {
        f"{method.upper()} {path}"
        for path, operations in described.raw_schema["paths"].items()
        for method in operations
    }
    listed = routes_of(any_server)
    assert documented == {re.sub("<(.*?)>", r"{\1}", route) for route in listed}
    assert {f"{route.method} {route.path}" for route in app.ROUTES} <= set(listed)


def test_operations_have_an_id_of_their_own_and_a_summary(described: BaseSchema) -> None:
    operations = [one for path in described.raw_schema["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert all(one["summary"] for one in operations)


def routes_of(server: Server) -> list[str]:
    """Returns the routes that a server lists."""
    found: list[str] = requests.get(server.url + "/", timeout=10).json()["routes"]
    return found


def examples(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields each example of a body: its path, its name, and a request that sends it."""
    for path, operations in document["paths"].items():
        body = operations.get("post", {}).get("requestBody", {"content": {}})
        for media_type, media in body["content"].items():
            for name, example in media.get("examples", {}).items():
                headers = {"content-type": media_type}
                if media_type == "application/json":
                    yield path, name, {"json": example["value"], "headers": headers}
                elif "value" in example:
                    yield path, name, {"data": example["value"].encode(), "headers": headers}
                else:
                    data = example["externalValue"].removeprefix(f"data:{media_type};base64,")
                    yield path, name, {"data": base64.b64decode(data), "headers": headers}


def test_every_example_is_answered_as_documented(described: BaseSchema, any_server: Server) -> None:
    sent = set()
    for path, name, request in examples(described.raw_schema):
        model = name.partition(" ")[0]
        url = any_server.url + path.format(model=model, version="1")
        response = requests.post(url, timeout=30, **request)
        assert response.status_code == 200, (path, name, response.text)
        described[path]["POST"].validate_response(response)
        sent.add((path, request["headers"]["content-type"]))
    for path in ("/", "/predict", "/predict/{model}"):
        assert {(path, "application/json"), (path, "image/png")} <= sent
    assert ("/bigquery", "application/json") in sent
    asked = {path for path, _ in sent if path.startswith("/v1/")} - {"/v1/predict"}
    assert len(asked) == (3 if "POST /v1/predict" in routes_of(any_server) else 0)


@pytest.mark.parametrize(
    ("path", "status", "request_"),
    [
        ("/", 400, {"data": b""}),
        ("/predict", 400, {"data": b"{", "headers": {"content-type": "application/json"}}),
        ("/predict", 413, {"json": {"instances": [None] * 1025}}),
        ("/predict", 415, {"data": b"none", "headers": {"content-type": "image/png"}}),
        ("/predict", 415, {"data": b"x", "headers": {"content-encoding": "gzip"}}),
        ("/predict", 422, {"json": {"instances": [], "parameters": {"nope": 1}}}),
        ("/predict?top_k=x", 422, {"json": {"instances": []}}),
        ("/predict?top_k=1&top_k=x", 400, {"json": {"instances": []}}),
        ("/predict?top_k=1", 400, {"json": {"instances": [], "parameters": {"top_k": 1}}}),
        ("/predict/{model}", 400, {"data": b""}),
        ("/predict/{model}", 415, {"data": MARK}),
    ],
)
def test_a_refusal_is_as_documented(
    described: BaseSchema, any_server: Server, path: str, status: int, request_: dict[str, Any]
) -> None:
    response = requests.post(any_server.url + path.format(model="colour"), timeout=30, **request_)
    assert response.status_code == status, response.text
    described[path.partition("?")[0]]["POST"].validate_response(response)


def test_a_path_that_the_framework_refuses_is_refused_as_documented(
    described: BaseSchema, any_server: Server
) -> None:
    """Its own route takes no line break."""
    response = requests.get(any_server.url + "/v2/models/%0A", timeout=10)
    assert response.status_code == 404
    described["/v2/models/{model}"]["GET"].validate_response(response)


@pytest.mark.parametrize(("path", "method"), MODEL_ROUTES)
def test_an_unknown_model_is_refused_as_documented(
    described: BaseSchema, any_server: Server, path: str, method: str
) -> None:
    for model in (MARK, "more%2Fthan", "x" * 300):
        url = any_server.url + path.format(model=model)
        response = requests.request(method, url, data=picture("red"), timeout=10)
        assert response.status_code == 404
        described[path][method].validate_response(response)


def test_a_broken_model_breaks_no_document(tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    manifest = tmp_path / "broken" / "model.toml"
    write_colour_model(tmp_path, "broken")
    text = manifest.read_text()
    manifest.write_text("none")
    with Server({"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_MODEL": "colour"}) as running:
        document = schemathesis.openapi.from_url(running.url + "/openapi.json")
        document.validate()
        for path, method in MODEL_ROUTES:
            url = running.url + path.format(model="broken")
            response = requests.request(method, url, data=picture("red"), timeout=10)
            assert response.status_code == 503
            document[path][method].validate_response(response)
        manifest.write_text(text)
        mended = requests.get(running.url + "/openapi.json", timeout=10).json()
    body = mended["paths"]["/predict/{model}"]["post"]["requestBody"]
    assert body["content"]["application/json"]["examples"].keys() == {"broken", "colour"}


def test_what_is_no_operation_is_refused_in_the_same_shape(
    described: BaseSchema, any_server: Server
) -> None:
    components = described.raw_schema["components"]
    schema = {"$ref": "#/components/schemas/native.Refusal", "components": components}
    validator = jsonschema_rs.Draft202012Validator(schema)
    for method, path in NO_ROUTES:
        validator.validate(requests.request(method, any_server.url + path, timeout=10).json())


def test_a_server_that_is_not_ready_says_so_as_documented(tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    (tmp_path / "colour" / "model.onnx").write_bytes(b"none")
    with Server({"ZEROPOINT_MODELS": str(tmp_path)}) as running:
        document = schemathesis.openapi.from_url(running.url + "/openapi.json")
        for path, method in (("/readyz", "GET"), ("/predict", "POST")):
            url = running.url + path
            response = requests.request(method, url, data=picture("red"), timeout=30)
            assert response.status_code == 503
            document[path][method].validate_response(response)


@pytest.mark.parametrize("names", [(), ("one", "two")])
def test_without_a_default_model_there_is_a_document_still(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        write_colour_model(tmp_path, name)
    with Server({"ZEROPOINT_MODELS": str(tmp_path)}) as running:
        document = schemathesis.openapi.from_url(running.url + "/openapi.json")
        document.validate()
        response = requests.post(running.url + "/predict", data=picture("red"), timeout=10)
        assert response.status_code == 503
        document["/predict"]["POST"].validate_response(response)


def test_it_loads_no_model(tmp_path: Path) -> None:
    for name in ("colour", "more"):
        write_colour_model(tmp_path, name)
    with Server({"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_MODEL": "colour"}) as running:
        assert requests.get(running.url + "/openapi.json", timeout=10).status_code == 200
        listed = requests.get(running.url + "/models", timeout=10).json()["models"]
        assert {"name": "more", "state": "absent"} in listed


class Untold:
    """A protocol that tells nothing of itself."""

    decode = staticmethod(native.decode)
    encode = staticmethod(native.encode)
    refuse = staticmethod(native.refuse)


def test_a_protocol_that_tells_nothing_has_its_routes_in_it(settings: Settings) -> None:
    route = Route("POST", "/untold/<model>", handlers.predict, Untold())
    body = openapi.body([*app.ROUTES, route], Serving(settings, ColdStart()))
    document = schemathesis.openapi.from_dict(json.loads(body))
    document.validate()
    operation = document.raw_schema["paths"]["/untold/{model}"]["post"]
    assert operation["parameters"][0]["schema"] == {"type": "string", "enum": ["colour"]}
    assert operation["requestBody"] == {"required": True, "content": {"*/*": {}}}
    assert {"200", "400", "404", "413", "415", "422", "500", "503"} <= operation["responses"].keys()


def test_it_is_built_once(settings: Settings) -> None:
    serving = Serving(settings, ColdStart())
    assert openapi.body(app.ROUTES, serving) is openapi.body(app.ROUTES, serving)
