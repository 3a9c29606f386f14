"""What a shard is made of: lines of JSON, or Parquet."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from zeropoint.errors import SettingsError, ZeropointError
from zeropoint.protocols import strict_json

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("id", "prediction", "error_code", "error_message")  # of Parquet, all texts

# A row's prediction, or why it has none.
Outcome = Any


class Form(Protocol):
    """How rows are written."""

    suffix: str

    def encode(self, ids: Sequence[str], outcomes: Sequence[Outcome], errors: bool) -> Any:
        """Returns rows as a piece of a shard; without ``errors`` none of them has failed."""

    def size_bytes(self, piece: Any) -> int:
        """Returns what a piece takes in memory."""

    def join(self, pieces: Sequence[Any]) -> bytes:
        """Returns a shard."""


def open_form(suffix: str) -> Form:
    """Returns the form of a file's ending.

    Raises:
        SettingsError: pyarrow is needed, and not installed.
    """
    return JsonLines() if suffix == JsonLines.suffix else Parquet()


class JsonLines:
    """A JSON object a line: ``id``, and ``prediction`` or ``error`` as a server has them."""

    suffix = ".jsonl"

    def encode(self, ids: Sequence[str], outcomes: Sequence[Outcome], errors: bool) -> bytes:
        """Returns the lines."""
        if errors:
            rows = [line(*row) for row in zip(ids, outcomes, strict=True)]
        else:
            told = zip(ids, outcomes, strict=True)
            rows = [{"id": id_, "prediction": prediction} for id_, prediction in told]
        return strict_json.encode_lines(rows)

    def size_bytes(self, piece: bytes) -> int:
        """Returns its bytes."""
        return len(piece)

    def join(self, pieces: Sequence[bytes]) -> bytes:
        """Returns the file."""
        return b"".join(pieces)


class Parquet:
    """Columns ``id``, ``prediction`` (JSON), ``error_code`` and ``error_message``.

    A prediction is JSON whatever the task, so that all shards of all models have one schema.
    """

    suffix = ".parquet"

    def __init__(self) -> None:
        arrow()

    def encode(
        self, ids: Sequence[str], outcomes: Sequence[Outcome], errors: bool
    ) -> "pa.RecordBatch":
        """Returns the rows."""
        pa = arrow()
        rows = [record(*pair) for pair in zip(ids, outcomes, strict=True)]
        schema = pa.schema([(name, pa.string()) for name in COLUMNS])
        return pa.RecordBatch.from_pylist(rows, schema)

    def size_bytes(self, piece: "pa.RecordBatch") -> int:
        """Returns its bytes."""
        return int(piece.nbytes)

    def join(self, pieces: "Sequence[pa.RecordBatch]") -> bytes:
        """Returns the file."""
        import pyarrow.parquet as pq

        file = io.BytesIO()
        pq.write_table(arrow().Table.from_batches(pieces), file, compression="zstd")
        return file.getvalue()


def line(id_: str, outcome: Outcome) -> dict[str, Any]:
    """Returns a row as `JsonLines` has it; its error is told as the server tells it."""
    if isinstance(outcome, ZeropointError):
        keys = ("code", "message", "retryable")
        return {"id": id_, "error": {key: getattr(outcome, key) for key in keys}}
    return {"id": id_, "prediction": outcome}


def record(id_: str, outcome: Outcome) -> dict[str, str | None]:
    """Returns a row as `Parquet` has it."""
    values: tuple[str | None, ...]
    if isinstance(outcome, ZeropointError):
        values = (id_, None, outcome.code, outcome.message)
    else:
        values = (id_, strict_json.encode(outcome).decode(), None, None)
    return dict(zip(COLUMNS, values, strict=True))


def arrow() -> Any:
    """Returns pyarrow.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise SettingsError("Parquet needs pyarrow: pip install 'zeropoint[batch]'") from None
    return pyarrow
