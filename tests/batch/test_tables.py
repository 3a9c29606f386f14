"""Files of rows: a batch reads what an upload's reader reads, and loses no row."""

import csv
import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeropoint.batch import tables
from zeropoint.errors import MalformedError, SettingsError
from zeropoint.protocols import csv_rows

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=6) | (
    st.sampled_from(["1", "1.0", "-2e3", "true", "false", "", "null", "NaN", "01", "1" * 400])
)


def rows(name: str, data: bytes, id_column: str = "") -> tuple[list[str], list[Any]]:
    ids: list[str] = []
    found: list[Any] = []
    for chunk in tables.chunks(name, io.BytesIO(data), id_column):
        assert len(chunk.ids) == len(chunk.each())
        ids += chunk.ids
        found += chunk.each()
    return ids, found


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=200))
def test_csv_is_read_as_an_upload_is(cells: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerows([("a", "b"), *cells])
    data = file.getvalue().encode()
    ids, found = rows("t.csv", data)
    wanted = csv_rows.decode(data)
    assert list(map(repr, found)) == list(map(repr, wanted))  # 1, 1.0 and true are equal
    assert ids == [f"t.csv#{number}" for number in range(1, len(wanted) + 1)]


def test_a_row_of_another_length_is_an_error_in_its_place() -> None:
    ids, found = rows("t.csv", b"a,b\n1,2\n3\n\n4,5,6\n7,8\n")
    assert ids == ["t.csv#1", "t.csv#2", "t.csv#3", "t.csv#4"]
    assert (found[0], found[3]) == ({"a": 1, "b": 2}, {"a": 7, "b": 8})
    assert [type(one) for one in found[1:3]] == [MalformedError, MalformedError]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_column_may_have_the_ids(name: str) -> None:
    values = [{"key": f"k{number}", "x": number} for number in range(1000)]
    ids, found = rows(name, _file(name, values), "key")
    assert ids == [f"k{number}" for number in range(1000)]
    assert found == [{"x": number} for number in range(1000)]


def test_without_the_column_of_ids_nothing_is_read() -> None:
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(SettingsError, match="expected a column key, got none"):
            rows(name, _file(name, [{"x": 1}]), "key")
    ids, found = rows("t.jsonl", b'{"x": 1}\n{"key": 7, "x": 2}\n', "key")
    assert ids == ["t.jsonl#1", "7"]
    assert isinstance(found[0], MalformedError)
    assert found[1] == {"x": 2}


def test_lines_that_are_no_json_are_errors_in_their_place() -> None:
    ids, found = rows("t.jsonl", b'[1]\n\n{"a"\n\xff\n"b"')
    assert ids == ["t.jsonl#1", "t.jsonl#3", "t.jsonl#4", "t.jsonl#5"]
    assert (found[0], found[3]) == ([1], "b")
    assert [type(one) for one in found[1:3]] == [MalformedError, MalformedError]


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz"])
def test_compressed_files_are_the_same(name: str) -> None:
    values = [{"x": number % 7, "y": f"text {number}"} for number in range(10_000)]
    plain = name.removesuffix(".gz")
    data = _file(plain, values)
    assert rows(name, gzip.compress(data))[1] == rows(plain, data)[1] == values
    ids, found = rows(name, gzip.compress(data)[:-50])
    assert found[:-1] == values[: len(found) - 1]
    assert ids[-1] == name
    assert isinstance(found[-1], MalformedError)
    assert f"behind its first {len(found) - 1} rows" in found[-1].message


def test_parquet_has_its_own_types() -> None:
    values: list[dict[str, Any]] = [
        {"i": 1, "f": 0.5, "t": "1", "b": True, "n": None, "l": [1, 2]},
        {"i": None, "f": 1.5, "t": None, "b": False, "n": None, "l": []},
    ]
    assert rows("t.parquet", _file("t.parquet", values))[1] == values


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_what_is_no_parquet_is_one_error(data: bytes) -> None:
    ids, (error,) = rows("t.parquet", data)
    assert ids == ["t.parquet"]
    assert isinstance(error, MalformedError)


def test_a_parquet_file_that_is_cut_off_is_told() -> None:
    data = _file("t.parquet", [{"x": number} for number in range(100_000)])
    hole = data[:1000] + b"\0" * 50_000 + data[51_000:]
    for broken in (data[:-1000], hole):
        ids, found = rows("t.parquet", broken)
        assert ids[-1] == "t.parquet"
        assert isinstance(found[-1], MalformedError)


def test_a_file_that_is_no_utf8_is_told_once() -> None:
    data = b"a\n" + b"1\n" * 500_000 + b"\xff\n2\n"
    ids, found = rows("t.csv", data)
    assert ids[-1] == "t.csv"
    assert found[:-1] == [{"a": 1}] * (len(found) - 1)
    assert len(found) > 400_000


def test_a_header_with_a_name_twice_is_one_error_and_ends_no_batch() -> None:
    ids, (error,) = rows("t.csv", b"a,a\n1,2\n")
    assert ids == ["t.csv"]
    assert isinstance(error, MalformedError)
    assert "different names" in error.message


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_rows_that_have_their_id_only_are_rows(name: str) -> None:
    ids, found = rows(name, _file(name, [{"key": "a"}, {"key": "b"}]), "key")
    assert (ids, found) == (["a", "b"], [{}, {}])


def test_large_rows_come_few_at_a_time() -> None:
    values = [{"text": f"{number:06}" * 50_000} for number in range(20)]
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        found = tables.chunks(name, io.BytesIO(_file(name, values)), "")
        counts = [len(chunk.ids) for chunk in found]
        assert sum(counts) == 20
        assert max(counts) <= 4


def _file(name: str, values: list[dict[str, Any]]) -> bytes:
    if name.endswith(".parquet"):
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(values), file)
        return file.getvalue()
    if name.endswith(".csv"):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(values[0]))
        writer.writeheader()
        writer.writerows(values)
        return text.getvalue().encode()
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)
