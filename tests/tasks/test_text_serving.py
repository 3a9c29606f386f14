"""Texts over the wire: every protocol, to a real server of two tiny text models."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
import requests
from tritonclient.http import InferenceServerClient, InferInput

from servers import Server
from tiny_texts import SIZE, TABLE, WORDS, write_embedding_model, write_judge_model

TEXTS = ["good", "the film is awful", "שלום 😀"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("texts")
    write_embedding_model(repository)
    write_judge_model(repository)
    with Server({"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "judge"}) as running:
        running.wait_until_ready()
        yield running


def predict(server: Server, model: str, **body: Any) -> list[Any]:
    answer = requests.post(f"{server.url}/predict/{model}", timeout=10, **body)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["predictions"]
    return found


def bigquery(server: Server, calls: list[Any], **context: str) -> requests.Response:
    document = {"calls": calls, "userDefinedContext": context}
    return requests.post(server.url + "/bigquery", json=document, timeout=10)


def test_a_text_is_a_json_string_or_a_body_or_a_file(server: Server) -> None:
    for model in ("judge", "words"):
        expected = predict(server, model, json={"instances": TEXTS})
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        for text, told in zip(TEXTS, expected, strict=True):
            assert predict(server, model, data=text.encode(), headers=headers) == [told]
        files = [("file", (f"{row}.txt", text, "text/plain")) for row, text in enumerate(TEXTS)]
        assert predict(server, model, files=files) == expected


def test_a_prediction_has_its_numbers_in_short(server: Server) -> None:
    headers = {"Content-Type": "text/plain"}
    url = server.url + "/predict/words"
    answer = requests.post(url, data=b"the good dog", headers=headers, timeout=10)
    told = answer.json()["predictions"][0]
    assert len(told["embedding"]) == SIZE
    assert len(answer.text.partition("[{")[2].partition("]")[0]) < SIZE * 14


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"data": b"\xff", "headers": {"Content-Type": "text/plain"}}, 422),
        ({"data": b"a", "headers": {"Content-Type": "image/png"}}, 415),
        ({"data": {"a": "b"}}, 415),  # as HTML's forms and curl --data send it
        ({"json": {"instances": [5]}}, 422),
        ({"json": {"instances": [["good", "bad"]]}}, 422),
        ({"json": {"instances": ["good"], "parameters": {"similarity": True}}}, 422),
        ({"json": {"instances": ["good"], "parameters": {"similarity": 1}}}, 422),
        (
            {
                "data": b'{"instances": ["\\ud800"]}',
                "headers": {"Content-Type": "application/json"},
            },
            400,
        ),
    ],
)
def test_what_is_no_text_is_refused(server: Server, body: Any, status: int) -> None:
    answer = requests.post(server.url + "/predict/words", timeout=10, **body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].startswith("expected") or status == 422


def test_a_large_text_is_answered_at_once(server: Server) -> None:
    headers = {"Content-Type": "text/plain"}
    (told,) = predict(server, "judge", data=b"bad " * 2_000_000, headers=headers)
    assert (told["label"], told["truncated"]) == ("bad", True)
    assert predict(server, "judge", data=b" \0", headers=headers)[0]["tokens"] == 2


def test_similarity_is_a_parameter_of_pairs(server: Server) -> None:
    pairs = {"instances": [["good", "good"], ["good", "bad"]], "parameters": {"similarity": True}}
    same, other = predict(server, "words", json=pairs)
    assert same["similarity"] == 1.0
    assert other["similarity"] < 1.0
    queried = {"json": {"instances": pairs["instances"]}, "params": {"similarity": "true"}}
    assert predict(server, "words", **queried) == [same, other]


@pytest.mark.parametrize("binary", [True, False])
def test_the_open_protocol_takes_texts(server: Server, binary: bool) -> None:
    client = InferenceServerClient(server.url.removeprefix("http://"))
    for model in ("judge", "words"):
        texts = InferInput("instances", [len(TEXTS)], "BYTES")
        data = np.array([text.encode() for text in TEXTS], np.object_)
        texts.set_data_from_numpy(data, binary_data=binary)
        answer = client.infer(model, [texts]).as_numpy("predictions")
        told = [json.loads(one) for one in answer]
        assert told == predict(server, model, json={"instances": TEXTS})
    client.close()


def test_the_open_protocol_takes_the_models_own_tensors(server: Server) -> None:
    client = InferenceServerClient(server.url.removeprefix("http://"))
    ids = np.array([[WORDS.index(word) for word in ("[CLS]", "good", "[SEP]")]])
    arrays = {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
    inputs = []
    for name, array in arrays.items():
        inputs.append(InferInput(name, [1, 3], "INT64"))
        inputs[-1].set_data_from_numpy(array)
    np.testing.assert_array_equal(client.infer("words", inputs).as_numpy("hidden"), TABLE[ids])
    client.close()


def test_sql_calls_with_one_argument(server: Server) -> None:
    calls = [["good"], [None], ["awful"]]
    replies = bigquery(server, calls, model="judge").json()["replies"]
    assert [one and one["label"] for one in replies] == ["good", None, "bad"]


def test_sql_calls_with_two_arguments_are_pairs(server: Server) -> None:
    context = {"model": "words", "parameters": '{"similarity": true}'}
    answer = bigquery(server, [["good", "good"], [None, None], ["good", "a dog"]], **context)
    same, null, other = answer.json()["replies"]
    assert (same["similarity"], null, other["tokens"]) == (1.0, None, [3, 4])
    half = bigquery(server, [["good", None]], **context)
    assert half.status_code == 422
    assert "expected a text" in half.json()["errorMessage"]


@pytest.mark.parametrize("model", ["judge", "words"])
def test_what_is_sent_and_told_is_as_described(server: Server, model: str) -> None:
    described = requests.get(f"{server.url}/openapi.json", timeout=10).json()
    operation = described["paths"]["/predict/{model}"]["post"]
    request = operation["requestBody"]["content"]
    assert {"text/plain", "application/json"} <= request.keys()
    asked = request["application/json"]["examples"][model]["value"]
    told = requests.post(f"{server.url}/predict/{model}", json=asked, timeout=10)
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    for schema, value in ((request["application/json"]["schema"], asked), (answer, told.json())):
        rooted = {**schema, "components": described["components"]}
        jsonschema_rs.Draft202012Validator(rooted).validate(value)
