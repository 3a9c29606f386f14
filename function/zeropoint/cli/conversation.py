"""What a chat talks to: a model in this process, or one that is served."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPResponse
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from zeropoint.errors import ClientError, ServerError, UnavailableError, ZeropointError

if TYPE_CHECKING:
    from zeropoint.writer import Writer

_SILENT_S = 120.0  # longest time without a byte, as while a model is loaded

Messages = Sequence[Mapping[str, str]]


class Reply(Protocol):
    """A text that comes in pieces, as `zeropoint.writer.Stream` is one."""

    @property
    def finish_reason(self) -> str | None:
        """Why it is over; None: it is not."""

    @property
    def completion_tokens(self) -> int:
        """The tokens of the text."""

    def __iter__(self) -> Iterator[str]:
        """Yields the pieces."""

    def __enter__(self) -> Self:
        """Begins a block that closes it."""

    def __exit__(
        self,
        type_: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the text, if it is not over."""


class Partner(Protocol):
    """Who answers."""

    def answer(self, messages: Messages) -> Reply:
        """Begins to answer a conversation.

        Raises:
            ZeropointError: it is refused.
        """


class Here:
    """A model in this process.

    Args:
        writer: The model.
        parameters: What its task lets a caller vary.
    """

    def __init__(self, writer: "Writer", parameters: Mapping[str, Any]) -> None:
        writer.read_parameters(parameters)  # refused here, and not at the first message
        self._writer = writer
        self._parameters = parameters

    def answer(self, messages: Messages) -> Reply:
        """Begins to answer; see `Partner.answer`."""
        return self._writer.stream({"messages": list(messages)}, self._parameters)


class There:
    """A model that is served.

    Args:
        url: Where, without a path.
        model: Its name; empty: the default one there.
        parameters: What its task lets a caller vary.
        api_key: Of the server; empty: none.
    """

    def __init__(self, url: str, model: str, parameters: Mapping[str, Any], api_key: str) -> None:
        path = f"/predict/{urllib.parse.quote(model, safe='')}" if model else "/predict"
        self._url = url.rstrip("/") + path
        self._parameters = parameters
        self._api_key = api_key

    def answer(self, messages: Messages) -> Reply:
        """Begins to answer; see `Partner.answer`."""
        asked = {"instances": [{"messages": list(messages)}], "parameters": self._parameters}
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        request = urllib.request.Request(  # noqa: S310 - the command checks the scheme
            self._url, json.dumps(asked).encode(), headers
        )
        if self._api_key:
            request.add_unredirected_header("X-API-Key", self._api_key)
        try:
            return _Events(urllib.request.urlopen(request, timeout=_SILENT_S))  # noqa: S310
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read()) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error) or type(error).__name__
            raise UnavailableError(
                f"{self._url}: {reason}; is the function served there?"
            ) from None


class _Events:
    """A reply in Server-Sent Events.

    Args:
        response: Of the server.
    """

    def __init__(self, response: HTTPResponse) -> None:
        self.finish_reason: str | None = None
        self.completion_tokens = 0
        self._response = response

    def __iter__(self) -> Iterator[str]:
        """Yields the pieces.

        Raises:
            ZeropointError: the text could not be written to its end.
        """
        for kind, data in self._events():
            if kind == "error":
                raise _refusal(500, data)
            try:
                told = json.loads(data)
                piece = str(told["text"])
                if "finish_reason" in told:
                    self.finish_reason = told["finish_reason"]
                    self.completion_tokens = int(told["completion_tokens"])
            except (ValueError, KeyError, TypeError):
                raise ServerError("expected an event of this function, got another") from None
            if piece:
                yield piece
        if self.finish_reason is None:
            raise UnavailableError("expected the text's end, got that of the connection")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._response.close()

    def _events(self) -> Iterator[tuple[str, bytes]]:
        kind = ""
        with suppress(OSError, http.client.HTTPException):  # an end like any other
            for line in self._response:
                if not line.endswith(b"\n"):  # cut off
                    return
                name, _, value = line.rstrip(b"\r\n").partition(b": ")
                if name == b"event":
                    kind = value.decode()
                elif name == b"data":
                    yield kind, value
                elif not name:
                    kind = ""


def _refusal(status: int, body: bytes) -> ZeropointError:
    kind = ClientError if status < 500 and status != http.client.TOO_MANY_REQUESTS else ServerError
    try:
        message = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"expected an answer of this function, got another of status {status}"
    return kind(message)
