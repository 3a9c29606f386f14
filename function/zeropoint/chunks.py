"""A body in chunks, read in a time that grows with its length and no faster.

Waitress's own reader copies what has come once more for each chunk in it, and keeps a line without
an end: of chunks of one byte a few megabytes take its only thread for seconds.
"""

from typing import Any

from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest

_STEP_BYTES = 512  # at once, but for what is left of a chunk
_MOST_LINE_BYTES = 8192  # of a chunk's length and extensions, and of all trailers


class Chunks(ChunkedReceiver):  # type: ignore[misc]
    """Waitress's reader, given little at once."""

    error: Any

    def received(self, data: bytes) -> int:
        """Takes what came; returns how much of it was this body's."""
        at = 0
        while at < len(data) and not (self.completed or self.error):
            part = data[at : at + max(_STEP_BYTES, self.chunk_remainder)]
            at += super().received(part)
            if max(len(self.control_line), len(self.trailer)) > _MOST_LINE_BYTES:
                self.error = BadRequest("too long a line of a chunk")
        return at
