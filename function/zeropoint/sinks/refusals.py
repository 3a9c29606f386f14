"""What a sink's error is of: of the way to the store, of its answer, or of the record itself."""

from zeropoint.errors import UnavailableError

_LASTING = (400, 413)  # HTTP's, and gRPC's INVALID_ARGUMENT
_PASSING = (408, 429)


class RecordRefusedError(UnavailableError):
    """The store will never take this record, though it takes others."""

    code = "record_refused"


def lasts(error: UnavailableError) -> bool:
    """Tells whether the store will never take this record, however often it is sent."""
    return isinstance(error, RecordRefusedError) or _code(error) in _LASTING


def answered(error: UnavailableError) -> bool:
    """Tells whether the store is there and refused, so that it may take another record."""
    return 400 <= _code(error) < 500 and _code(error) not in _PASSING


def _code(error: UnavailableError) -> int:
    """Returns the status that Google's client tells; 0 where the store gave none."""
    return int(getattr(error.__cause__, "code", None) or 0)
