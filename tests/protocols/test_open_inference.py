"""The Open Inference Protocol over HTTP: tritonclient unchanged, and whatever else may come."""

import base64
import json
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from servers import Server
from test_app import MARK
from tiny_models import picture, write_colour_model, write_identity_model, write_tensor_model

COLOURS = ("red", "green", "blue")
IDENTITIES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
INFER = "/v2/models/colour/infer"
HEADER = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def identity_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("repository")
    for name in IDENTITIES:
        write_identity_model(repository, name.upper())
    write_adder(repository)
    with Server({"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "float"}) as running:
        running.wait_until_ready()
        yield running


def write_adder(repository: Path) -> None:
    """Writes a model that adds two vectors whose lengths, by its declaration, may differ."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        "adder",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [name * 2]) for name in "ab"],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    write_tensor_model(repository, "adder", model, {"a": 1.0, "b": 2.0}, {"sum": 3.0})


@pytest.fixture
def client(colour_server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(colour_server.url.removeprefix("http://")) as one:
        yield one


@pytest.fixture
def identity_client(identity_server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(identity_server.url.removeprefix("http://")) as one:
        yield one


def tensor(name: str, array: np.ndarray[Any, Any], binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    return made.set_data_from_numpy(array, binary_data=binary)


def photos(*colours: str) -> triton.InferInput:
    return tensor("instances", np.array([picture(one) for one in colours], object))


def predictions(result: triton.InferResult) -> list[dict[str, Any]]:
    return [json.loads(one) for one in result.as_numpy("predictions")]


def infer(
    server: Server, document: Any, binary: bytes = b"", path: str = INFER, **headers: str
) -> requests.Response:
    """Posts a document, and after it what is binary."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    if binary and "length" not in headers:
        headers[HEADER] = str(len(text))
    if "length" in headers:
        headers[HEADER] = headers.pop("length")
    return requests.post(server.url + path, data=text + binary, headers=headers, timeout=30)


def refused(response: requests.Response, status: int) -> str:
    """Checks that a response is a refusal in the protocol's shape, and returns its message."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"}
    assert MARK not in response.text
    message: str = body["error"]
    assert message
    return message


def test_the_server_is_live_and_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata() == {
        "name": "zeropoint",
        "version": "0.1.0",
        "extensions": ["binary_tensor_data"],
    }


@pytest.mark.parametrize("version", ["", "1"])
def test_a_model_is_ready_and_described(client: triton.InferenceServerClient, version: str) -> None:
    assert client.is_model_ready("colour", version)
    described = client.get_model_metadata("colour", version)
    face = described.pop("parameters")
    assert described == {
        "name": "colour",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 3, 8, 8]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 3]}],
    }
    assert face["inputs"] == [{"name": "instances", "datatype": "BYTES", "shape": [-1]}]
    assert face["parameters"] == ["top_k"]


def test_another_version_or_model_is_neither_ready_nor_described(
    client: triton.InferenceServerClient,
) -> None:
    for model, version in (("colour", "2"), ("colour", MARK), ("nope", ""), ("nope", "1")):
        assert not client.is_model_ready(model, version)
        with pytest.raises(InferenceServerException) as refusal:
            client.get_model_metadata(model, version)
        assert refusal.value.status() == "404"
        with pytest.raises(InferenceServerException) as refusal:
            client.infer(model, [photos("red")], version)
        assert refusal.value.status() == "404"
        assert MARK not in str(refusal.value)


def test_readiness_begins_a_models_load_and_does_not_wait(tmp_path: Path) -> None:
    write_identity_model(tmp_path, "FLOAT")
    write_colour_model(tmp_path)
    with Server({"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_MODEL": "colour"}) as running:
        first = requests.get(running.url + "/v2/models/float/ready", timeout=10)
        refused(first, 503)
        assert int(first.headers["retry-after"]) >= 1
        for _ in range(1000):
            response = requests.get(running.url + "/v2/models/float/ready", timeout=10)
            if response.status_code == 200:
                break
        assert response.json() == {"name": "float", "ready": True}


def test_a_model_that_cannot_load_is_503(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path)
    (folder / "model.onnx").write_bytes(b"another")
    with Server({"ZEROPOINT_MODELS": str(tmp_path)}) as running:
        for path in ("/v2/models/colour", "/v2/models/colour/ready", "/v2/health/ready"):
            response = requests.get(running.url + path, timeout=10)
            refused(response, 503)
            assert int(response.headers["retry-after"]) >= 1
        body = {"inputs": [{"name": "instances", "datatype": "BYTES", "shape": [0], "data": []}]}
        refused(infer(running, body), 503)


@pytest.mark.parametrize("binary_out", [True, False])
def test_photos_go_in_as_bytes_and_predictions_come_out(
    client: triton.InferenceServerClient, binary_out: bool
) -> None:
    outputs = [triton.InferRequestedOutput("predictions", binary_data=binary_out)]
    result = client.infer("colour", [photos(*COLOURS)], outputs=outputs, request_id="abc")
    assert [one["label"] for one in predictions(result)] == list(COLOURS)
    answer = result.get_response()
    assert answer["id"] == "abc"
    assert (answer["model_name"], answer["model_version"]) == ("colour", "1")
    assert answer["outputs"][0]["shape"] == [3]


def test_photos_go_in_as_base64_in_json(client: triton.InferenceServerClient) -> None:
    texts = np.array([base64.b64encode(picture(colour)).decode() for colour in COLOURS], object)
    result = client.infer("colour", [tensor("instances", texts, binary=False)])
    assert [one["label"] for one in predictions(result)] == list(COLOURS)


def test_the_tasks_parameters_are_the_requests(client: triton.InferenceServerClient) -> None:
    result = client.infer("colour", [photos("red")], parameters={"top_k": 3})
    assert len(predictions(result)[0]["top"]) == 3
    for parameters in ({"top_k": 4}, {MARK: 1}):
        with pytest.raises(InferenceServerException) as refusal:
            client.infer("colour", [photos("red")], parameters=parameters)
        assert refusal.value.status() == "422"
        assert MARK not in str(refusal.value)


@pytest.mark.parametrize("binary", [True, False])
def test_the_models_own_tensors_go_in_and_out(
    client: triton.InferenceServerClient, binary: bool
) -> None:
    array = np.random.default_rng(1).random((5, 3, 8, 8), np.float32)
    result = client.infer("colour", [tensor("input", array, binary)])
    np.testing.assert_allclose(result.as_numpy("scores"), array.mean((2, 3)), rtol=1e-5)


def test_an_answer_has_the_models_digest_and_its_steps(colour_server: Server) -> None:
    document = {"inputs": [{"name": "instances", "datatype": "BYTES", "shape": [0], "data": []}]}
    response = infer(colour_server, document)
    assert response.headers["x-model-digest"].startswith("sha256:")
    assert response.headers["server-timing"].startswith("queue;dur=")
    assert response.json() == {
        "model_name": "colour",
        "model_version": "1",
        "outputs": [{"name": "predictions", "datatype": "BYTES", "shape": [0], "data": []}],
    }


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("name", IDENTITIES)
def test_every_datatype_comes_back_as_it_was(
    identity_client: triton.InferenceServerClient, name: str, binary_in: bool, binary_out: bool
) -> None:
    datatype = IDENTITIES[name]
    if datatype == "BYTES":
        array: Any = np.array([["", "a\0", "\u732b"], ["x" * 1000, "\U0001f408", '"']], object)
    elif datatype == "BOOL":
        array = np.array([[True, False, True], [False, False, True]])
    elif datatype.startswith("FP"):
        dtype = np.dtype(f"f{int(datatype[2:]) // 8}")
        range_ = np.finfo(dtype)
        array = np.array([[range_.min, range_.max, range_.tiny], [0.1, -0.0, 1.0]], dtype)
    else:
        dtype = np.dtype(datatype.lower())
        range_of = np.iinfo(dtype)
        array = np.array([[range_of.min, range_of.max, 0], [1, 2, 3]], dtype)
    outputs = [triton.InferRequestedOutput(one, binary_data=binary_out) for one in "yz"]
    result = identity_client.infer(name, [tensor("x", array, binary_in)], outputs=outputs)
    for output in "yz":
        got = result.as_numpy(output)
        if datatype == "BYTES" and binary_out:
            got = np.array([[one.decode() for one in row] for row in got], object)
        assert got.shape == array.shape
        assert got.tolist() == array.tolist()


@pytest.mark.parametrize("name", IDENTITIES)
def test_metadata_and_answer_name_the_same_datatype(
    identity_client: triton.InferenceServerClient, name: str
) -> None:
    (described,) = identity_client.get_model_metadata(name)["inputs"]
    assert described == {"name": "x", "datatype": IDENTITIES[name], "shape": [-1, -1]}


def test_the_outputs_that_are_named_come_out_each_as_asked(
    identity_client: triton.InferenceServerClient,
) -> None:
    array = np.ones((2, 2), np.float32)
    for wanted in (["y"], ["z"], ["z", "y"]):
        outputs = [triton.InferRequestedOutput(one, binary_data=one == "y") for one in wanted]
        result = identity_client.infer("float", [tensor("x", array)], outputs=outputs)
        entries = result.get_response()["outputs"]
        assert [entry["name"] for entry in entries] == wanted
        assert ["data" in entry for entry in entries] == [one == "z" for one in wanted]
        for one in wanted:
            np.testing.assert_array_equal(result.as_numpy(one), array)


def test_an_outputs_own_word_goes_over_the_requests(identity_server: Server) -> None:
    document = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1.5]}],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "y", "parameters": {"binary_data": False}}, {"name": "z"}],
    }
    response = infer(identity_server, document, path="/v2/models/float/infer")
    length = int(response.headers[HEADER])
    y, z = json.loads(response.content[:length])["outputs"]
    assert y["data"] == [1.5]
    assert z["parameters"] == {"binary_data_size": 4}
    assert response.content[length:] == struct.pack("<f", 1.5)


def test_no_rows_are_answered_with_no_rows(
    client: triton.InferenceServerClient, identity_client: triton.InferenceServerClient
) -> None:
    empty = np.empty((0, 3, 8, 8), np.float32)
    for binary in (True, False):
        scores = client.infer("colour", [tensor("input", empty, binary)]).as_numpy("scores")
        assert scores.shape == (0, 3)
        texts = np.empty((0, 2), object)
        got = identity_client.infer("string", [tensor("x", texts, binary)]).as_numpy("y")
        assert got.shape == (0, 2)
    assert client.infer("colour", [photos()]).as_numpy("predictions").shape == (0,)


def test_nested_lists_are_the_same_as_flat_ones(identity_server: Server) -> None:
    for data in ([1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]):
        document = {"inputs": [{"name": "x", "datatype": "INT8", "shape": [2, 3], "data": data}]}
        response = infer(identity_server, document, path="/v2/models/int8/infer")
        assert response.json()["outputs"][0]["data"] == [1, 2, 3, 4, 5, 6]


def test_what_json_has_not_is_null(identity_client: triton.InferenceServerClient) -> None:
    array = np.array([[np.nan, np.inf, 1.0]], np.float32)
    outputs = [triton.InferRequestedOutput("y", binary_data=False)]
    result = identity_client.infer("float", [tensor("x", array)], outputs=outputs)
    assert result.get_response()["outputs"][0]["data"] == [None, None, 1.0]
    exact = identity_client.infer("float", [tensor("x", array)]).as_numpy("y")
    np.testing.assert_array_equal(exact, array)


def test_many_callers_at_once_each_get_their_own(identity_server: Server) -> None:
    def call(number: int) -> bool:
        with triton.InferenceServerClient(identity_server.url.removeprefix("http://")) as one:
            array = np.full((3, 100), number, np.int64)
            got = one.infer("int64", [tensor("x", array, number % 2 == 0)]).as_numpy("y")
            return bool((got == array).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(64)))


def test_tensors_that_are_not_the_models_are_422(colour_server: Server) -> None:
    good = {"name": "input", "datatype": "FP32", "shape": [1, 3, 8, 8]}
    for change in (
        {"name": "other"},
        {"datatype": "FP64"},
        {"shape": [1, 3, 64]},
        {"shape": [3, 1, 8, 8]},
        {"name": "instances"},
        {"name": "instances", "datatype": "BYTES", "shape": [192, 1]},
    ):
        document = {**good, **change}
        data = ["" if document["datatype"] == "BYTES" else 0] * 192
        refused(infer(colour_server, {"inputs": [{**document, "data": data}]}), 422)
    refused(infer(colour_server, {"inputs": []}), 422)


def test_tensors_that_do_not_fit_each_other_are_422(identity_server: Server) -> None:
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [size], "data": [0] * size}
        for name, size in (("a", 2), ("b", 3))
    ]
    refused(infer(identity_server, {"inputs": inputs}, path="/v2/models/adder/infer"), 422)


def test_parameters_beside_raw_tensors_are_422(identity_server: Server) -> None:
    inputs = [{"name": "x", "datatype": "INT8", "shape": [1, 1], "data": [1]}]
    document = {"inputs": inputs, "parameters": {MARK: 1}}
    refused(infer(identity_server, document, path="/v2/models/int8/infer"), 422)


def test_an_instance_that_is_no_photo_is_named(colour_server: Server) -> None:
    data = [base64.b64encode(one).decode() for one in (picture("red"), MARK.encode())]
    document = {"inputs": [{"name": "instances", "datatype": "BYTES", "shape": [2], "data": data}]}
    assert refused(infer(colour_server, document), 415).startswith("instance 2 of 2: ")


def test_too_many_instances_are_413(colour_server: Server) -> None:
    entry = {"name": "instances", "datatype": "BYTES", "shape": [1025]}
    document = {"inputs": [{**entry, "parameters": {"binary_data_size": 4100}}]}
    refused(infer(colour_server, document, b"\0" * 4100), 413)


@pytest.mark.parametrize("path", ["/v2", "/v2/models/colour", "/v2/models/colour/versions/1/ready"])
def test_another_method_is_405_in_the_protocols_shape(colour_server: Server, path: str) -> None:
    response = requests.post(colour_server.url + path, data=MARK, timeout=10)
    refused(response, 405)
    assert response.headers["allow"] == "GET, HEAD"
    assert requests.get(colour_server.url + INFER, timeout=10).headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path", ["/v2/nope", "/v2/models", "/v2/models/colour/config", "/v2/repository/index"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_route_is_404_in_the_protocols_shape(
    colour_server: Server, path: str, method: str
) -> None:
    refused(requests.request(method, colour_server.url + path, data=MARK, timeout=10), 404)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "image/png"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-encoding": "gzip"},
    ],
)
def test_another_media_type_or_encoding_is_415(
    colour_server: Server, headers: dict[str, str]
) -> None:
    refused(infer(colour_server, {}, b"", INFER, **headers), 415)


def test_a_body_over_the_limit_is_413(tmp_path: Path) -> None:
    write_colour_model(tmp_path)
    limit = {"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_MAX_BODY_BYTES": "2000"}
    with Server(limit) as running:
        running.wait_until_ready()
        refused(infer(running, b" " * 2001), 413)


def one(**change: Any) -> dict[str, Any]:
    """Returns a document with one input that is right but for the change."""
    entry = {"name": "input", "datatype": "FP32", "shape": [1, 3, 8, 8], "data": [0.0] * 192}
    return {"inputs": [{key: value for key, value in {**entry, **change}.items() if value != ...}]}


MALFORMED: dict[str, Any] = {
    "no body": b"",
    "no JSON": b"{",
    "another text": MARK.encode(),
    "a list": [],
    "null": None,
    "nothing": {},
    "no list of inputs": {"inputs": {}},
    "an input that is none": {"inputs": [1]},
    "an input without a name": one(name=...),
    "a name that is none": one(name=1),
    "an input without a shape": one(shape=...),
    "an input without a datatype": one(datatype=...),
    "an input without data": one(data=...),
    "data of null": one(data=None),
    "data of another type": one(data={}),
    "an unknown datatype": one(datatype=MARK),
    "a datatype not served": one(datatype="BF16"),
    "a datatype in lower case": one(datatype="fp32"),
    "a negative dimension": one(shape=[-1, 3, 8, 8]),
    "a dimension that varies": one(shape=[None, 3, 8, 8]),
    "a dimension of half": one(shape=[1.5, 3, 8, 8]),
    "a dimension of true": one(shape=[True, 3, 8, 8]),
    "a dimension beyond 64 bits": one(shape=[2**70]),
    "an absurd shape": one(shape=[2**62, 4]),
    "a shape whose product is 0 beyond 64 bits": one(shape=[2**32, 2**32]),
    "a shape of nothing, but huge": one(shape=[2**62, 0], data=[]),
    "a shape of many dimensions": one(shape=[1] * 1000),
    "a shape of zero, with data": one(shape=[0, 3, 8, 8]),
    "too few elements": one(shape=[2, 3, 8, 8]),
    "texts as numbers": one(data=[MARK] * 192),
    "one text among numbers": one(data=[0.0] * 191 + [MARK]),
    "nulls as numbers": one(data=[None] * 192),
    "numbers out of range": one(data=[1e39] * 192),
    "ragged data": one(shape=[2, 2], data=[[1, 2], [3]]),
    "data nested another way": one(shape=[2, 2], data=[[[1, 2], [3, 4]]]),
    "data nested deeply": b'{"inputs":[{"name":"input","datatype":"FP32","shape":[1],"data":'
    + b"[" * 100_000,
    "an id that is no text": {**one(), "id": 1},
    "parameters that are no object": {**one(), "parameters": []},
    "parameters nested deeply": json.dumps(one()).encode()[:-1]
    + b',"parameters":{"a":'
    + b"[" * 100
    + b"]" * 100
    + b"}}",
    "binary_data_output that is no boolean": {**one(), "parameters": {"binary_data_output": 1}},
    "outputs that are no list": {**one(), "outputs": {}},
    "an output that the model has not": {**one(), "outputs": [{"name": MARK}]},
    "an output of the other face": {**one(), "outputs": [{"name": "predictions"}]},
    "an output twice": {**one(), "outputs": [{"name": "scores"}] * 2},
    "binary_data that is no boolean": {
        **one(),
        "outputs": [{"name": "scores", "parameters": {"binary_data": 1}}],
    },
    "an output's unknown parameter": {
        **one(),
        "outputs": [{"name": "scores", "parameters": {"classification": 3}}],
    },
    "an output in shared memory": {
        **one(),
        "outputs": [{"name": "scores", "parameters": {"shared_memory_region": MARK}}],
    },
    "an input in shared memory": one(data=..., parameters={"shared_memory_region": MARK}),
    "an input twice": {"inputs": one()["inputs"] * 2},
    "data here and after": one(parameters={"binary_data_size": 0}),
    "a negative size": one(data=..., parameters={"binary_data_size": -1}),
    "a size of half": one(data=..., parameters={"binary_data_size": 0.5}),
    "a size beyond 64 bits": one(data=..., parameters={"binary_data_size": 2**70}),
    "a size beyond the body": one(data=..., parameters={"binary_data_size": 768}),
    "base64 that is none": {
        "inputs": [{"name": "instances", "datatype": "BYTES", "shape": [1], "data": ["!"]}]
    },
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_cannot_be_parsed_is_400(colour_server: Server, case: str) -> None:
    refused(infer(colour_server, MALFORMED[case]), 400)


@pytest.mark.parametrize(
    ("size", "sent", "length"),
    [
        (768, 767, None),
        (768, 769, None),
        (767, 767, None),
        (772, 772, None),
        (768, 768, "0"),
        (768, 768, "5"),
        (768, 768, "99999999"),
        (768, 768, "-1"),
        (768, 768, "+94"),
        (768, 768, "94.0"),
        (768, 768, "x"),
        (768, 768, ""),
        (768, 768, "9" * 5000),
        (768, 768, "94, 94"),
        (2**62, 768, None),
    ],
)
def test_binary_data_of_another_size_is_400(
    colour_server: Server, size: int, sent: int, length: str | None
) -> None:
    document = one(data=..., parameters={"binary_data_size": size})
    headers = {} if length is None else {"length": length}
    refused(infer(colour_server, document, b"\0" * sent, INFER, **headers), 400)


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\1\0\0\0", b"\xff\xff\xff\xff", b"\0" * 8])
def test_binary_texts_that_do_not_fill_their_data_are_400(
    colour_server: Server, data: bytes
) -> None:
    entry = {"name": "instances", "datatype": "BYTES", "shape": [1]}
    document = {"inputs": [{**entry, "parameters": {"binary_data_size": len(data)}}]}
    refused(infer(colour_server, document, data), 400)


def test_booleans_other_than_0_and_1_are_400(identity_server: Server) -> None:
    entry = {"name": "x", "datatype": "BOOL", "shape": [1, 2]}
    document = {"inputs": [{**entry, "parameters": {"binary_data_size": 2}}]}
    refused(infer(identity_server, document, b"\1\2", "/v2/models/bool/infer"), 400)


def test_texts_that_are_not_utf_8_are_400(identity_server: Server) -> None:
    entry = {"name": "x", "datatype": "BYTES", "shape": [1, 1]}
    document = {"inputs": [{**entry, "parameters": {"binary_data_size": 5}}]}
    refused(infer(identity_server, document, b"\1\0\0\0\xff", "/v2/models/string/infer"), 400)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NUMBERS = st.lists(st.integers(-2, 300) | st.floats(), max_size=6)
INPUTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "instances"]) | JSON_VALUES,
        "datatype": st.sampled_from(list(IDENTITIES.values())) | JSON_VALUES,
        "shape": st.lists(st.integers(0, 3), max_size=3) | JSON_VALUES,
    },
    optional={
        "data": NUMBERS | st.lists(NUMBERS, max_size=3) | st.lists(st.text()) | JSON_VALUES,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(0, 9)}) | JSON_VALUES,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"inputs": st.lists(INPUTS, max_size=2) | JSON_VALUES},
    optional={
        "id": st.text() | JSON_VALUES,
        "parameters": st.fixed_dictionaries({"binary_data_output": st.booleans()}) | JSON_VALUES,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from("yzw")})) | JSON_VALUES,
    },
)


@given(DOCUMENTS, st.binary(max_size=20), st.sampled_from(sorted(IDENTITIES)))
@hypothesis_settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_document_is_answered_or_refused_in_shape(
    identity_server: Server, document: dict[str, Any], binary: bytes, model: str
) -> None:
    response = infer(identity_server, document, binary, f"/v2/models/{model}/infer")
    if response.status_code == 200:
        length = int(response.headers.get(HEADER, len(response.content)))
        answer = json.loads(response.content[:length])
        assert answer["model_name"] == model
        assert all(entry["name"] in ("y", "z", "predictions") for entry in answer["outputs"])
    else:
        assert response.status_code < 500
        refused(response, response.status_code)


@given(st.binary(max_size=300), st.integers(0, 300))
@hypothesis_settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_refused_in_shape(colour_server: Server, body: bytes, length: int) -> None:
    refused(infer(colour_server, body, length=str(length)), 400)
