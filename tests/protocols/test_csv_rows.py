"""CSV: its rows become objects, what reads as a number is one, and limits hold."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from servers import Server
from test_app import MARK, refused
from tiny_tables import weighed_graph, write_table_model
from zeropoint.errors import BodyTooLargeError, ClientError, MalformedError
from zeropoint.protocols import csv_rows

HEADERS = {"content-type": "text/csv"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("True", "True"),
        ("", None),
        ("null", None),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("1e999", "1e999"),
        ("007", "007"),
        (" 5 ", 5),
        ("-0", 0),
        ("1\0", "1\0"),
        ("9" * 5000, "9" * 5000),
        ("1,5", "1,5"),
        ("[1]", "[1]"),
        ('"', '"'),
        ("two\nlines", "two\nlines"),
        ("ä", "ä"),
    ],
)
def test_a_value_is_a_number_where_it_reads_as_one(text: str, value: Any) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["a", "b"], [text, "x"]])
    (row,) = csv_rows.decode(file.getvalue().encode())
    assert row == {"a": value, "b": "x"}
    assert type(row["a"]) is type(value)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_files_of_any_system_are_read(line_end: str, mark: bytes) -> None:
    data = mark + line_end.join(["a,b", "1,2", "", "3,4", ""]).encode()
    assert csv_rows.decode(data) == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


@pytest.mark.parametrize("data", [b"", b"a,b", b"a,b\n", b"a,b\n\n"])
def test_a_header_alone_has_no_rows(data: bytes) -> None:
    assert csv_rows.decode(data) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a,b\n1\n", "row 1: expected as many values as the header has names"),
        (b"a,b\n1,2\n1,2,3\n", "row 2: expected as many values as the header has names"),
        (b"a,a\n1,2\n", "expected a header of different names, got one twice"),
        (b'a,b\n"1,2', "expected CSV in UTF-8 with a header, got another file"),
        (b"a,b\n1,\xff\n", "expected CSV in UTF-8 with a header, got another file"),
        (b"a\n" + b"x" * 200_000, "expected CSV in UTF-8 with a header, got another file"),
    ],
)
def test_another_file_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        csv_rows.decode(data)
    assert refusal.value.message == said


def test_no_more_rows_are_read_than_are_allowed() -> None:
    assert len(csv_rows.decode(b"a\n1\n2\n", 2)) == 2
    with pytest.raises(BodyTooLargeError, match="expected at most 2 rows, got more"):
        csv_rows.decode(b"a\n1\n2\n3\n", 2)


def test_a_file_is_not_copied_as_text() -> None:
    data = b"a\n" + b"x" * 99 + b"\n" * 400_000
    tracemalloc.start()
    csv_rows.decode(data)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < len(data) // 2


@pytest.mark.parametrize("token", [b",", b"\n", b"\r", b"\r\n"])
def test_more_values_than_any_table_has_are_too_large(token: bytes) -> None:
    with pytest.raises(BodyTooLargeError, match="expected CSV of at most 2097152 values, got more"):
        csv_rows.decode(b"a" + token * (csv_rows.MAX_VALUES + 1))


def test_very_many_columns_are_read() -> None:
    names = ",".join(map(str, range(50_000)))
    (row,) = csv_rows.decode(f"{names}\n{names}\n".encode())
    assert list(row.values()) == list(range(50_000))


@given(st.binary(max_size=200) | st.text(st.sampled_from('ab1,"\n\r.'), max_size=60))
def test_any_bytes_are_rows_or_refused(data: bytes | str) -> None:
    try:
        rows = csv_rows.decode(data.encode() if isinstance(data, str) else data)
    except ClientError:
        return
    assert len({tuple(row) for row in rows}) <= 1


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | FLOATS


@given(st.dictionaries(st.text("abc ,\"\n'", min_size=1), VALUES, min_size=1, max_size=4))
def test_a_row_that_was_written_is_read(row: dict[str, Any]) -> None:
    assert csv_rows.decode(csv_rows.encode(row).encode()) == [row]


@pytest.fixture(scope="module")
def table_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a model of two features, four instances at most."""
    repository = tmp_path_factory.mktemp("repository")
    a, b = {"name": "a", "type": "number"}, {"name": "b", "type": "number", "default": 0}
    model = weighed_graph([[0.0, 1.0], [1.0, 0.0]])
    output = {"labels": ["small", "large"], "activation": "softmax"}
    row = {"a": 1, "b": 0}
    write_table_model(repository, model, [a, b], output, row, {"label": "large"})
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MAX_INSTANCES": "4"}
    with Server(settings) as running:
        running.wait_until_ready()
        yield running


def predict(server: Server, data: bytes, path: str = "/predict/table") -> requests.Response:
    return requests.post(server.url + path, data=data, headers=HEADERS, timeout=30)


@pytest.mark.parametrize("media_type", ["text/csv", "TEXT/CSV; charset=utf-8; header=present"])
def test_each_row_of_a_body_is_answered(table_server: Server, media_type: str) -> None:
    response = requests.post(
        table_server.url + "/predict/table",
        data=b"b,a\n0,2\n3,1\n,1\n",
        headers={"content-type": media_type},
        timeout=30,
    )
    assert response.status_code == 200, response.text
    found = response.json()["predictions"]
    assert [one["label"] for one in found] == ["large", "small", "large"]
    rows = [{"a": 2, "b": 0}, {"a": 1, "b": 3}, {"a": 1}]
    same = requests.post(
        table_server.url + "/predict/table", json={"instances": rows}, timeout=30
    ).json()
    assert found == same["predictions"]


def test_parameters_of_rows_stand_in_the_query(table_server: Server) -> None:
    response = predict(table_server, b"a\n0.1\n", "/predict/table?threshold=0.99")
    assert [one["label"] for one in response.json()["predictions"]] == ["small"]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"a\n1\n1\n1\n1\n1\n", 413, "body_too_large"),
        (b"", 400, "malformed"),
        (b"a,b\n1\n", 400, "malformed"),
        (b"\xff", 400, "malformed"),
        (b"a\nNaN\n", 422, "invalid"),
        (b"a\n \n", 422, "invalid"),
        (f"a,{MARK}\n1,2\n".encode(), 422, "invalid"),
        (f"a\n{MARK}\n".encode(), 422, "invalid"),
    ],
)
def test_a_body_that_cannot_be_answered_is_refused(
    table_server: Server, data: bytes, status: int, code: str
) -> None:
    refused(predict(table_server, data), status, code)


def test_the_row_of_a_mistake_is_named(table_server: Server) -> None:
    error = refused(predict(table_server, b"a\n1\nx\n"), 422, "invalid")
    assert error["message"] == "instance 2 of 2: feature a: expected a number, got a text"


def test_rows_are_no_photo(colour_server: Server) -> None:
    refused(predict(colour_server, b"a\n1\n", "/predict"), 422, "invalid")


def test_the_document_has_a_file_that_is_answered(table_server: Server) -> None:
    document = requests.get(table_server.url + "/openapi.json", timeout=10).json()
    for path in ("/predict", "/predict/{model}"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        (example,) = content["text/csv"]["examples"].values()
        assert example == {"value": "a,b\n1,0\n"}
        assert predict(table_server, example["value"].encode()).status_code == 200
    json_example = content["application/json"]["examples"]["table"]["value"]
    assert json.dumps(json_example) == '{"instances": [{"a": 1, "b": 0}]}'
