"""Settings: their defaults, their ranges, and what a wrong one says."""

import contextlib
import re
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, strategies
from hypothesis import settings as examples

from zeropoint.errors import SettingsError
from zeropoint.settings import Row, Settings, from_environment, table, unknown

ROWS = table()
DEFAULTS = {
    "ZEROPOINT_MODELS": "",
    "ZEROPOINT_MODEL": "",
    "ZEROPOINT_CACHE": "",
    "ZEROPOINT_CPUS": 0.0,
    "ZEROPOINT_MAX_BODY_BYTES": 33_554_432,
    "ZEROPOINT_MAX_PIXELS": 50_331_648,
    "ZEROPOINT_MAX_INSTANCES": 1024,
    "ZEROPOINT_MAX_INCOMING_BYTES": 268_435_456,
    "ZEROPOINT_MAX_MODEL_BYTES": 1_073_741_824,
    "ZEROPOINT_OPERATOR_DOMAINS": "",
    "ZEROPOINT_DRAIN_S": 8.0,
    "ZEROPOINT_TIMEOUT_S": 60.0,
    "ZEROPOINT_BUCKETS": "",
    "ZEROPOINT_LOGGING": "stdout",
    "PORT": 8080,
    "K_SERVICE": "",
    "K_REVISION": "",
    "GOOGLE_CLOUD_PROJECT": "",
}


def base(row: Row) -> Any:
    return get_args(row.type)[0]


def read(row: Row, text: str) -> Any:
    return getattr(from_environment({row.variable: text}), row.field)


def wrong_values() -> list[Any]:
    """For every setting that is not free text: another type, and beside each end of its range."""
    found = []
    for row in ROWS:
        if base(row) is str:
            continue
        (meta,) = row.type.__metadata__
        wrong = ["x", " 8", "8 ", "1_0", "0x10", "8,0", "true", "nan", "-inf", "\udcff", "\u0661"]
        if base(row) is bool:
            wrong = ["x", " true", "true ", "2", "yes", "nan", "\udcff"]
        if meta.ge is not None:
            wrong.append(str(meta.ge - 1))
        if meta.gt is not None:
            wrong.append(str(meta.gt))
        if meta.le is not None:
            wrong += [str(meta.le + 1), "inf"]
        if base(row) is int:
            wrong.append("8.5")
        found += [pytest.param(row, text, id=f"{row.variable}={text!a}") for text in wrong]
    return found


def test_an_empty_environment_gives_the_defaults() -> None:
    assert from_environment({}) == Settings()
    found = {row.variable: getattr(Settings(), row.field) for row in ROWS}
    assert found == {row.variable: row.default for row in ROWS}
    assert {variable: found[variable] for variable in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.variable)
def test_a_default_is_a_value_that_its_own_range_allows(row: Row) -> None:
    assert msgspec.convert(row.default, row.type) == row.default
    assert read(row, str(row.default)) == row.default


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.variable)
def test_every_setting_has_a_line_of_help_and_a_variable_of_its_own(row: Row) -> None:
    assert row.help
    assert "\n" not in row.help
    assert not row.help.endswith(".")  # the message of a wrong value puts one
    assert [other.variable for other in ROWS].count(row.variable) == 1


@pytest.mark.parametrize(("row", "text"), wrong_values())
def test_a_wrong_value_is_refused_by_the_variables_name(row: Row, text: str) -> None:
    with pytest.raises(
        SettingsError, match=f"^{row.variable} is {re.escape(repr(text))}. "
    ) as told:
        from_environment({row.variable: text})
    assert row.help in told.value.message
    assert "got `str`" not in told.value.message  # every variable is text


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.variable)
def test_an_empty_variable_counts_as_not_set(row: Row) -> None:
    assert from_environment({row.variable: ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("ZEROPOINT_CPUS", "1.5", 1.5),
        ("ZEROPOINT_CPUS", "2", 2.0),
        ("ZEROPOINT_CPUS", "1024", 1024.0),
        ("ZEROPOINT_TIMEOUT_S", "0.25", 0.25),
        ("ZEROPOINT_DRAIN_S", "0", 0.0),
        ("ZEROPOINT_MAX_PIXELS", "1", 1),
        ("ZEROPOINT_MAX_PIXELS", "100000000", 100_000_000),
        ("ZEROPOINT_LOGGING", "cloud", "cloud"),
        ("ZEROPOINT_PAGE", "false", False),
        ("ZEROPOINT_PAGE", "0", False),
        ("ZEROPOINT_PAGE", "TRUE", True),
        ("ZEROPOINT_MODELS", "gs://bucket/a prefix", "gs://bucket/a prefix"),
        ("ZEROPOINT_MODELS", "/a/\udcff", "/a/\udcff"),  # a path may be any bytes
        ("ZEROPOINT_MODEL", "8", "8"),
        ("PORT", "65535", 65535),
        ("K_SERVICE", "null", "null"),
    ],
)
def test_text_becomes_the_settings_type(variable: str, text: str, expected: object) -> None:
    (row,) = [row for row in ROWS if row.variable == variable]
    got = read(row, text)
    assert (got, type(got)) == (expected, type(expected))


@examples(max_examples=50, deadline=None, database=None)
@given(row=strategies.sampled_from(ROWS), text=strategies.text(min_size=1))
def test_any_text_is_a_value_or_refused(row: Row, text: str) -> None:
    with contextlib.suppress(SettingsError):
        got = read(row, text)
        assert msgspec.convert(got, row.type) == got


def test_variables_that_look_like_settings_are_told() -> None:
    environment = {
        "ZEROPOINT_MAX_PIXEL": "1",
        "ZEROPOINT_": "1",
        "ZEROPOINT_MAX_PIXELS": "1",
        "ZEROPOINTS": "1",
        "zeropoint_models": "1",
        "PORT": "1",
        "K_SERVICES": "1",
        "HOME": "/",
    }
    assert unknown(environment) == ["ZEROPOINT_", "ZEROPOINT_MAX_PIXEL"]
    assert unknown(dict.fromkeys(DEFAULTS, "1")) == []
