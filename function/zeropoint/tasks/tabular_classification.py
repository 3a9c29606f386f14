"""Tabular classification: a row in, its most probable label out."""

from collections.abc import Sequence
from typing import Annotated, Any, cast

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from zeropoint.artifact import Artifact
from zeropoint.errors import ArtifactError, InvalidError, ManifestError
from zeropoint.manifest import read_tables
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Schema, tabular
from zeropoint.tasks.activations import Activation, activate
from zeropoint.tasks.tabular import Features, TabularInput, TabularTask
from zeropoint.tensors import Tensors, TensorSpec

_Probability = Annotated[float, Meta(ge=0, le=1)]
_DEFAULT_THRESHOLD = 0.5


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The [output] table: what the model's scores are of, and what makes them probabilities."""

    name: str | None = None  # of the model's output; without, its only one of floats
    labels: Annotated[tuple[str, ...], Meta(min_length=2)]
    activation: Activation = "none"
    threshold: _Probability | None = None  # of two labels: from where on the second is told

    def __post_init__(self) -> None:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("expected `labels` that differ")
        if self.threshold is not None and len(self.labels) != 2:
            raise ValueError("expected a `threshold` for two labels only")


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's tables for this task."""

    features: Features
    output: Output


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may vary.

    ``threshold``: from which probability on the second of two labels is told, by default the
    manifest's.
    """

    threshold: _Probability | None = None


class TabularClassification(TabularTask):
    """Steps 1 and 3 of a classifier of rows.

    Args:
        table: Step 1.
        output: The manifest's [output].
        name: The model's output of scores.
    """

    parameters = Parameters

    def __init__(self, table: TabularInput, output: Output, name: str) -> None:
        super().__init__(table)
        self._output = output
        self._name = name

    def output(
        self, tensors: Tensors, contexts: Sequence[Any], parameters: msgspec.Struct
    ) -> list[Prediction]:
        """Names the most probable label of each row, or of two labels by the threshold.

        Args:
            tensors: Scores, a float array of shape (n, labels), or of shape (n, 1) or (n,) those
                of the second of two labels.
            contexts: One for each row, unused.
            parameters: `Parameters`.

        Returns:
            For each row its ``label`` and ``probability``, and ``probabilities`` by label. A row
            of which the model knows no probability (NaN) has no label.

        Raises:
            InvalidError: a ``threshold`` for more than two labels.
        """
        labels = self._output.labels
        threshold = cast(Parameters, parameters).threshold
        if threshold is not None and len(labels) != 2:
            raise InvalidError(f"expected no threshold for a model of {len(labels)} labels")
        probabilities = self._probabilities(tensors[self._name], len(contexts))
        best = probabilities.argmax(axis=1)
        if len(labels) == 2:
            chosen = (threshold, self._output.threshold, _DEFAULT_THRESHOLD)
            best = (probabilities[:, 1] >= next(one for one in chosen if one is not None)) * 1
        unknown = np.isnan(probabilities).any(axis=1)
        names: list[str | None] = [labels[index] for index in best.tolist()]
        if unknown.any():
            names = [None if no else name for name, no in zip(names, unknown, strict=True)]
        values = probabilities[np.arange(len(best)), best].tolist()
        told = zip(names, values, _by_label(labels, probabilities), strict=True)
        return [
            {"label": name, "probability": value, "probabilities": each}
            for name, value, each in told
        ]

    def _probabilities(self, scores: NDArray[Any], rows: int) -> NDArray[Any]:
        """Returns the probabilities: (n, labels)."""
        labels = len(self._output.labels)
        scores = scores.reshape(-1, 1) if scores.ndim == 1 else scores
        if scores.shape != (rows, labels) and (labels != 2 or scores.shape != (rows, 1)):
            raise ArtifactError(f"expected scores of shape ({rows}, {labels}), got {scores.shape}")
        # Told as float64, and so compared: in float32 a threshold would be rounded.
        found = activate(scores, self._output.activation).astype(np.float64)
        if found.shape[1] < labels:
            found = np.concatenate([1.0 - found, found], axis=1)
        return found


def _by_label(labels: Sequence[str], rows: NDArray[Any]) -> list[dict[str, float]]:
    if len(labels) == 2:  # as most models have, in a third of the time
        first, second = labels
        return [{first: a, second: b} for a, b in rows.tolist()]
    return [dict(zip(labels, row, strict=True)) for row in rows.tolist()]


def create(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Settings,
) -> TabularClassification:
    """Builds the task from an artifact; raises as `zeropoint.tasks.create` says."""
    place = artifact.manifest.name
    tables = read_tables(artifact.manifest, Tables)
    table = TabularInput(tables.features, inputs, place)
    spec = tabular.float_output(outputs, tables.output.name, place)
    labels = tables.output.labels
    widths = (None, len(labels), 1) if len(labels) == 2 else (None, len(labels))
    column = len(labels) == 2 and (len(spec.shape) == 1 or spec.shape[1:] == (1,))
    if not column and (len(spec.shape) != 2 or spec.shape[1] not in widths):
        raise ManifestError(
            f"{place}: expected an output float[?, {len(labels)}], a score for each of the"
            f" output.labels, got {spec}"
        )
    if column and tables.output.activation == "softmax":
        raise ManifestError(f"{place}: expected no softmax over one column, got it for {spec}")
    return TabularClassification(table, tables.output, spec.name)


def schema(artifact: Artifact) -> Schema:
    """Returns what a caller sends and gets."""
    tables = read_tables(artifact.manifest, Tables)
    label = {"enum": [*tables.output.labels, None]}
    probability = {"type": ["number", "null"]}
    prediction: dict[str, Any] = {
        "type": "object",
        "properties": {
            "label": label,
            "probability": probability,
            "probabilities": {
                "type": "object",
                "properties": dict.fromkeys(tables.output.labels, probability),
                "required": list(tables.output.labels),
            },
        },
        "required": ["label", "probability", "probabilities"],
    }
    if len(tables.output.labels) == 2:
        threshold = tables.output.threshold
        prediction["x-threshold"] = _DEFAULT_THRESHOLD if threshold is None else threshold
    return tabular.schema(artifact, tables.features, prediction)
