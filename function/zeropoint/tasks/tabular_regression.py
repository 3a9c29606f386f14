"""Tabular regression: a row in, a number or several out."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from zeropoint.artifact import Artifact
from zeropoint.errors import ArtifactError, ManifestError
from zeropoint.manifest import read_tables
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Schema, tabular
from zeropoint.tasks.tabular import Features, TabularInput, TabularTask
from zeropoint.tensors import Tensors, TensorSpec


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The [output] table: what the model's numbers are."""

    name: str | None = None  # of the model's output; without, its only one of floats
    values: tuple[str, ...] = ()  # names of several numbers, in the order of the columns
    unit: str = ""  # told with the numbers
    minimum: float | None = None  # a number below it becomes it
    maximum: float | None = None

    def __post_init__(self) -> None:
        if len(set(self.values)) < len(self.values):
            raise ValueError("expected `values` that differ")
        bounds = [one for one in (self.minimum, self.maximum) if one is not None]
        if bounds != sorted(bounds) or any(one != one for one in bounds):
            raise ValueError("expected a `minimum` of at most `maximum`")


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's tables for this task."""

    features: Features
    output: Output = msgspec.field(default_factory=Output)


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may vary: nothing."""


class TabularRegression(TabularTask):
    """Steps 1 and 3 of a model that estimates numbers.

    Args:
        table: Step 1.
        output: The manifest's [output].
        name: The model's output of numbers.
    """

    parameters = Parameters

    def __init__(self, table: TabularInput, output: Output, name: str) -> None:
        super().__init__(table)
        self._output = output
        self._name = name

    def output(
        self, tensors: Tensors, contexts: Sequence[Any], parameters: msgspec.Struct
    ) -> list[Prediction]:
        """Tells the numbers of each row, within the manifest's bounds.

        Args:
            tensors: A float array of shape (n, values), or (n,).
            contexts: One for each row, unused.
            parameters: `Parameters`.

        Returns:
            For each row its ``value``, or its ``values`` by name, and the ``unit`` if there is one.
        """
        found = tensors[self._name]
        names = self._output.values
        width = len(names) or 1
        if found.shape not in ((len(contexts), width), (len(contexts),) * (width == 1)):
            raise ArtifactError(
                f"expected numbers of shape ({len(contexts)}, {width}), got {found.shape}"
            )
        rows = found.reshape(len(contexts), width).astype(np.float64)  # which rounds no bound
        if (self._output.minimum, self._output.maximum) != (None, None):
            rows = np.clip(rows, self._output.minimum, self._output.maximum)
        unit = {"unit": self._output.unit} if self._output.unit else {}
        if names:
            return [{"values": dict(zip(names, row, strict=True)), **unit} for row in rows.tolist()]
        return [{"value": value, **unit} for (value,) in rows.tolist()]


def create(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Settings,
) -> TabularRegression:
    """Builds the task from an artifact; raises as `zeropoint.tasks.create` says."""
    place = artifact.manifest.name
    tables = read_tables(artifact.manifest, Tables)
    table = TabularInput(tables.features, inputs, place)
    spec = tabular.float_output(outputs, tables.output.name, place)
    width = len(tables.output.values) or 1
    flat = width == 1 and len(spec.shape) == 1
    if not flat and (len(spec.shape) != 2 or spec.shape[1] not in (None, width)):
        raise ManifestError(
            f"{place}: expected an output float[?, {width}], a number for each of the"
            f" output.values, got {spec}"
        )
    return TabularRegression(table, tables.output, spec.name)


def schema(artifact: Artifact) -> Schema:
    """Returns what a caller sends and gets."""
    tables = read_tables(artifact.manifest, Tables)
    number = {"type": ["number", "null"]}
    names = tables.output.values
    properties: dict[str, Any] = {"value": number}
    if names:
        named = dict.fromkeys(names, number)
        properties = {"values": {"type": "object", "properties": named, "required": list(names)}}
    if tables.output.unit:
        properties["unit"] = {"const": tables.output.unit}
    prediction = {"type": "object", "properties": properties, "required": list(properties)}
    return tabular.schema(artifact, tables.features, prediction)
