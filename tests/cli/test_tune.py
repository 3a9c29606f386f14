"""zeropoint tune measures batches and writes what pays."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import zeropoint
from tiny_decoders import write_decoder
from tiny_models import write_colour_model
from zeropoint.cli.tune import Measured, best_of, with_max_batch
from zeropoint.errors import ManifestError


@pytest.mark.parametrize(
    ("row_ms", "expected"),
    [
        ([1.0, 1.0, 1.0], 1),
        ([1.0, 0.95, 0.92], 1),  # not worth the wait
        ([1.0, 0.6, 0.5, 0.4, 0.38], 8),
        ([1.0, 0.5, 0.7, 0.9], 2),
        ([1.0, 1.3, 1.6], 1),
        ([1.0], 1),
    ],
)
def test_the_smallest_batch_that_is_about_as_good_as_any(
    row_ms: list[float], expected: int
) -> None:
    measured = [Measured(2**n, ms * 2**n) for n, ms in enumerate(row_ms)]
    assert best_of(measured) == expected


TABLES = st.sampled_from(["", "[file]\nmax_batch = 7\n", "\n# text\n[a]\nb = 1\n"])
KEYS = st.lists(
    st.sampled_from(['name = "a"', "max_batch = 3", "# max_batch = 1", "x = { max_batch = 2 }"]),
    unique=True,
)


@given(KEYS, TABLES, st.integers(1, 4096))
def test_only_max_batch_is_changed(keys: list[str], tables: str, rows: int) -> None:
    before = "".join(f"{key}\n" for key in keys) + tables
    after = with_max_batch(before, rows)
    assert tomllib.loads(after) == {**tomllib.loads(before), "max_batch": rows}
    assert with_max_batch(after, rows) == after


def test_max_batch_is_found_however_it_stands() -> None:
    assert with_max_batch("  max_batch=3\n[a]\n", 8) == "max_batch = 8\n[a]\n"
    assert with_max_batch("name = 1\nmax_batch = 3", 8) == "name = 1\nmax_batch = 8\n"


@pytest.mark.parametrize("toml", ['"max_batch" = 3\n', "x = [\n  [1],\n]\n"])
def test_a_manifest_that_would_be_broken_is_not_written(toml: str) -> None:
    with pytest.raises(ManifestError, match=r"expected a model\.toml with a plain line"):
        with_max_batch(toml, 8)


def test_of_a_model_that_writes_it_says_who_measures(tmp_path: Path) -> None:
    manifest = write_decoder(tmp_path / "models") / "model.toml"
    before = manifest.read_text()
    settings = {"ZEROPOINT_MODELS": str(tmp_path / "models")}
    done = zeropoint(tmp_path, "tune", "--write", settings=settings)
    assert done.returncode == 0, done.stderr
    assert "zeropoint bench --callers N" in done.stdout
    assert manifest.read_text() == before


def test_it_measures_tells_and_writes(tmp_path: Path) -> None:
    models = tmp_path / "models"
    manifest = write_colour_model(models) / "model.toml"
    write_colour_model(models, "fixed", batch=1)
    settings = {"ZEROPOINT_MODELS": str(models)}
    before = manifest.read_text()
    told = zeropoint(tmp_path, "tune", "--most", "4", settings=settings)
    assert told.returncode == 0, told.stderr
    assert "4 rows:" in told.stdout
    assert "one instance a pass" in told.stdout
    assert manifest.read_text() == before
    written = zeropoint(tmp_path, "tune", "colour", "--write", settings=settings)
    assert written.returncode == 0, written.stderr
    best = int(written.stdout.split()[-1])
    assert tomllib.loads(manifest.read_text())["max_batch"] == best
    assert zeropoint(tmp_path, "check", settings=settings).returncode == 0
