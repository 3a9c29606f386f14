"""A text that comes in pieces, for who reads it."""

from contextlib import ExitStack
from typing import Self

from zeropoint.generation.sequence import Reason, Sequence
from zeropoint.model import Model
from zeropoint.timing import Timings


class Stream:
    """A text that comes in pieces: an iterator of them, none empty.

    It is to be read to its end, or closed: then nothing more is written within a token.

    Args:
        model: Who writes.
        sequence: The text; its first token has come.
        timings: Of the steps until then.
        first: The first piece.
    """

    def __init__(
        self, model: Model, sequence: Sequence, timings: Timings, first: str | None
    ) -> None:
        self.model = model
        self.timings = timings
        self.cold_start = Timings()  # its phases, if this is the model's first answer
        self._sequence = sequence
        self._first = first

    @property
    def prompt_tokens(self) -> int:
        """The tokens of the prompt."""
        return self._sequence.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        """The tokens so far, the last one that is no text too."""
        return self._sequence.completion_tokens

    @property
    def finish_reason(self) -> Reason | None:
        """Why it is over; None: it is not."""
        return self._sequence.finish_reason

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """Waits for the next piece.

        Raises:
            ZeropointError: it could not be written to its end.
        """
        piece, self._first = self._first, ""
        while piece == "":
            try:
                piece = self._sequence.next()
            except BaseException:
                self.close()
                raise
        if piece is None:
            self.close()
            raise StopIteration
        return piece

    def hold(self, context: ExitStack) -> None:
        """Keeps what it needs, until nothing more is written."""
        self._sequence.hold(context)

    def close(self) -> None:
        """Ends it, if it is not over."""
        self._first = None
        self._sequence.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
