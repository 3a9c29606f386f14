"""Writes an artifact's folder, whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from zeropoint import loader
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.drafting import answer, card, toml
from zeropoint.drafting.draft import Draft
from zeropoint.drafting.graph import Graph
from zeropoint.errors import ClientError, ManifestError
from zeropoint.manifest import FILENAME
from zeropoint.model import Model
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction

_MODEL = "model.onnx"
_LICENSE = "the licence of model and data, as SPDX writes it: Apache-2.0, CC-BY-4.0, …"
_VERSION = "Write another for every change: it is told with each prediction."
_TODAY = "What the model said when this was written: look whether it is right."
_MADE_UP = " The input is made up: one of which you know the answer proves more."
_TIE = " The label is left out, as another one is about as probable."


class Written(NamedTuple):
    """An artifact that gave its known answer."""

    folder: Path
    model: Model
    prediction: Prediction
    undecided: Mapping[str, str]


def write(
    graph: Graph, draft: Draft, task: str, name: str, into: Path, settings: Settings
) -> Written:
    """Writes an artifact beside its place, has it checked, and moves it there.

    Args:
        graph: The model.
        draft: Its task's tables and files.
        task: Which it is.
        name: The artifact's, and its folder's.
        into: The folder that it goes into.
        settings: The limits.

    Raises:
        ZeropointError: it cannot be loaded, or does not answer; nothing is left then.
    """
    undecided = {"license": _LICENSE, **draft.undecided}
    if "license" in graph.hints.metadata:
        draft.notes["license"] = "From the graph's metadata."
        del undecided["license"]
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=into) as beside:
        folder = Path(beside) / name
        folder.mkdir()
        shutil.copyfile(graph.path, folder / _MODEL)
        for path, data in draft.files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(data)
        tables = _common(folder, draft, task, name, graph)
        _write_manifest(folder, tables, draft, undecided)
        repository = LocalRepository(folder.parent)
        prediction = _ask(Artifact(repository, name), settings)
        expect = answer.expect(task, prediction)
        tables["check"]["expect"] = expect
        if "label" in prediction and "label" not in expect:
            draft.notes["check.expect"] = _TIE
        _write_manifest(folder, tables, draft, undecided)
        (folder / "card.md").write_text(card.text(name, task, graph, undecided), "utf-8")
        model = loader.load(repository, name, settings)
        os.rename(folder, into / name)
    return Written(into / name, model, prediction, undecided)


def _common(folder: Path, draft: Draft, task: str, name: str, graph: Graph) -> dict[str, Any]:
    with (folder / _MODEL).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    check = hashlib.sha256(draft.files[draft.check]).hexdigest()
    return {
        "name": name,
        "version": "1",
        "task": task,
        "license": graph.hints.metadata.get("license", "unknown"),
        "max_batch": 1,
        "file": {"path": _MODEL, "sha256": digest},
        **draft.tables,
        "check": {"input": draft.check, "sha256": check, "expect": {"unknown": True}},
    }


def _write_manifest(
    folder: Path, tables: dict[str, Any], draft: Draft, undecided: Mapping[str, str]
) -> None:
    comments = {
        "version": _VERSION,
        "max_batch": "What zeropoint tune measures.",
        **draft.notes,
        "check.expect": (_TODAY + _MADE_UP * draft.made_up + draft.notes.get("check.expect", "")),
    }
    for key, text in undecided.items():
        comments[key] = f"{comments.get(key, '')}\nDECIDE: {text}".strip()
    (folder / FILENAME).write_text(toml.dumps(tables, comments), "utf-8")


def _ask(artifact: Artifact, settings: Settings) -> Prediction:
    """Returns the answer to the known answer's input, which nobody knows yet."""
    manifest = artifact.manifest
    model = loader.build(artifact, artifact.fetch(manifest.file), settings)
    try:
        instance = loader.known_instance(artifact)
        (prediction,) = model.answer([instance]).predictions
    except ValueError:
        raise ManifestError(f"{manifest.check.input}: expected JSON, got another text") from None
    except ClientError as error:
        raise error.within(f"the model refuses {manifest.check.input}") from None
    return prediction
