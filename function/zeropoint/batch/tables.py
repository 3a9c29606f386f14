"""Rows of a file: .jsonl, .csv and .parquet, as the server reads them, and in any number.

Each format is read a chunk at a time, as many rows as take about a megabyte.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from zeropoint.batch import csv_file
from zeropoint.batch.chunk import Chunk
from zeropoint.batch.csv_file import MOST_LINE_BYTES
from zeropoint.batch.forms import arrow
from zeropoint.errors import BodyTooLargeError, MalformedError, SettingsError, ZeropointError
from zeropoint.instances import Column
from zeropoint.protocols import strict_json

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet", ".jsonl.gz", ".ndjson.gz", ".csv.gz")
_MOST_ROWS = 4096  # of a chunk
_CHUNK_BYTES = 1 << 20
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError, csv.Error)


def is_table(name: str) -> bool:
    """Tells whether a file of this name holds rows."""
    return name.lower().endswith(SUFFIXES)


def chunks(name: str, file: BinaryIO, id_column: str) -> Iterator[Chunk]:
    """Yields a file's rows; a row that cannot be read is an error in its place.

    Args:
        name: The file's; a row's id is the name, ``#`` and its number, from 1 on.
        file: It, at its beginning.
        id_column: The column, or the key, that has the ids instead, and is nothing of the
            instance; empty: none.

    A file that is broken, or not of its kind, has one more row of its name: an error.

    Raises:
        SettingsError: it has no such column, or a line of over 32 MiB.
    """
    number = 0
    try:
        for chunk in _chunks(name, file, id_column):
            yield chunk
            number += len(chunk.ids)
    except MalformedError as error:  # of a header, without which there are no rows
        yield Chunk([name], [error])
    except _BROKEN:
        told = f"expected a whole file: what comes behind its first {number} rows cannot be read"
        yield Chunk([name], [MalformedError(told)])  # for all that are lost; the next file goes on


def _chunks(name: str, file: BinaryIO, id_column: str) -> Iterator[Chunk]:
    lower = name.lower()
    if lower.endswith(".gz"):
        file, lower = gzip.GzipFile(fileobj=file), lower.removesuffix(".gz")  # type: ignore[assignment]
    if lower.endswith(".csv"):
        yield from csv_file.chunks(name, file, id_column)
    elif lower.endswith(".parquet"):
        yield from _parquet(name, file, id_column)
    else:
        yield from _lines(name, file, id_column)


def _lines(name: str, file: BinaryIO, id_column: str) -> Iterator[Chunk]:
    ids: list[str] = []
    instances: list[Any] = []
    held = 0
    for number, line in enumerate(iter(lambda: file.readline(MOST_LINE_BYTES + 1), b""), 1):
        if len(line) > MOST_LINE_BYTES:
            raise SettingsError(
                f"{name}: expected lines of at most {MOST_LINE_BYTES} bytes, got a longer one"
            )
        if not line.strip():
            continue
        id_, instance = f"{name}#{number}", _line(line)
        if id_column and isinstance(instance, dict) and id_column in instance:
            id_ = _text(instance.pop(id_column))
        elif id_column and not isinstance(instance, ZeropointError):
            instance = MalformedError(f"expected an object with the key {id_column}")
        ids.append(id_)
        instances.append(instance)
        held += len(line)
        if held >= _CHUNK_BYTES or len(ids) == _MOST_ROWS:
            yield Chunk(ids, instances)
            ids, instances, held = [], [], 0
    if ids:
        yield Chunk(ids, instances)


def _line(line: bytes) -> Any:
    try:
        return strict_json.decode(line, object)
    except (MalformedError, BodyTooLargeError) as error:
        return error


def _parquet(name: str, file: BinaryIO, id_column: str) -> Iterator[Chunk]:
    arrow()
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        header = table.schema_arrow.names
        place = csv_file.place_of(name, header, id_column)
        groups = [table.metadata.row_group(each) for each in range(table.num_row_groups)]
        size_bytes = sum(group.total_byte_size for group in groups)
        rows = max(1, min(_MOST_ROWS, _CHUNK_BYTES * table.metadata.num_rows // (size_bytes or 1)))
        number = 0
        for batch in table.iter_batches(batch_size=rows):
            ids = [f"{name}#{number + each}" for each in range(1, batch.num_rows + 1)]
            number += batch.num_rows
            if place is not None:
                ids = [_text(one) for one in batch.column(place).to_pylist()]
            names = [one for one in header if one != id_column]
            yield Chunk(ids, columns={one: _encoded(batch.column(one)) for one in names})
    except arrow().ArrowException:
        raise EOFError from None
    except OSError as error:
        if type(error) is OSError and not error.errno:  # pyarrow's own, of a file that is cut off
            raise EOFError from None
        raise


def _encoded(column: Any) -> Column:
    try:
        found = column.dictionary_encode(null_encoding="encode")
    except arrow().ArrowNotImplementedError:  # of lists and structs
        return Column(column.to_pylist(), np.arange(len(column)))
    return Column(found.dictionary.to_pylist(), found.indices.to_numpy(zero_copy_only=False))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else strict_json.encode(value).decode()
