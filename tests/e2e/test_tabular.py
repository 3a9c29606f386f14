"""The bundled tables: each protocol's answers are the same, and the cards' figures come out."""

import json
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.http as triton

from servers import ROOT, Server

SITE = json.loads((ROOT / "model_artifacts/phishing/check/site.json").read_text())
SAFE = {name: 1 for name in SITE}
ROWS = [SITE, SAFE]
MATRIX = np.array([list(row.values()) for row in ROWS], np.float32)


@pytest.fixture(scope="module")
def expected(server: Server) -> list[dict[str, Any]]:
    """What the native protocol answers to the rows."""
    response = requests.post(server.url + "/predict/phishing", json={"instances": ROWS}, timeout=30)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["predictions"]
    assert [one["label"] for one in found] == ["phishing", "legitimate"]
    return found


def test_lists_and_csv_are_answered_alike(server: Server, expected: list[Any]) -> None:
    url = server.url + "/predict/phishing"
    lists = [list(row.values()) for row in ROWS]
    found = requests.post(url, json={"instances": lists}, timeout=30).json()
    assert found["predictions"] == expected
    lines = [",".join(SITE), *(",".join(map(str, row)) for row in lists)]
    headers = {"content-type": "text/csv"}
    response = requests.post(url, data="\r\n".join(lines), headers=headers, timeout=30)
    assert response.json()["predictions"] == expected


def test_v2_has_both_faces(server: Server, expected: list[Any]) -> None:
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    texts = np.array([json.dumps(row) for row in ROWS], np.object_)
    for binary in (True, False):
        instances = triton.InferInput("instances", [2], "BYTES")
        instances.set_data_from_numpy(texts, binary_data=binary)
        answer = client.infer("phishing", [instances]).as_numpy("predictions")
        assert [json.loads(one) for one in answer] == expected
        features = triton.InferInput("features", [2, 9], "FP32")
        features.set_data_from_numpy(MATRIX, binary_data=binary)
        raw = client.infer("phishing", [features]).as_numpy("probabilities")
        told = [list(one["probabilities"].values()) for one in expected]
        np.testing.assert_allclose(raw, told, atol=1e-6)
    client.close()


def test_v2_gives_a_zipmap_as_a_tensor(server: Server) -> None:
    row = [80.0, 0, 84, 0, -32, 0, 4, 117, 114]
    document = {
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 9], "data": row}],
        "outputs": [{"name": "probabilities"}],
    }
    url = server.url + "/v2/models/shuttle/infer"
    (output,) = requests.post(url, json=document, timeout=30).json()["outputs"]
    assert output["shape"] == [1, 2]
    assert output["data"] == pytest.approx([0.0143, 0.9857], abs=1e-3)


def test_sql_has_objects_texts_and_several_arguments(server: Server, expected: list[Any]) -> None:
    calls = [[SITE], [json.dumps(SAFE)], list(SITE.values()), [None]]
    document = {"calls": calls, "userDefinedContext": {"model": "phishing"}}
    response = requests.post(server.url + "/bigquery", json=document, timeout=30)
    assert response.json() == {"replies": [*expected, expected[0], None]}


def test_a_null_among_several_arguments_is_a_value_that_is_missing(server: Server) -> None:
    arguments = [None, *list(SITE.values())[1:]]
    document = {"calls": [arguments], "userDefinedContext": {"model": "phishing"}}
    response = requests.post(server.url + "/bigquery", json=document, timeout=30)
    assert response.status_code == 422
    assert response.json()["errorMessage"] == (
        "invalid: feature empty_server_form_handler: expected one of 0, 0.5, 1, got none"
    )


def test_an_event_of_rows_has_a_result_of_each() -> None:
    rows = [",".join(SITE), *(",".join(map(str, row.values())) for row in ROWS)]
    event = {"id": "1", "source": "//test/tabular", "type": "dev.zeropoint.file"}
    headers = {f"ce-{name}": value for name, value in {"specversion": "1.0", **event}.items()}
    headers["content-type"] = "text/csv"
    with Server({"ZEROPOINT_MODEL": "phishing"}) as running:
        url = running.url + "/events"
        response = requests.post(url, data="\n".join(rows), headers=headers, timeout=30)
        assert response.status_code == 200, response.text
        (record,) = [path for path in running.results.rglob("*") if path.is_file()]
        found = json.loads(record.read_text())
    assert [one["label"] for one in found["predictions"]] == ["phishing", "legitimate"]
