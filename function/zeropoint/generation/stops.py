"""Where a text ends: at the first of the stop strings, which is no part of it."""

from collections.abc import Sequence


class Stops:
    """Looks for stop strings in a text that comes in pieces.

    What may be the beginning of one is held back until it is known.

    Args:
        stops: The strings; none is empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.met = False

    def feed(self, piece: str) -> str:
        """Returns what may be shown now that a piece has come; nothing once a stop was met."""
        if self.met:
            return ""
        text = self._held + piece
        ends = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if ends:
            self.met, self._held = True, ""
            return text[: min(ends)]
        most = max((_beginning(text, stop) for stop in self._stops), default=0)
        shown, self._held = text[: len(text) - most], text[len(text) - most :]
        return shown

    def rest(self) -> str:
        """Returns what was held back, at the text's end."""
        held, self._held = self._held, ""
        return held


def _beginning(text: str, stop: str) -> int:
    """Returns how many of a text's last characters are the first of a stop string."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0
