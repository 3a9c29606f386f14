"""From a folder to a model in memory that has given its known answer."""

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from zeropoint import cpus, external_data, hardware, operators, tasks
from zeropoint.artifact import Artifact, Repository
from zeropoint.errors import ArtifactError, ClientError, ManifestError
from zeropoint.instances import Blob, Instance
from zeropoint.logs import log
from zeropoint.manifest import ORIGINAL, PROVIDER, Check, File, Manifest, Variant
from zeropoint.model import Model
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction
from zeropoint.timing import Timings

Room = Callable[[int], AbstractContextManager[None]]
_EXPECTED = 80  # characters of an answer in a message
_CPU = "CPUExecutionProvider"


class Use(NamedTuple):
    """How a file of a model is run."""

    providers: Sequence[str] = (_CPU,)  # of ONNX Runtime, the first one preferred
    threads: int = 0  # most of one forward pass; 0: the manifest's
    alone: bool = False  # each row by itself, as others in its pass would change its answer
    max_batch: int = 0  # most rows of a pass; 0: the manifest's


_AS_IS = Use()


class _Choice(NamedTuple):
    """One of a model's files that this machine can run."""

    name: str
    file: File
    use: Use


def load(
    repository: Repository,
    name: str,
    settings: Settings,
    room: Room = lambda size_bytes: nullcontext(),
    variant: str = "",
    threads: int = 0,
) -> Model:
    """Reads, verifies and builds a model, and has it give its known answer.

    Args:
        repository: Where it lies.
        name: Which.
        settings: The limits.
        room: Entered with the size of the model's file while it becomes a model; it may refuse.
        variant: Which of its files; empty: the first that this machine can run, and that gives
            the known answer here.
        threads: Most of one forward pass; 0: one for each processor.

    Raises:
        ModelNotFoundError: the repository has no such model.
        ManifestError: its model.toml is wrong, or it has no such variant.
        ArtifactError: a file is missing or not what the manifest says, or the known answer did
            not come out.
        UnavailableError: the repository is away.
    """
    timings = Timings()
    with timings.measure("read"):
        artifact = Artifact(repository, name)
    tasks.prefetch(artifact)  # imported while the file is read and its session is built
    *better, last = _choices(artifact.manifest, variant, threads)
    for choice in better:
        try:
            return _loaded(artifact, choice, settings, room, timings)
        except ArtifactError as error:
            log.warning("model %s: variant %s is passed over: %s", name, choice.name, error)
    return _loaded(artifact, last, settings, room, timings)


def _choices(manifest: Manifest, variant: str, threads: int) -> list[_Choice]:
    """Returns the files that may be loaded, the best first."""
    wanted = {word for one in manifest.variant for word in one.requires}
    able = hardware.features() if wanted else frozenset()
    if any(word.endswith(PROVIDER) for word in wanted):
        from zeropoint import session

        able |= session.providers()
    found = [
        _Choice(one.name, one.file, _use(one, threads))
        for one in manifest.variant
        if variant == one.name or (not variant and able.issuperset(one.requires))
    ]
    if variant in ("", ORIGINAL):
        found.append(_Choice(ORIGINAL, manifest.file, Use(threads=threads)))
    if not found:
        names = ", ".join([ORIGINAL, *(one.name for one in manifest.variant)])
        raise ManifestError(f"{manifest.name}: expected a variant of {names}, got {variant!r}")
    return found


def _use(variant: Variant, threads: int) -> Use:
    return Use(_providers(variant), threads or variant.threads, variant.alone, variant.max_batch)


def _providers(variant: Variant) -> tuple[str, ...]:
    wanted = [word for word in variant.requires if word.endswith(PROVIDER)]
    return (*(word for word in wanted if word != _CPU), _CPU)


def _loaded(
    artifact: Artifact, choice: _Choice, settings: Settings, room: Room, timings: Timings
) -> Model:
    with timings.measure("read"):
        path = artifact.fetch(choice.file)
        verified = _signature(path)
        _refuse(path, settings)
    with timings.measure("imports"):
        from zeropoint import session  # noqa: F401 - measured here, used by `build`
    with room(path.stat().st_size):
        with timings.measure("session"):
            model = build(artifact, path, settings, choice.use)
            if _signature(path) != verified:
                place = f"{artifact.manifest.name}/{choice.file.path}"
                raise ArtifactError(f"{place}: it was changed while it was loaded")
        with timings.measure("check"):
            prove(model, artifact)
    model.variant, model.digest = choice.name, f"sha256:{choice.file.sha256}"
    model.load_timings = timings
    return model


def _refuse(path: Path, settings: Settings) -> None:
    """Refuses a file that ONNX Runtime is not to see: what it names or needs is not in it."""
    most = settings.max_model_bytes
    if (got := path.stat().st_size) > most:
        raise ArtifactError(
            f"{path.name}: expected at most {most} bytes, got {got} (ZEROPOINT_MAX_MODEL_BYTES)"
        )
    external_data.refuse(path)
    operators.refuse(path, [domain.strip() for domain in settings.operator_domains.split(",")])


def build(artifact: Artifact, path: Path, settings: Settings, use: Use = _AS_IS) -> Model:
    """Makes a file a model of an artifact, without asking for the known answer.

    Args:
        artifact: Has the manifest and the task's files.
        path: An .onnx file: the artifact's own, or one that is to become a variant of it.
        settings: The limits.
        use: How it is run.

    Raises:
        ManifestError: the manifest does not fit the file.
        ArtifactError: ONNX Runtime cannot load it, or a file of the task is missing.
    """
    from zeropoint.session import Session

    manifest = artifact.manifest
    processors = cpus.threads(settings.cpus or cpus.available())
    threads = min(processors, use.threads or manifest.threads or processors)
    session = Session(path, threads, use.providers)
    task = tasks.create(artifact, session.inputs, session.outputs, settings)
    if use.max_batch:
        manifest = msgspec.structs.replace(manifest, max_batch=use.max_batch)
    if tasks.writes(task):
        from zeropoint.writer import Writer

        return Writer(manifest, task, session, settings, use.alone)
    return Model(manifest, task, session, settings, use.alone)


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
        predictions = model.answer([known_instance(artifact)] * copies).predictions
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
    expected = textwrap.shorten(str(check.expect), _EXPECTED, placeholder=" …")
    return ArtifactError(f"{check.input}: expected the known answer {expected}, got {problem}")


def _differences(check: Check, prediction: Prediction) -> Iterator[str]:
    tolerance = float(check.expect.get("tolerance", 1e-3))
    for key, expected in check.expect.items():
        if key == "tolerance":
            continue
        got = prediction.get(key) if isinstance(prediction, dict) else prediction
        if not _agrees(got, expected, tolerance):
            yield f"{key} {_told(got, expected)}"


def _told(got: Any, expected: Any) -> str:
    """Says what came in place of a value; of a long vector, how far it is off."""
    if isinstance(got, float):
        return f"{got:.4f}"
    try:
        apart = np.abs(np.subtract(got, expected, dtype=np.float64)).max()
    except (TypeError, ValueError):  # no numbers, or not as many
        return textwrap.shorten(repr(got), _EXPECTED, placeholder=" …")
    return f"with numbers up to {apart:.4f} off"


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
