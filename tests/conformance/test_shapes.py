"""Case 25: shapes that overflow, are negative or hold nothing; and batches of nothing."""

import json
import struct
from typing import Any

import pytest

from conformance.resources import MIB, Growth
from conformance.wire import JSON, Answer, call, refused
from servers import Server

HOSTILE: list[Any] = [
    *([-1], [-1, 3, 8, 8], [1, -3, 8, 8], [-(2**63), 1], [-1, -1]),
    *([2**31], [2**32, 2**32], [2**62, 4], [2**63 - 1, 2], [2**63], [2**64], [2**64 + 1], [10**30]),
    *([2**62, 0], [0, 2**62], [2**31, 2**31, 0, 8], [65536] * 4, [1] * 33, [1] * 10_000),
    *(
        [1.5],
        [1e300],
        ["1"],
        [None],
        [True],
        [[1]],
        [{}],
        "1",
        1,
        None,
        {},
        [1, 0, 8, 8],
        [0, 0, 0, 0],
    ),
]


def infer(server: Server, model: str, entry: dict[str, Any], data: bytes = b"") -> Answer:
    """Asks a model with one input."""
    text = json.dumps({"inputs": [entry]}).encode()
    headers = {**JSON, "Inference-Header-Content-Length": str(len(text))} if data else JSON
    return call(server, "POST", f"/v2/models/{model}/infer", text + data, headers)


@pytest.mark.parametrize("datatype", ["FP32", "BYTES", "BOOL", "INT64"])
def test_25_hostile_shapes_are_refused(server: Server, datatype: str) -> None:
    growth = Growth(server)
    value = {"BYTES": "a", "BOOL": True}.get(datatype, 1)
    for shape in HOSTILE:
        entry = {"name": "input", "datatype": datatype, "shape": shape}
        for data in ([value], [], [[[[value]]]]):
            refused(infer(server, "colour", {**entry, "data": data}), "/v2")
        for size in (0, 4, 2**62):
            sent = {**entry, "parameters": {"binary_data_size": size}}
            refused(infer(server, "colour", sent, struct.pack("<I", 0)), "/v2")
    assert growth.most_bytes < 16 * MIB


def test_25_hostile_sizes_of_texts_are_refused(server: Server) -> None:
    for length in (5, 2**31 - 1, 2**31, 2**32 - 1):
        data = struct.pack("<I", length) + b"abcd"
        entry = {"name": "instances", "datatype": "BYTES", "shape": [1]}
        size = {"parameters": {"binary_data_size": len(data)}}
        refused(infer(server, "colour", {**entry, **size}, data), "/v2", 400)


@pytest.mark.parametrize("value", [[], [[]], [[[]]], [[], []], [[1], []], [[[1]]], [1, [1]]])
def test_25_ragged_and_empty_instances_are_refused(server: Server, value: Any) -> None:
    body = json.dumps({"instances": [value]}).encode()
    answer = call(server, "POST", "/predict/ratio", body, JSON)
    refused(answer, "/predict", 422)


def test_25_batches_of_nothing_are_answered(server: Server) -> None:
    for model in ("colour", "float", "ratio", "phishing", "efficientnet-lite0"):
        answer = call(server, "POST", f"/predict/{model}", b'{"instances": []}', JSON)
        assert answer.json()["predictions"] == []
    query = call(server, "POST", "/bigquery", b'{"calls": []}', JSON)
    assert query.json() == {"replies": []}
    no_photos = {"name": "instances", "datatype": "BYTES", "shape": [0], "data": []}
    output = infer(server, "colour", no_photos).json()["outputs"][0]
    assert (output["shape"], output["data"]) == ([0], [])
    no_rows = {"name": "input", "datatype": "FP32", "shape": [0, 3, 8, 8], "data": []}
    output = infer(server, "colour", no_rows).json()["outputs"][0]
    assert (output["shape"], output["data"]) == ([0, 3], [])
    no_columns = {"name": "x", "datatype": "FP32", "shape": [2, 0], "data": []}
    output = infer(server, "float", no_columns).json()["outputs"][0]
    assert (output["shape"], output["data"]) == ([2, 0], [])
