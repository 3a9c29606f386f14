"""The contract of a Vertex AI custom container: three variables, two routes."""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from servers import ROOT, Server, free_port
from tiny_models import picture, write_colour_model

HEALTH = "/v1/endpoints/7/deployedModels/8"
PREDICT = "/v1/endpoints/7/deployedModels/8:predict"


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    settings = {
        "AIP_STORAGE_URI": str(repository),
        "AIP_HEALTH_ROUTE": HEALTH,
        "AIP_PREDICT_ROUTE": PREDICT,
    }
    with Server(settings) as running:
        running.wait_until_ready()
        yield running


def test_the_health_route_is_readiness(container: Server) -> None:
    response = requests.get(container.url + HEALTH, timeout=10)
    assert response.status_code == 200
    assert response.json()["model"] == "colour"


def test_the_predict_route_answers_instances(container: Server) -> None:
    image = {"b64": base64.b64encode(picture("green")).decode()}
    document = {"instances": [image], "parameters": {"top_k": 1}}
    response = requests.post(container.url + PREDICT, json=document, timeout=10)
    (prediction,) = response.json()["predictions"]
    assert prediction["label"] == "green"
    assert len(prediction["top"]) == 1


def test_the_other_routes_stay(container: Server) -> None:
    response = requests.post(container.url + "/predict", data=picture("red"), timeout=10)
    assert response.json()["predictions"][0]["label"] == "red"


def test_the_port_is_the_platforms(tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    port = free_port()
    settings = {"AIP_HTTP_PORT": str(port), "PORT": "1", "ZEROPOINT_MODELS": str(tmp_path)}
    command = (sys.executable, "-m", "zeropoint", "serve")
    with Server(settings, command=command, cwd=ROOT / "function", port=port) as running:
        assert requests.get(running.url + "/livez", timeout=10).ok


@pytest.mark.parametrize("route", ["predict", "/<model>", "/a b", "/a?b"])
def test_a_route_that_cannot_be_one_stops_the_start(route: str) -> None:
    with (
        pytest.raises(RuntimeError, match="AIP_PREDICT_ROUTE is"),
        Server({"AIP_PREDICT_ROUTE": route}),
    ):
        pass
