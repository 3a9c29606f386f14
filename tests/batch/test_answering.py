"""Chunks of rows: a bad one fails alone, whoever notices it, and says what a server would say."""

import json
from pathlib import Path
from typing import Any

import pytest

from batch.inputs import SITE
from servers import ROOT
from tiny_models import picture, write_colour_model, write_lookup_model
from zeropoint import loader
from zeropoint.artifact import LocalRepository
from zeropoint.batch.answering import Answering
from zeropoint.batch.chunk import Chunk, Stored
from zeropoint.batch.forms import JsonLines, Parquet
from zeropoint.errors import (
    BodyTooLargeError,
    InvalidError,
    MalformedError,
    UnavailableError,
    ZeropointError,
)
from zeropoint.instances import Column
from zeropoint.settings import Settings


def answering(repository: Path, name: str, parameters: Any = None, **settings: Any) -> Answering:
    chosen = Settings(**settings)
    model = loader.load(LocalRepository(repository), name, chosen, threads=1)
    return Answering(model, chosen, parameters or {})


def test_a_row_that_only_the_model_refuses_fails_alone(tmp_path: Path) -> None:
    write_lookup_model(tmp_path, max_batch=8)
    rows = [number % 3 for number in range(40)]
    rows[5], rows[6], rows[33] = 7, -9, 3
    found = answering(tmp_path, "lookup").outcomes(Chunk([""] * 40, rows))
    for row, outcome in zip(rows, found, strict=True):
        if row in (0, 1, 2):
            assert outcome == {"y": float(row)}
        else:
            assert isinstance(outcome, InvalidError)


def test_what_is_an_error_already_stays_one(tmp_path: Path) -> None:
    write_lookup_model(tmp_path, max_batch=8)
    error = MalformedError("no row")
    found = answering(tmp_path, "lookup").outcomes(Chunk(["a", "b", "c"], [error, "x", 2]))
    assert found[0] is error
    assert isinstance(found[1], InvalidError)
    assert found[2] == {"y": 2.0}


def test_files_are_read_where_they_are_answered(tmp_path: Path) -> None:
    write_colour_model(tmp_path / "models")
    (tmp_path / "red.png").write_bytes(picture("red"))
    (tmp_path / "large.png").write_bytes(picture("red") + b"\0" * 5000)
    names = ["red.png", "gone.png", "large.png", "."]
    stored = [Stored(str(tmp_path / name)) for name in names]
    found = answering(tmp_path / "models", "colour", max_body_bytes=4096).outcomes(
        Chunk(names, stored)
    )
    assert found[0]["label"] == "red"
    assert [type(one) for one in found[1:]] == [InvalidError, BodyTooLargeError, InvalidError]
    assert str(tmp_path) not in "".join(one.message for one in found[1:])


def test_a_storage_that_is_away_is_no_rows_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    write_colour_model(tmp_path)
    asked = answering(tmp_path, "colour", buckets="away", timeout_s=1.0)
    with pytest.raises(UnavailableError):
        asked.outcomes(Chunk(["a"], [{"gcs": "gs://away/red.png"}]))


def test_a_table_is_answered_all_at_once_or_row_by_row_alike() -> None:
    models = ROOT / "model_artifacts"
    asked = answering(models, "phishing", {"threshold": 0.9})
    rows = [dict(SITE, https=value, ip_in_url=number % 2) for number in range(50)
            for value in (0, 0.5, 1)]  # fmt: skip
    columns = {name: Column.of([row[name] for row in rows]) for name in SITE}
    together = asked.outcomes(Chunk([""] * len(rows), columns=columns))
    assert asked.outcomes(Chunk([""] * len(rows), rows)) == together
    one_by_one = [asked.outcomes(Chunk([""], [json.dumps(row)]))[0] for row in rows]
    for one, other in zip(one_by_one, together, strict=True):
        assert one["label"] == other["label"]
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


def test_one_bad_value_of_a_column_is_one_rows_error() -> None:
    asked = answering(ROOT / "model_artifacts", "phishing")
    columns = {name: Column.of([value] * 9) for name, value in SITE.items()}
    columns["https"] = Column.of([0, 0.5, 1, 7, 0, None, 1, "x", 0])
    found = asked.outcomes(Chunk([""] * 9, columns=columns))
    failed = [place for place, one in enumerate(found) if isinstance(one, ZeropointError)]
    assert failed == [3, 5, 7]


def test_a_parameter_that_no_model_of_its_kind_has_is_no_rows_error() -> None:
    asked = answering(ROOT / "model_artifacts", "phishing", {"top_k": 1})
    with pytest.raises(InvalidError, match=r"^parameters: "):
        asked.outcomes(Chunk(["a"], [SITE]))


def test_both_forms_say_the_same() -> None:
    outcomes = [{"label": "ä", "probability": float("nan")}, MalformedError("no row")]
    lines = JsonLines().encode(["a", "b"], outcomes, True)
    first, second = map(json.loads, lines.splitlines())
    assert first == {"id": "a", "prediction": {"label": "ä", "probability": None}}
    wanted = {"code": "malformed", "message": "no row", "retryable": False}
    assert second == {"id": "b", "error": wanted}
    rows = Parquet().encode(["a", "b"], outcomes, True).to_pylist()
    assert json.loads(rows[0]["prediction"]) == first["prediction"]
    assert [rows[1][name] for name in ("prediction", "error_code", "error_message")] == [
        None,
        "malformed",
        "no row",
    ]
