"""Server-Sent Events, as WHATWG's HTML has them: a text that comes in pieces, each an event."""

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from zeropoint.errors import CancelledError, ServerError, ZeropointError
from zeropoint.logs import log, wordless
from zeropoint.protocols import Body
from zeropoint.wsgi import Request

if TYPE_CHECKING:
    from zeropoint.stream import Stream

MEDIA_TYPE = "text/event-stream"


class Events:
    """The bytes of a stream's events; whoever sends them closes it, at its end or before.

    Args:
        stream: The text.
        encode: Makes it events.
        refuse: Writes what goes wrong on the way, when the status is sent long since.
    """

    def __init__(
        self,
        stream: "Stream",
        encode: Callable[["Stream"], Iterator[bytes]],
        refuse: Callable[[ZeropointError], Body],
    ) -> None:
        self._stream = stream
        self._events = encode(stream)
        self._refuse = refuse

    def __iter__(self) -> Generator[bytes]:
        """Yields each event.

        Raises:
            Exception: none; one that arises is told as the last event.
        """
        try:
            yield from self._events
        except CancelledError:
            return  # nobody reads it
        except ZeropointError as error:
            log.warning("ended on the way: %s", error)
            yield event(self._refuse(error).data, "error")
        except Exception as error:
            log.error("ended on the way", exc_info=wordless(error))
            told = ServerError("an error of this server, which its log tells")
            yield event(self._refuse(told).data, "error")

    def close(self) -> None:
        """Has nothing more written."""
        self._stream.close()


def wanted(request: Request) -> bool:
    """Tells whether a caller asks for events, and for nothing else before them."""
    first = request.header("accept").partition(",")[0].partition(";")[0]
    return first.strip().lower() == MEDIA_TYPE


def event(data: bytes, kind: str = "") -> bytes:
    """Returns an event; ``data`` has no line's end in it, as JSON has none."""
    name = f"event: {kind}\n".encode() if kind else b""
    return name + b"data: " + data + b"\n\n"
