"""CSV as RFC 4180 has it, in UTF-8 with a header: each row is an instance, an object by name."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec

from zeropoint.errors import BodyTooLargeError, MalformedError

MEDIA_TYPE = "text/csv"

# A value takes a hundred bytes or more once it is in its row's dict, and two in the file.
MAX_VALUES = 1 << 21

_read = msgspec.json.Decoder(type=int | float | bool | None).decode


def decode(data: bytes, max_rows: int | None = None) -> list[dict[str, Any]]:
    """Returns a file's rows; what reads as a number, true or false is one, and nothing is None.

    Args:
        data: The file.
        max_rows: At most so many are read.

    Raises:
        MalformedError: not such a file; the message names the row.
        BodyTooLargeError: more rows than that, or over `MAX_VALUES`.
    """
    # Counted in milliseconds, commas in texts too; blank lines take their time as any others.
    if data.count(b",") + max(data.count(b"\n"), data.count(b"\r")) > MAX_VALUES:
        raise BodyTooLargeError(f"expected CSV of at most {MAX_VALUES} values, got more")
    rows: list[dict[str, Any]] = []
    try:
        # Decoded as it is read: as one text it would take up to four times the file's memory.
        text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
        lines = csv.reader(text, strict=True)
        names = next(lines, [])
        refuse_header(names)
        for values in filter(None, lines):  # a blank line is none
            if len(rows) == max_rows:
                raise BodyTooLargeError(f"expected at most {max_rows} rows, got more")
            if len(values) != len(names):
                raise MalformedError(
                    f"row {len(rows) + 1}: expected as many values as the header has names"
                )
            rows.append(dict(zip(names, map(value, values), strict=True)))
    except (UnicodeDecodeError, csv.Error):
        raise MalformedError("expected CSV in UTF-8 with a header, got another file") from None
    return rows


def encode(row: dict[str, Any]) -> str:
    """Returns a file of one row."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(row)
    writer.writerow(_text(value) for value in row.values())
    return file.getvalue()


def refuse_header(names: Sequence[str]) -> None:
    """Refuses a header that has a name twice.

    Raises:
        MalformedError: it has.
    """
    if len(set(names)) < len(names):
        raise MalformedError("expected a header of different names, got one twice")


def value(text: str) -> Any:
    """Returns what a cell says: a number, true or false if it reads as one, None if it is empty."""
    try:
        return _read(text) if text else None
    except ValueError:  # also of a number with more digits than are read
        return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
