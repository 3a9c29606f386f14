"""From a folder to a model in memory that has given its known answer."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgspec

from zeropoint import cpus, external_data, tasks
from zeropoint.artifact import Artifact, Repository
from zeropoint.errors import ArtifactError, ClientError
from zeropoint.instances import Blob, Instance
from zeropoint.manifest import Check
from zeropoint.model import Model
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction
from zeropoint.timing import Timings


def load(
    repository: Repository,
    name: str,
    settings: Settings,
    room: Callable[[int], AbstractContextManager[None]] = lambda size_bytes: nullcontext(),
) -> Model:
    """Reads, verifies and builds a model, and has it give its known answer.

    Args:
        repository: Where it lies.
        name: Which.
        settings: The limits.
        room: Entered with the size of the model's file while it becomes a model; it may refuse.

    Raises:
        ModelNotFoundError: the repository has no such model.
        ManifestError: its model.toml is wrong.
        ArtifactError: a file is missing or not what the manifest says, or the known answer did
            not come out.
        UnavailableError: the repository is away.
    """
    timings = Timings()
    with timings.measure("imports"):
        from zeropoint.session import Session
    with timings.measure("read"):
        artifact = Artifact(repository, name)
        manifest = artifact.manifest
        path = artifact.fetch(manifest.file)
        external_data.refuse(path)
        verified = _signature(path)
    with room(path.stat().st_size):
        with timings.measure("session"):
            session = Session(path, cpus.threads(settings.cpus or cpus.available()))
            if _signature(path) != verified:
                place = f"{name}/{manifest.file.path}"
                raise ArtifactError(f"{place}: it was changed while it was loaded")
            task = tasks.create(artifact, session.inputs, session.outputs, settings)
        model = Model(manifest, task, session, settings)
        with timings.measure("check"):
            prove(model, artifact)
    model.load_timings = timings
    return model


def prove(model: Model, artifact: Artifact) -> None:
    """Has a model answer its manifest's [check].

    Raises:
        ArtifactError: another answer came out, or none.
    """
    check = artifact.manifest.check
    # Twice in one pass, if max_batch asks for passes that not all outputs are declared for.
    doubted = model.varies and any(spec.shape[:1] != (None,) for spec in model.outputs)
    copies = 2 if doubted and artifact.manifest.max_batch > 1 else 1
    try:
        predictions = model.predict([known_instance(artifact)] * copies).predictions
    except ClientError as error:
        raise _wrong_answer(check, f"a refusal: {error.message}") from None
    for prediction in predictions:
        for problem in _differences(check, prediction):
            raise _wrong_answer(check, problem)


def known_instance(artifact: Artifact) -> Instance:
    """Returns the instance of a manifest's [check].

    Raises:
        ArtifactError: its file is missing, or its digest differs.
    """
    check = artifact.manifest.check
    data = artifact.fetch(check.file).read_bytes()
    return msgspec.json.decode(data) if check.input.endswith(".json") else Blob(data)


def _wrong_answer(check: Check, problem: str) -> ArtifactError:
    return ArtifactError(f"{check.input}: expected the known answer {check.expect}, got {problem}")


def _differences(check: Check, prediction: Prediction) -> Iterator[str]:
    tolerance = float(check.expect.get("tolerance", 1e-3))
    for key, expected in check.expect.items():
        if key == "tolerance":
            continue
        got = prediction.get(key) if isinstance(prediction, dict) else prediction
        if not _agrees(got, expected, tolerance):
            yield f"{key} {got:.4f}" if isinstance(got, float) else f"{key} {got!r}"


def _agrees(got: Any, expected: Any, tolerance: float) -> bool:
    """Tells whether two JSON values are the same, but for numbers within the tolerance."""
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(
            key in got and _agrees(got[key], value, tolerance) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(got) == len(expected)
            and all(_agrees(a, b, tolerance) for a, b in zip(got, expected, strict=True))
        )
    if isinstance(expected, int | float) and isinstance(got, int | float):
        return math.isclose(got, expected, rel_tol=0.0, abs_tol=tolerance)
    return bool(got == expected)


def _signature(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
