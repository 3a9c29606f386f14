"""Inputs that nobody should send: real ones, damaged, and JSON of the oddest values."""

import string
from collections.abc import Sequence

from hypothesis import strategies as st

from zeropoint.errors import ZeropointError

# Integers at the ends of their ranges, of one to eight bytes and either order.
_EDGES = [
    (number % (1 << 8 * size)).to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for number in (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, -1, 1 << 63)
    for order in ("little", "big")
]
# JSON's values, what only looks like them, and what other languages have.
_VALUES = [
    *(b"null", b"true", b"false", b"0", b"-0", b"1", b"-1", b"0.5", b"1e400", b"-1e400", b"1e-400"),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"9" * 400),
    *(b"9" * 5000, b"1." + b"0" * 5000, b"NaN", b"Infinity", b"-Infinity", b"nan", b"0x1", b"01"),
    *(b"1.", b".5", b"+1", b"1e", b"tru", b"None", b"'a'", b"undefined", b"", b",", b"]", b"}"),
    *(b'""', b'"a"', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\x"', b'"\xff"', b'"'),
    *(b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\\ud83d\\ude00"', b'"1"', b'"gs://a/b"', b'"gs://"'),
    *(b'"' + b"a" * 70_000 + b'"', b"[]", b"{}", b"[[]]", b"[{}]", b"[" * 70 + b"]" * 70),
    *(b"[" * 5000, b'{"a":' * 5000, b"[" * 50_000 + b"]" * 50_000, b'{"a":1,"a":2}', b"/**/1"),
]


@st.composite
def damaged(
    draw: st.DrawFn, seeds: Sequence[bytes], tokens: Sequence[bytes] = (), most: int = 6
) -> bytes:
    """Draws one of the seeds, changed in some places.

    Args:
        draw: Hypothesis's.
        seeds: Whole inputs.
        tokens: What the format is made of: a change may put one somewhere.
        most: Changes.
    """
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 16)))
        how = draw(st.sampled_from(("edge", "token", "bytes", "repeat", "drop", "cut", "splice")))
        if how == "edge":
            edge = draw(st.sampled_from(_EDGES))
            data = data[:start] + edge + data[start + len(edge) :]
        elif how == "token" and tokens:
            data = data[:start] + draw(st.sampled_from(tokens)) + data[stop:]
        elif how == "repeat":
            data = data[:stop] + data[start:stop] * draw(st.integers(1, 100)) + data[stop:]
        elif how == "drop":
            data = data[:start] + data[stop:]
        elif how == "cut":
            data = data[:start]
        elif how == "splice":
            data = data[:start] + draw(st.sampled_from(seeds))[start:]
        else:
            data = data[:start] + draw(st.binary(max_size=4)) + data[stop:]
    return data


def json_texts(keys: Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    """Returns texts that are JSON, or almost; of objects the keys are mostly these."""
    values = st.sampled_from(_VALUES) | st.integers().map(lambda number: b"%d" % number)
    names = st.sampled_from([*keys, "a", ""]).map(lambda key: b'"%s"' % key.encode())

    def nested(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        pairs = st.tuples(names, inner).map(b":".join)
        return st.lists(inner, max_size=4).map(lambda one: b"[" + b",".join(one) + b"]") | (
            st.lists(pairs, max_size=4).map(lambda one: b"{" + b",".join(one) + b"}")
        )

    return st.recursive(values, nested, max_leaves=8)


def documents(fields: dict[str, st.SearchStrategy[bytes]]) -> st.SearchStrategy[bytes]:
    """Returns JSON objects of these fields, each of its own values, absent, or of any value."""
    keys = list(fields)
    anything = json_texts(keys)

    @st.composite
    def drawn(draw: st.DrawFn) -> bytes:
        pairs = []
        for key, values in fields.items():
            how = draw(st.integers(0, 9))
            if how:
                value = draw(anything if how == 1 else values)
                pairs.append(b'"%s":%s' % (key.encode(), value))
        return b"{" + b",".join(pairs) + b"}"

    return drawn()


def lists(values: st.SearchStrategy[bytes], most: int = 3) -> st.SearchStrategy[bytes]:
    """Returns JSON lists of these values."""
    return st.lists(values, max_size=most).map(lambda one: b"[" + b",".join(one) + b"]")


def one_of(*values: bytes) -> st.SearchStrategy[bytes]:
    """Returns one of these texts."""
    return st.sampled_from(values)


HEADER_TEXT = st.text(string.printable[:-5], max_size=30)  # what HTTP lets a header hold


def check_words(error: ZeropointError, beginning: str = "", most: int = 400) -> None:
    """Checks that a refusal is a short text, which holds little of what was refused."""
    assert error.message.startswith(beginning)
    assert 0 < len(error.message) <= most
