"""The same photo gives the same prediction, whichever way it comes in."""

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import requests
from tritonclient import http as triton

from conftest import CAT
from servers import Server

PHOTO = CAT.read_bytes()
B64 = base64.b64encode(PHOTO).decode()
MODEL = "efficientnet-lite0"


def answered(response: requests.Response) -> Any:
    assert response.status_code == 200, response.text[:500]
    return response.json()


def raw(url: str) -> Any:
    headers = {"content-type": "image/jpeg"}
    return answered(requests.post(url + "/predict", data=PHOTO, headers=headers, timeout=30))[
        "predictions"
    ][0]


def octets(url: str) -> Any:
    headers = {"content-type": "application/octet-stream"}
    response = requests.post(f"{url}/predict/{MODEL}", data=PHOTO, headers=headers, timeout=30)
    return answered(response)["predictions"][0]


def form(url: str) -> Any:
    response = requests.post(url + "/predict", files={"photo": ("cat.jpg", PHOTO)}, timeout=30)
    return answered(response)["predictions"][0]


def document(url: str) -> Any:
    instances = {"instances": [{"b64": B64}]}
    return answered(requests.post(url + "/predict", json=instances, timeout=30))["predictions"][0]


def one_url(url: str) -> Any:
    instances = {"instances": [{"b64": B64}]}
    return answered(requests.post(url + "/", json=instances, timeout=30))["predictions"][0]


def vertex(url: str) -> Any:
    instances = {"instances": [{"b64": B64}], "parameters": {}}
    return answered(requests.post(url + "/vertex", json=instances, timeout=30))["predictions"][0]


def bigquery(url: str) -> Any:
    calls = {"calls": [[B64]]}
    return answered(requests.post(url + "/bigquery", json=calls, timeout=30))["replies"][0]


def v2_json(url: str) -> Any:
    inputs = [{"name": "instances", "datatype": "BYTES", "shape": [1], "data": [B64]}]
    response = requests.post(f"{url}/v2/models/{MODEL}/infer", json={"inputs": inputs}, timeout=30)
    (output,) = answered(response)["outputs"]
    return json.loads(output["data"][0])


def v2_binary(url: str) -> Any:
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        given = triton.InferInput("instances", [1], "BYTES")
        given.set_data_from_numpy(np.array([PHOTO], np.object_), binary_data=True)
        return json.loads(client.infer(MODEL, [given]).as_numpy("predictions")[0])


WAYS = (raw, octets, form, document, one_url, vertex, bigquery, v2_json, v2_binary)


@pytest.fixture(scope="module")
def url() -> Any:
    with Server({"AIP_PREDICT_ROUTE": "/vertex"}) as running:
        running.wait_until_ready()
        yield running.url


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_in_gives_the_same_prediction(url: str, way: Callable[[str], Any]) -> None:
    expected, got = raw(url), way(url)
    assert [row["label"] for row in got["top"]] == [row["label"] for row in expected["top"]]
    for ours, theirs in zip(got["top"], expected["top"], strict=True):
        assert ours["probability"] == pytest.approx(theirs["probability"], abs=1e-6)
