"""The files of a form, ``multipart/form-data``. Imported when one is sent."""

import io
from typing import IO, Any, cast

from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.http import parse_options_header

from zeropoint.errors import BodyTooLargeError, MalformedError
from zeropoint.instances import Blob

_Files = list[tuple[str, FileStorage]]


def decode(body: bytes, content_type: str, max_parts: int) -> list[Blob]:
    """Returns the files of a form in the order in which they were sent.

    Args:
        body: All of it.
        content_type: Has the boundary of the parts.
        max_parts: Most parts.

    Raises:
        MalformedError: it is no such form, or it has no file.
        BodyTooLargeError: it has more parts.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise MalformedError("expected a boundary in the content type of a form, got none")
    parser = MultiPartParser(
        stream_factory=_in_memory,
        max_form_memory_size=len(body),
        max_form_parts=max_parts,
        cls=cast(Any, list),  # keeps the order across names, which a MultiDict does not
    )
    try:
        _, parsed = parser.parse(io.BytesIO(body), boundary.encode("ascii"), len(body))
    except RequestEntityTooLarge:
        raise BodyTooLargeError(f"expected at most {max_parts} parts in a form, got more") from None
    except ValueError:
        raise MalformedError("expected a form of multipart/form-data, got a broken one") from None
    files = cast(_Files, parsed)
    if not files:
        raise MalformedError("expected a form with at least one file, got none")
    return [Blob(file.read(), file.mimetype) for _, file in files]


def _in_memory(
    total_content_length: int | None,
    content_type: str | None,
    filename: str | None,
    content_length: int | None = None,
) -> IO[bytes]:
    """Keeps a form's file in memory: the body's size is bounded, and a disk may be read-only."""
    return io.BytesIO()
