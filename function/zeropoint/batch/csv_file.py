"""Rows of CSV, in any number: plain pieces of a file all at once, others row by row.

What a cell says, `csv_rows.value` tells, as of an upload; each different text of a piece is asked
for once. pyarrow only finds the cells, where it is installed: its own types would be guessed.
"""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from zeropoint.batch.chunk import Chunk
from zeropoint.errors import MalformedError, SettingsError
from zeropoint.instances import Column
from zeropoint.protocols import csv_rows

MOST_LINE_BYTES = 32 << 20
_PIECE_BYTES = 1 << 18
_ROWS = 1024  # of a chunk that is read row by row


def chunks(name: str, file: BinaryIO, id_column: str) -> Iterator[Chunk]:
    """Yields a file's rows; one of another length than the header is an error in its place.

    Raises:
        SettingsError: it has no column of the ids, or a line of over 32 MiB.
        MalformedError: its header has a name twice.
        UnicodeDecodeError: it is not UTF-8.
        csv.Error: a quotation mark stands where none can.
    """
    line = file.readline(MOST_LINE_BYTES)
    if b'"' in line:  # the header may go on behind it
        lines = _lines(_Joined(line, file))
        header = next(lines, [])
    else:
        lines = None
        header = next(csv.reader([line.decode("utf-8-sig")], strict=True), [])
    csv_rows.refuse_header(header)
    place = place_of(name, header, id_column)
    number = 0
    for piece in () if lines else _pieces(name, file):
        if b'"' in piece:  # a row may go on behind it
            lines = _lines(_Joined(piece, file))
            break
        if table := _table(name, header, piece, place, number):
            number += len(table.ids)
            yield table
            continue
        for chunk in _each(name, header, _lines(io.BytesIO(piece)), place, number):
            number += len(chunk.ids)
            yield chunk
    if lines:
        yield from _each(name, header, lines, place, number)


def place_of(name: str, header: Sequence[str], id_column: str) -> int | None:
    """Returns where the column of the ids is; None: there is to be none.

    Raises:
        SettingsError: there is to be one, and the header has none.
    """
    if not id_column:
        return None
    if id_column not in header:
        raise SettingsError(f"{name}: expected a column {id_column}, got none")
    return list(header).index(id_column)


def _pieces(name: str, file: BinaryIO) -> Iterator[bytes]:
    """Yields a file in pieces that end where a line does."""
    rest = b""
    while data := file.read(_PIECE_BYTES):
        whole, end, part = data.rpartition(b"\n")
        if end:
            yield rest + whole + end
            rest = part
        else:
            rest += data
        if len(rest) > MOST_LINE_BYTES:
            raise SettingsError(f"{name}: expected lines of at most {MOST_LINE_BYTES} bytes")
    if rest:
        yield rest


def _table(
    name: str, header: Sequence[str], piece: bytes, place: int | None, number: int
) -> Chunk | None:
    """Returns the rows of a piece without quotation marks; None: it is no such table."""
    text = piece.replace(b"\r\n", b"\n")
    if b"\r" in text or not header:
        return None
    try:
        import pyarrow as pa
        from pyarrow import csv as pa_csv
    except ImportError:
        return None
    texts = pa.dictionary(pa.int32(), pa.string())
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=header),
            pa_csv.ParseOptions(quote_char=False),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(header, texts), null_values=[], strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    columns, ids = {}, [f"{name}#{each}" for each in range(number + 1, number + len(table) + 1)]
    for at, chunked in enumerate(table.columns):
        column = chunked.combine_chunks()
        cells = column.dictionary.to_pylist()
        if at == place:
            ids = Column(cells, column.indices.to_numpy()).rows()
        else:
            values = [csv_rows.value(cell) for cell in cells]
            columns[header[at]] = Column(values, column.indices.to_numpy())
    return Chunk(ids, columns=columns)


def _each(
    name: str,
    header: Sequence[str],
    lines: Iterable[Sequence[str]],
    place: int | None,
    number: int,
) -> Iterator[Chunk]:
    """Yields rows as they are read one by one."""
    some = iter(line for line in lines if line)
    while part := list(itertools.islice(some, _ROWS)):
        ids = [f"{name}#{number + each}" for each in range(1, len(part) + 1)]
        number += len(part)
        instances: list[Any] = []
        for at, line in enumerate(part):
            if len(line) != len(header):
                instances.append(MalformedError("expected as many values as the header has names"))
                continue
            row = dict(zip(header, map(csv_rows.value, line), strict=True))
            if place is not None:
                ids[at] = line[place]
                del row[header[place]]
            instances.append(row)
        yield Chunk(ids, instances)


def _lines(file: io.RawIOBase | BinaryIO) -> Iterator[list[str]]:
    buffered = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
    return csv.reader(io.TextIOWrapper(buffered, "utf-8-sig", newline=""), strict=True)


class _Joined(io.RawIOBase):
    """What has been read of a file, and what has not."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._first = first
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._first[: len(buffer)] or self._rest.read(len(buffer))
        self._first = self._first[len(data) :]
        buffer[: len(data)] = data
        return len(data)
