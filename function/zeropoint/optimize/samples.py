"""The samples: read from a folder or a file of lines, and split into three parts."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from zeropoint.errors import ClientError, InvalidError, ZeropointError
from zeropoint.events import payload
from zeropoint.files import Reader
from zeropoint.instances import Blob, Instance
from zeropoint.optimize.classes import Label
from zeropoint.settings import Settings
from zeropoint.tasks import Prepared

LEAST = 20
DIGITS = 16  # of a digest, as a report has it
# More of them cost time and memory, and tell little more.
_MOST_TO_CALIBRATE = 200
_MOST_TO_JUDGE = 2000
_LINES = (".jsonl", ".ndjson")


class SamplesError(ZeropointError):
    """The samples cannot be used."""


class Sample(NamedTuple):
    """An instance, what is right for it if somebody knows, and the sha256 of its bytes."""

    instance: Instance
    label: Label | None
    digest: str


class Parts(NamedTuple):
    """Samples for three purposes, none in two parts."""

    calibration: list[Sample]  # their ranges set the scales of integers
    tuning: list[Sample]  # which layers stay as they are
    judging: list[Sample]  # what the report and the gate are about


class Found(NamedTuple):
    """What a place has."""

    samples: list[Sample]
    refused: int  # unreadable, or refused by the model
    same: int  # what is a sample's double


def read(
    place: Path,
    settings: Settings,
    takes_files: bool,
    prepare: Callable[[Instance], Prepared],
) -> Found:
    """Reads samples.

    Args:
        place: A folder, of whose files those that begin with a dot are left out; or a file with an
            instance in each line, bare or as ``{"instance": …, "label": …}``. To a model that
            takes files a line may also say ``{"file": "photo.jpg", "label": …}``.
        settings: The limits.
        takes_files: Whether the model's instances are files.
        prepare: The task's; it may refuse an instance.

    Raises:
        SamplesError: no such place, or a file that cannot be read.
    """
    if not place.exists():
        raise SamplesError(f"expected a folder or file of samples, got no such place: {place.name}")
    kept: list[Sample] = []
    seen: set[tuple[str, Label | None]] = set()
    refused = same = 0
    for file in _files(place):
        try:
            held = list(_held(file, settings, takes_files))
        except (ClientError, OSError) as error:
            if file == place:
                raise SamplesError(f"{place.name}: {error}") from None
            refused += 1
            continue
        for sample in held:
            try:
                if sample is None:
                    raise InvalidError("expected a sample that can be read, got another")
                key = (_digest(prepare(sample.instance)), sample.label)
            except ClientError:
                refused += 1
                continue
            same += key in seen
            if key not in seen:
                seen.add(key)
                kept.append(sample)
    return Found(kept, refused, same)


def split(samples: Iterable[Sample]) -> Parts:
    """Splits samples by their digests: a quarter, a quarter, and half of them to judge by.

    The order that they came in changes nothing, and equal instances are in one part.

    Raises:
        SamplesError: they are too few.
    """
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.digest, []).append(sample)
    if len(groups) < LEAST:
        raise SamplesError(
            f"expected at least {LEAST} different samples that the model takes, got {len(groups)}"
        )
    order = [groups[digest] for digest in sorted(groups)]
    quarter = min(len(order) // 4, _MOST_TO_CALIBRATE)
    parts = order[:quarter], order[quarter : 2 * quarter], order[2 * quarter :][:_MOST_TO_JUDGE]
    return Parts(*([one for group in part for one in group] for part in parts))


def unused(samples: Iterable[Sample], used: Collection[str]) -> list[Sample]:
    """Returns the samples whose digests do not begin as any that were used to make a variant."""
    return [sample for sample in samples if sample.digest[:DIGITS] not in used]


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    found = (path for path in place.rglob("*") if path.is_file())
    return sorted(
        path
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(place).parts)
    )


def _held(file: Path, settings: Settings, takes_files: bool) -> Iterator[Sample | None]:
    """Yields a file's samples, and None for a line that cannot be one."""
    if not takes_files or file.suffix in _LINES:
        for value in payload.of_object(file.name, file.read_bytes(), False).instances:
            try:
                yield _of_line(value, file.parent, Reader(settings) if takes_files else None)
            except (ClientError, OSError):
                yield None
    else:
        data = file.read_bytes()
        yield Sample(Blob(data), None, hashlib.sha256(data).hexdigest())


def _of_line(value: Any, folder: Path, reader: Reader | None) -> Sample:
    label = None
    if isinstance(value, dict) and ({"instance"} <= value.keys() <= {"instance", "label"}):
        label, value = value.get("label"), value["instance"]
    elif reader and isinstance(value, dict) and {"file"} <= value.keys() <= {"file", "label"}:
        label, value = value.get("label"), Blob((folder / str(value["file"])).read_bytes())
    if label is not None and not isinstance(label, str | int):
        raise InvalidError("expected a label that is a text or an integer, got another type")
    if reader and not isinstance(value, Blob):
        (value,) = reader.read([value])
    data = value.data if isinstance(value, Blob) else msgspec.json.encode(value)
    return Sample(value, label, hashlib.sha256(data).hexdigest())


def _digest(prepared: Prepared) -> str:
    """Returns a digest of what the model sees: the same pixels in another format are the same."""
    found = hashlib.sha256()
    for name, tensor in sorted(prepared.tensors.items()):
        data = tensor.tobytes() if tensor.dtype != object else repr(tensor.tolist()).encode()
        found.update(f"{name}{tensor.shape}".encode() + data)
    return found.hexdigest()
