"""Rows of a table: how one becomes the model's input, a matrix or a column for each feature."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from zeropoint import json_bounds
from zeropoint.artifact import Artifact
from zeropoint.errors import InvalidError, ManifestError
from zeropoint.instances import Blob, Column, Instance
from zeropoint.tasks import Prepared, Schema, features
from zeropoint.tasks.features import Feature
from zeropoint.tensors import Tensors, TensorSpec

# Nested values are refused as they are read: they would take twenty times a text's memory.
_read = msgspec.json.Decoder(
    dict[str, str | int | float | bool | None] | list[str | int | float | bool | None]
).decode

Features = Annotated[tuple[Feature, ...], Meta(min_length=1)]  # the tables [[features]]


class TabularInput:
    """Step 1 for every task that takes rows.

    The model has either one matrix of shape (n, features), or for each feature an input of its
    name and of shape (n, 1).

    Args:
        table: The manifest's [[features]].
        inputs: The model's inputs.
        place: The model's name, for the error's message.

    Raises:
        ManifestError: the features contradict each other or the model's inputs.
    """

    def __init__(self, table: Features, inputs: Sequence[TensorSpec], place: str) -> None:
        self._names = [feature.name for feature in table]
        self._known = set(self._names)
        if len(self._known) < len(table):
            raise ManifestError(f"{place}: expected features of different names, got one twice")
        by_name = {spec.name: spec for spec in inputs}
        self._columns = by_name.keys() == self._known
        specs = [by_name[name] for name in self._names] if self._columns else inputs[:1]
        width = 1 if self._columns else len(table)
        fits = [len(one.shape) == 2 and one.shape[0] in (None, 1) for one in specs]
        fits += [one.shape[1:] in ((None,), (width,)) for one in specs]
        if not all(fits) or not len(inputs) == len(specs) > 0:
            raise ManifestError(
                f"{place}: expected one input [?, {len(table)}] or an input [?, 1] of each"
                f" feature's name, got {'; '.join(map(str, inputs))}"
            )
        self._inputs = [(spec.name, spec.dtype) for spec in specs]
        dtypes = [spec.dtype for spec in specs] * (1 if self._columns else len(table))
        self._readers = [
            features.reader(feature, dtype, f"{place}: the feature {feature.name}")
            for feature, dtype in zip(table, dtypes, strict=True)
        ]

    def prepare(self, instance: Instance) -> Tensors:
        """Makes one row the model's input.

        Args:
            instance: An object with the features by name, a list of them in their order, or the
                JSON of either as text or bytes. What is absent or null is missing.

        Returns:
            The matrix of shape (1, features), or the columns of shape (1, 1) by name.

        Raises:
            InvalidError: no such row; the message names the feature.
        """
        values = self._values(parsed(instance))
        row: list[Any] = []
        try:
            for read, value in zip(self._readers, values, strict=True):
                row.append(read(value))
        except InvalidError as error:
            raise error.within(f"feature {self._names[len(row)]}") from None
        if self._columns:
            pairs = zip(self._inputs, row, strict=True)
            return {name: np.array([[value]], dtype) for (name, dtype), value in pairs}
        ((name, dtype),) = self._inputs
        return {name: np.array([row], dtype)}

    def prepare_columns(self, columns: Mapping[str, Column], rows: int) -> Tensors:
        """Makes many rows the model's input; each different value of a column is read once.

        Args:
            columns: By the features' names.
            rows: How many.

        Returns:
            The matrix of shape (rows, features), or the columns of shape (rows, 1) by name.

        Raises:
            InvalidError: some row is none; `prepare` tells which.
        """
        if not columns.keys() <= self._known:
            raise InvalidError("expected no other features, got another one")
        missing = Column([None], np.zeros(rows, np.int64))
        found: Tensors = {}
        if not self._columns:
            ((whole, dtype),) = self._inputs
            found[whole] = np.empty((rows, len(self._names)), dtype)
        for place, (name, read) in enumerate(zip(self._names, self._readers, strict=True)):
            column = columns.get(name, missing)
            dtype = self._inputs[place][1] if self._columns else dtype
            values = np.array([read(value) for value in column.values], dtype)[column.codes]
            if self._columns:
                found[name] = values[:, None]
            else:
                found[whole][:, place] = values
        return found

    def _values(self, row: Any) -> list[Any]:
        """Returns a row's values in the order of the features, None where one is missing."""
        if isinstance(row, dict):
            if not row.keys() <= self._known:
                told = features.in_words(self._names)
                raise InvalidError(f"expected no other features than {told}, got another one")
            return [row.get(name) for name in self._names]
        if not isinstance(row, list):
            raise InvalidError("expected a row as an object or a list, got another value")
        if len(row) != len(self._names):
            raise InvalidError(f"expected a row of {len(self._names)} values, got {len(row)}")
        return row


class TabularTask:
    """Step 1 of every task of rows, and what they have in common.

    Args:
        table: Makes rows the model's input.
    """

    takes_files = False
    padding: Mapping[str, float] = {}

    def __init__(self, table: TabularInput) -> None:
        self._table = table

    def prepare(self, instance: Instance) -> Prepared:
        """Makes a row the model's input, as `TabularInput.prepare` says."""
        return Prepared(self._table.prepare(instance))

    def prepare_columns(self, columns: Mapping[str, Column], rows: int) -> Tensors:
        """Makes many rows the model's input, as `TabularInput.prepare_columns` says."""
        return self._table.prepare_columns(columns, rows)


def parsed(instance: Instance) -> Any:
    """Returns an instance, read if it is JSON as text or bytes, as SQL and files have it.

    Raises:
        InvalidError: a text that is no JSON, or not of a row.
        BodyTooLargeError: a text of more values than `json_bounds` lets pass.
    """
    text = instance.data if isinstance(instance, Blob) else instance
    if not isinstance(text, str | bytes):
        return text
    json_bounds.refuse_costly(text)
    try:
        return _read(text)
    except msgspec.ValidationError:
        raise InvalidError(
            "expected a row as an object or a list of plain values, got another value"
        ) from None
    except (ValueError, RecursionError):
        raise InvalidError("expected a row in JSON, got another text") from None


def schema(artifact: Artifact, table: Features, prediction: dict[str, Any]) -> Schema:
    """Returns what a caller sends and gets; the example is the known answer's own input."""
    properties = {feature.name: features.json_schema(feature) for feature in table}
    needed = [feature.name for feature in table if feature.default is msgspec.UNSET]
    by_name = {
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }
    in_order = {
        "type": "array",
        "prefixItems": list(properties.values()),
        "minItems": len(table),
        "maxItems": len(table),
    }
    text = {"type": "string", "contentMediaType": "application/json"}
    example = msgspec.json.decode(artifact.fetch(artifact.manifest.check.file).read_bytes())
    if isinstance(example, list):
        example = dict(zip(properties, example, strict=False))
    return Schema({"anyOf": [by_name, in_order, text]}, prediction, example, ("text/csv",))


def float_output(outputs: Sequence[TensorSpec], name: str | None, place: str) -> TensorSpec:
    """Returns the output of that name, or without one the only output of floats.

    Raises:
        ManifestError: there is none, or it is not of floats, or without a name there are several.
    """
    floats = [one for one in outputs if one.dtype.kind == "f" and name in (None, one.name)]
    if len(floats) != 1:
        wanted = "one output of floats, or output.name" if name is None else f"floats in {name}"
        raise ManifestError(f"{place}: expected {wanted}, got {'; '.join(map(str, outputs))}")
    return floats[0]
