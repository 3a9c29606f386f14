"""What a batch tells while it runs: a bar on a terminal, else a line every half minute."""

import sys
import time
from collections import Counter
from types import TracebackType
from typing import Any

import click

from zeropoint.batch.answering import Answered
from zeropoint.batch.source import Source

_EVERY_S = 30.0
_STEPS = 1000  # of the bar


class Progress:
    """Counts rows, and tells of them on stderr.

    Args:
        source: Knows how much of it has been read.
        rows: Written before.
        errors: Of them.
    """

    def __init__(self, source: Source, rows: int, errors: Counter[str]) -> None:
        self.rows = rows
        self.errors = errors
        self._source = source
        self._before = rows
        self._began_s = self._told_s = time.monotonic()
        self._bar: Any = click.progressbar(
            length=_STEPS,
            file=sys.stderr,
            show_eta=True,
            item_show_func=lambda _: self._line(),
        )
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        if self._is_terminal:
            self._bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_terminal:
            self._bar.__exit__(kind, error, trace)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began_s

    @property
    def per_s(self) -> float:
        """Rows a second, those written before left out."""
        return (self.rows - self._before) / max(self.seconds, 1e-9)

    def tell(self, answered: Answered) -> None:
        """Counts a chunk."""
        self.rows += answered.rows
        self.errors += answered.errors
        if self._is_terminal:
            steps = int(self._source.fraction * _STEPS) - self._bar.pos
            self._bar.update(max(0, steps), None)
        elif time.monotonic() - self._told_s >= _EVERY_S:
            self._told_s = time.monotonic()
            left_s = self.seconds * (1.0 / max(self._source.fraction, 1e-9) - 1.0)
            click.echo(f"{self._line()}, about {_time(left_s)} left", err=True)

    def _line(self) -> str:
        failed = self.errors.total()
        return f"{self.rows:,} rows, {self.per_s:,.0f}/s, {failed:,} errors"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
