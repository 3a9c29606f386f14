"""The TOML that is written is read as the same."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zeropoint.drafting import toml

# TOML is UTF-8, which has no half of a surrogate pair.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SCALARS = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=60,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=6), st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_what_is_written_is_read_as_the_same(
    tables: dict[str, Any], comments: dict[str, str]
) -> None:
    everywhere = {**dict.fromkeys(tables, "a\nb\r\0 \x85 c"), **comments}
    assert tomllib.loads(toml.dumps(tables, everywhere)) == tables


def test_it_is_laid_out_as_by_hand() -> None:
    tables = {
        "name": "a",
        "image": {"resize": {"width": 8, "kernel": "box"}, "mean": [1.0, 2.5]},
        "features": [{"name": "x"}, {"name": "y"}],
        "check": {"expect": {"long": [0.125] * 30}},
    }
    comments = {"image": "One\nTwo", "image.mean": "DECIDE: so", "features.1.name": "Y"}
    assert toml.dumps(tables, comments) == (
        'name = "a"\n'
        "\n# One\n# Two\n[image]\n"
        'resize = { width = 8, kernel = "box" }\n# DECIDE: so\nmean = [1.0, 2.5]\n'
        '\n[[features]]\nname = "x"\n'
        '\n[[features]]\n# Y\nname = "y"\n'
        "\n[check]\n\n[check.expect]\nlong = [\n"
        + "  "
        + "0.125, " * 13
        + "0.125,\n  "
        + "0.125, " * 13
        + "0.125,\n  0.125, 0.125,\n]\n"
    )


def test_no_line_is_long_where_it_can_be_broken() -> None:
    written = toml.dumps({"a": {"b": [1.5] * 300}}, {"a": "word " * 90})
    assert max(map(len, written.splitlines())) <= 100


def test_odd_numbers() -> None:
    read = tomllib.loads(toml.dumps({"a": float("nan"), "b": float("-inf"), "c": 1e-300}, {}))
    assert read["a"] != read["a"]
    assert (read["b"], read["c"]) == (float("-inf"), 1e-300)
