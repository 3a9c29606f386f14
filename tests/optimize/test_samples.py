"""Samples: read from folders and files of lines, and split."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_models import picture
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.errors import InvalidError
from zeropoint.instances import Instance
from zeropoint.loader import load
from zeropoint.optimize.samples import Found, Sample, SamplesError, read, split, unused
from zeropoint.settings import Settings
from zeropoint.tasks import Prepared, Task, create


@pytest.fixture
def task(settings: Settings) -> Task:
    """The task of the model ``colour``, which takes photos."""
    repository = LocalRepository(Path(settings.models))
    model = load(repository, "colour", settings)
    return create(Artifact(repository, "colour"), model.inputs, model.outputs, settings)


def photos(place: Path, task: Task) -> Found:
    return read(place, Settings(), True, task.prepare)


def rows(place: Path) -> Found:
    """Reads instances of a model that takes any but the number 0."""

    def prepare(instance: Instance) -> Prepared:
        if instance == 0:
            raise InvalidError("expected another number than 0")
        return Prepared({"x": np.array([repr(instance)], object)})

    return read(place, Settings(), False, prepare)


def test_a_folder_is_read_with_its_folders(tmp_path: Path, task: Task) -> None:
    place = tmp_path / "photos"
    (place / "b" / ".hidden").mkdir(parents=True)
    (place / "a.png").write_bytes(picture("red"))
    (place / "b" / "blue.jpg").write_bytes(picture("blue", format="JPEG"))
    (place / "b" / ".hidden" / "c.png").write_bytes(picture("green"))
    (place / "notes.txt").write_text("no photo")
    (place / "again.gif").write_bytes(picture("red", format="GIF"))
    found = photos(place, task)
    assert (len(found.samples), found.refused, found.same) == (2, 1, 1)


def test_lines_may_name_photos_and_labels(tmp_path: Path, task: Task) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    lines: list[Any] = [
        {"file": "red.png", "label": "red"},
        {"instance": {"b64": base64.b64encode(picture("blue")).decode()}, "label": 2},
        {"b64": base64.b64encode(picture("green")).decode()},
        {"file": "away.png"},
        {"instance": {"b64": "?"}},
        {"file": "red.png", "label": 0.5},
    ]
    place = tmp_path / "photos.jsonl"
    place.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = photos(place, task)
    assert [sample.label for sample in found.samples] == ["red", 2, None]
    assert found.refused == 3


def test_lines_hold_instances(tmp_path: Path) -> None:
    place = tmp_path / "rows.jsonl"
    place.write_text(
        '1\n"text"\n{"instance": [1, 2], "label": "a"}\n{"instance": 0}\n1\n{"a": 1}\n'
    )
    found = rows(place)
    assert [sample.instance for sample in found.samples] == [1, "text", [1, 2], {"a": 1}]
    assert [sample.label for sample in found.samples] == [None, None, "a", None]
    assert (found.refused, found.same) == (1, 1)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    place = tmp_path / "rows.jsonl"
    place.write_text("1\n{\n")
    with pytest.raises(SamplesError, match=r"rows\.jsonl: line 2: expected JSON"):
        rows(place)
    with pytest.raises(SamplesError, match="no such place: away"):
        rows(tmp_path / "away")


def test_too_few_are_told() -> None:
    with pytest.raises(SamplesError, match="expected at least 20 different samples"):
        split([Sample(1, None, f"{n:064x}") for n in range(19)] * 2)


@given(st.lists(st.integers(0, 2**64), min_size=20, max_size=120, unique=True), st.randoms())
def test_the_parts_are_disjoint_and_the_order_is_of_no_matter(numbers: list[int], by: Any) -> None:
    samples = [Sample(number, None, f"{number:064x}") for number in numbers]
    parts = split(samples)
    by.shuffle(samples)
    assert split(samples) == parts
    digests = [sample.digest for part in parts for sample in part]
    assert len(set(digests)) == len(digests) == len(samples)
    assert len(parts.judging) >= 2 * len(parts.calibration) >= 10
    assert len(parts.tuning) == len(parts.calibration)


def test_equal_instances_are_in_one_part() -> None:
    samples = [Sample(n, label, f"{n:064x}") for n in range(40) for label in ("a", "b")]
    parts = split(samples)
    for part in parts:
        for sample in part:
            assert sum(one.digest == sample.digest for one in part) == 2


def test_what_a_variant_was_made_with_does_not_judge_it() -> None:
    samples = [Sample(n, None, f"{n:016x}" + "0" * 48) for n in range(3)]
    assert unused(samples, {f"{1:016x}"}) == [samples[0], samples[2]]
