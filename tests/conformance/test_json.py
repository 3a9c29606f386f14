"""Cases 16, 20 and 24: JSON in of every kind, and JSON out whatever the numbers."""

import json
import string
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from conformance.routes import CHAT
from conformance.wire import JSON, call, refused
from servers import Server

V2 = "/v2/models/float/infer"
PATHS = ("/", "/predict", "/v1/predict", "/bigquery", V2, CHAT)
KEYS = {"/bigquery": "calls", V2: "inputs", CHAT: "messages"}

# What RFC 8259 does not allow, alone and inside a document.
NOT_JSON = (
    *(b"", b" ", b"\xef\xbb\xbf{}", b"\xff", b"{", b"}", b"[", b"]", b"[1", b"[1,", b"[1,]"),
    *(b"[,1]", b"[1 2]", b"[1,,2]", b"[1]]", b"[[1]", b"[1}", b"{1}", b"{1:1}", b"{a:1}"),
    *(b"{'a':1}", b'{"a"}', b'{"a":}', b'{"a" 1}', b'{"a":1,}', b'{,"a":1}', b'{"a":1 "b":2}'),
    *(b'{"a":1}}', b'{"a"::1}', b'{"a":1', b'{"a', b'{"a":"b', b"[1]x", b"[1]//", b"/**/[1]"),
    *(b"[1]#", b"[1]\0", b"nul", b"nulll", b"NULL", b"True", b"TRUE", b"tru", b"fals"),
    *(b"undefined", b"None", b"nan", b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"+1"),
    *(b"01", b"-01", b"-", b"--1", b".5", b"5.", b"-.5", b"1.e1", b"1e", b"1e+", b"1E-", b"1e1.5"),
    *(b"0x10", b"0b1", b"0o7", b"1_000", b"1a", b"\xd9\xa1", b"- 1", b"1 000", b"0.3e"),
    *(b"00", b"0e", b"1ee2", b"'a'", b"`a`", b'"', b'"a', b'a"', b'"\\', b'"\\"', b'"\\x41"'),
    *(b'"\\u"', b'"\\u12"', b'"\\u12G4"', b'"\\a"', b'"\n"', b'"\t"', b'"\0"', b'"\x1f"'),
    *(b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xe2\x82"', b'"\\ud800\\"'),
    *(b'"\\U00000041"', b'"\\u 041"', b"\\u005b1]", b"<a>", b"a=1", b"\x00", b"\x80"),
)
# What it allows, though few mean it.
ODD = (
    *(b"0", b"-0", b"1", b"-1.5e-7", b"1e308", b"1e309", b"-1e999", b"1e-999", b"1E+2", b"null"),
    *(b"true", b"false", b'""', b'"a"', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b"[]"),
    *(b"{}", b'"\\ud83d\\ude00"', b'"\x7f"', b'"\xf0\x9f\x98\xba"', b"[[]]", b"[{}]", b'{"":0}'),
    *(b"[null]", b'{"a":1,"a":2}', b'{"b64":""}', b'{"b64":null}', b'{"gcs":""}'),
    *(b'{"gcs":"gs://"}', b'{"b64":"\\u0000"}', b'{"b64":"AAAA","gcs":"gs://a/b"}'),
    *(b'{"gcs":"gs://a/../b"}', b"9" * 400, b"-" + b"9" * 400, b"0." + b"3" * 5000),
    *(b"1" + b"0" * 5000, b"9223372036854775808", b" \t\r\n[ 1 \n]\t"),
    *(b'"' + b"x" * 1_000_000 + b'"', b"[" + b"1," * 100_000 + b"1]", b"[" * 60 + b"]" * 60),
    *(b'{"a":' * 60 + b"1" + b"}" * 60, b"[" + b"{}," * 100_000 + b"{}]"),
    b"{" + b",".join(b'"%d":%d' % (n, n) for n in range(20_000)) + b"}",
)


def within(path: str, value: bytes) -> list[bytes]:
    """Returns documents of a path with a value in them, where it is read and where it is not."""
    key = KEYS.get(path, "instances").encode()
    bodies = [
        value,
        b'{"%s":%s}' % (key, value),
        b'{"%s":[%s]}' % (key, value),
        b'{"%s":[],"parameters":%s}' % (key, value),
        b'{"%s":[],"ignored":%s}' % (key, value),
    ]
    if path == "/bigquery":
        bodies += [b'{"calls":[[%s]]}' % value, b'{"calls":[],"userDefinedContext":%s}' % value]
    if path == V2:
        entry = b'{"inputs":[{"name":"x","datatype":"FP32","shape":%s,"data":%s}]}'
        bodies += [entry % (b"[1,1]", value), entry % (value, b"[1]")]
        bodies += [
            b'{"inputs":[],"outputs":[{"name":%s}]}' % value,
            b'{"inputs":[],"id":%s}' % value,
        ]
    return bodies


@pytest.mark.parametrize("path", PATHS)
def test_16_what_is_no_json_is_400(server: Server, path: str) -> None:
    empty = {b"", b" "}  # within a document they may leave one, as in [] of nothing
    wrong = []
    for value in NOT_JSON:
        for body in within(path, value)[: 1 if value in empty else None]:
            answer = call(server, "POST", path, body, JSON)
            if answer.status != 400:
                wrong.append((answer.status, body))
            else:
                refused(answer, path, 400)
    assert wrong == []


@pytest.mark.parametrize("path", PATHS)
def test_16_valid_json_is_never_our_fault(server: Server, path: str) -> None:
    for value in ODD:
        for body in within(path, value):
            answer = call(server, "POST", path, body, JSON)
            assert answer.status < 500, (answer, body[:200])
            if answer.status >= 400:
                refused(answer, path)
            else:
                answer.json()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=20),  # half surrogate pairs too
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(string.ascii_letters, max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(path=st.sampled_from(PATHS), value=VALUES, place=st.integers(0, 8))
@hypothesis_settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
def test_16_any_json_is_answered_or_refused_in_shape(
    server: Server, path: str, value: Any, place: int
) -> None:
    bodies = within(path, json.dumps(value).encode())
    answer = call(server, "POST", path, bodies[place % len(bodies)], JSON)
    if answer.status == 200:
        answer.json()
    else:
        refused(answer, path)


# a / b, and what JSON has for it
RATIOS = {(0.0, 0.0): None, (1.0, 0.0): None, (-1.0, 0.0): None, (1.0, 2.0): 0.5, (-0.0, 1.0): 0.0}


def test_20_not_a_number_and_infinity_are_null(server: Server) -> None:
    expected = [[value] for value in RATIOS.values()]
    instances = [{"a": [a], "b": [b]} for a, b in RATIOS]
    native = call(
        server, "POST", "/predict/ratio", json.dumps({"instances": instances}).encode(), JSON
    )
    assert [one["ratio"] for one in native.json()["predictions"]] == expected
    query = {
        "calls": [[json.dumps(one)] for one in instances],
        "userDefinedContext": {"model": "ratio"},
    }
    replies = call(server, "POST", "/bigquery", json.dumps(query).encode(), JSON).json()["replies"]
    assert [one["ratio"] for one in replies] == expected


@pytest.mark.parametrize("binary_in", [True, False])
def test_20_they_are_in_the_open_protocol_too(server: Server, binary_in: bool) -> None:
    entries: list[dict[str, Any]] = []
    data = b""
    for place, name in enumerate("ab"):
        column = [pair[place] for pair in RATIOS]
        entry: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": [len(column), 1]}
        if binary_in:
            entry["parameters"] = {"binary_data_size": 4 * len(column)}
            data += struct.pack(f"<{len(column)}f", *column)
        else:
            entry["data"] = column
        entries.append(entry)
    text = json.dumps({"inputs": entries}).encode()
    headers = {**JSON, "Inference-Header-Content-Length": str(len(text))} if binary_in else JSON
    answer = call(server, "POST", "/v2/models/ratio/infer", text + data, headers)
    assert answer.json()["outputs"][0]["data"] == list(RATIOS.values())


def test_20_not_a_number_as_bytes_comes_back_as_null(server: Server) -> None:
    numbers = (float("nan"), float("inf"), float("-inf"), 3.4e38, 1.5)
    entry = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1, 5],
        "parameters": {"binary_data_size": 20},
    }
    text = json.dumps({"inputs": [entry]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    answer = call(server, "POST", V2, text + struct.pack("<5f", *numbers), headers)
    data = answer.json()["outputs"][0]["data"]
    assert data[:3] == [None] * 3
    assert data[3:] == [pytest.approx(3.4e38), 1.5]


def nested(depth: int) -> tuple[bytes, bytes]:
    """Returns lists, and objects, so deep in each other."""
    return b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth


def places(value: bytes) -> list[tuple[str, bytes]]:
    """Returns documents with a value in every place where any JSON may stand."""
    entry = b'{"inputs":[],"parameters":{"a":%s}}'
    return [
        *((path, b'{"instances":[%s]}' % value) for path in ("/", "/predict", "/v1/predict")),
        ("/predict", b'{"instances":[],"parameters":{"a":%s}}' % value),
        ("/bigquery", b'{"calls":[[%s]]}' % value),
        (V2, entry % value),
    ]


def test_24_nesting_of_50_is_parsed(server: Server) -> None:
    for value in nested(46):  # with what is around it at most 50
        for path, body in places(value):
            answer = call(server, "POST", path, body, JSON)
            assert "nested" not in refused(answer, path), body[:40]
            assert answer.status == 422 or path in ("/bigquery", V2), (path, answer)
    ignored = b'{"instances":[],"ignored":%s}' % nested(48)[0]
    assert call(server, "POST", "/predict", ignored, JSON).json()["predictions"] == []


@pytest.mark.parametrize("depth", [120, 1000, 100_000, 5_000_000])
def test_24_nesting_of_120_is_refused(server: Server, depth: int) -> None:
    for value in nested(depth)[: 2 if depth < 10_000 else 1]:
        for path, body in places(value):
            answer = call(server, "POST", path, body, JSON)
            refused(answer, path)
            assert answer.status in ((400, 413) if depth > 10_000 else (400,)), (path, answer)
