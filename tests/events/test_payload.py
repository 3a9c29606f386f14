"""The instances in a message or an object: one file, one document, or a row each."""

from typing import Any

import pytest

from zeropoint.errors import ClientError
from zeropoint.events.payload import of_message, of_object
from zeropoint.instances import Blob


@pytest.mark.parametrize(
    ("data", "media_type", "instances"),
    [
        (b"\xff\xd8", "", [Blob(b"\xff\xd8")]),
        (b"\xff\xd8", "image/jpeg", [Blob(b"\xff\xd8", "image/jpeg")]),
        (b"a text", "text/plain", [Blob(b"a text", "text/plain")]),
        (b'{"a": 1}', "", [{"a": 1}]),
        (b'{"a": 1}', "application/json", [{"a": 1}]),
        (b'{"a": 1}', "text/plain", [Blob(b'{"a": 1}', "text/plain")]),
        (b"[1, 2]", "", [[1, 2]]),
        (b'"text"', "", ["text"]),
        (b"1", "application/json", [1]),
        (b'{"instances": [1, 2]}', "", [1, 2]),
        (b"[1, 2", "", [Blob(b"[1, 2")]),
        (b"a,b\n1,x\n2,\n", "text/csv", [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
    ],
)
def test_a_message_holds_instances(data: bytes, media_type: str, instances: list[Any]) -> None:
    assert list(of_message(data, media_type).instances) == instances


def test_a_document_may_have_parameters() -> None:
    found = of_message(b'{"instances": [1], "parameters": {"top_k": 2}}', "")
    assert found.parameters == {"top_k": 2}


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"{", "application/json"),
        (b'{"instances": 1}', ""),
        (b"[" * 9999, "application/json"),
        (b"\xff", "text/csv"),
    ],
)
def test_what_is_called_json_or_csv_and_is_none_is_refused(data: bytes, media_type: str) -> None:
    with pytest.raises(ClientError):
        of_message(data, media_type)


@pytest.mark.parametrize("name", ["a.jpg", "a.jsonl", "a.csv", "a"])
def test_an_object_is_one_file_for_a_model_that_takes_files(name: str) -> None:
    assert of_object(name, b"[1]\n[2]", takes_files=True).instances == [Blob(b"[1]\n[2]")]


@pytest.mark.parametrize(
    ("name", "data", "instances"),
    [
        ("a.jsonl", b'[1]\n\n{"a": 2}\n', [[1], {"a": 2}]),
        ("a.ndjson", b"1\r\n2", [1, 2]),
        ("a.jsonl", b"", []),
        ("a.json", b'{"a": 1}', [{"a": 1}]),
        ("a.json", b'{"instances": [1, 2]}', [1, 2]),
        ("a.csv", b"a,b\n1,x\n2.5,\n", [{"a": 1, "b": "x"}, {"a": 2.5, "b": None}]),
        ("a.csv", b'\xef\xbb\xbfa,b\r\n"x, y",true\r\n', [{"a": "x, y", "b": True}]),
        ("a.csv", b"a,b\n", []),
        ("a.txt", b"text", [Blob(b"text")]),
    ],
)
def test_an_object_of_rows_holds_an_instance_each(
    name: str, data: bytes, instances: list[Any]
) -> None:
    assert list(of_object(name, data, takes_files=False).instances) == instances


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl", b"[1]\n[2", "line 2: expected JSON"),
        ("a.csv", b"a,b\n1,2\n3\n", "row 2: expected as many values"),
        ("a.csv", b"a,b\n1,2,3\n", "row 1: expected as many values"),
        ("a.csv", b"\xff\xfe", "expected CSV in UTF-8"),
        ("a.csv", b'a,b\n"1,2', "expected CSV in UTF-8"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(name: str, data: bytes, said: str) -> None:
    with pytest.raises(ClientError, match=said):
        of_object(name, data, takes_files=False)
