"""Stop strings in texts that come in pieces: shown is what a look at the whole would show."""

from hypothesis import given
from hypothesis import strategies as st

from zeropoint.generation.stops import Stops

_TEXTS = st.text("ab.\n", max_size=30)


def whole(text: str, stops: list[str]) -> str:
    ends = [text.find(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text


@given(st.lists(_TEXTS, max_size=8), st.lists(st.text("ab.\n", min_size=1, max_size=5), max_size=3))
def test_pieces_show_what_the_whole_would(pieces: list[str], stops: list[str]) -> None:
    found = Stops(stops)
    shown = "".join(found.feed(piece) for piece in pieces)
    shown += "" if found.met else found.rest()
    text = "".join(pieces)
    assert shown == whole(text, stops)
    assert found.met == any(stop in text for stop in stops)


@given(st.lists(_TEXTS, max_size=8), st.lists(st.text("ab.\n", min_size=1, max_size=5), max_size=3))
def test_no_more_is_held_back_than_could_be_a_stop(pieces: list[str], stops: list[str]) -> None:
    found = Stops(stops)
    text = shown = ""
    for piece in pieces:
        text += piece
        shown += found.feed(piece)
        held = text[len(shown) :]
        assert found.met or not held or any(stop.startswith(held) for stop in stops)


def test_nothing_comes_after_a_stop() -> None:
    found = Stops(["END"])
    assert [found.feed(piece) for piece in ("one E", "N", "D two", "three")] == ["one ", "", "", ""]
    assert found.met
    assert found.rest() == ""
