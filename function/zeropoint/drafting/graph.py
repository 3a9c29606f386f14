"""A model as it was brought: its inputs and outputs, what it gives to a try, and its hints."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from zeropoint import external_data
from zeropoint.drafting import hints, refusal
from zeropoint.errors import ArtifactError, InvalidError
from zeropoint.session import Session
from zeropoint.tensors import Tensors, TensorSpec

# Of a dimension that varies, where a try needs one: few enough for any memory.
_TRIED_SIDE = 32


class Graph:
    """An ONNX file that ONNX Runtime loads.

    Args:
        path: The file.
        threads: Threads for a try.

    Raises:
        ArtifactError: it is none, has external data, custom operators or outputs that are no
            tensors; or it is newer than this runtime.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.path = path
        external_data.refuse(path)
        try:
            self._session = Session(path, threads)
        except ArtifactError as error:
            raise refusal.of(path, error) from None
        self.inputs: list[TensorSpec] = self._session.inputs
        self.outputs: list[TensorSpec] = self._session.outputs

    @cached_property
    def hints(self) -> hints.Hints:
        """What the package onnx tells; nothing where it is not installed."""
        return hints.read(self.path)

    @cached_property
    def tried(self) -> Tensors:
        """What came out of a try with one row of noise, or nothing if it was refused."""
        random = np.random.default_rng(0)
        tensors: Tensors = {}
        for spec in self.inputs:
            shape = [
                dim or (1 if axis == 0 or len(spec.shape) == 2 else _TRIED_SIDE)
                for axis, dim in enumerate(spec.shape)
            ]
            if spec.dtype.kind == "f":
                tensors[spec.name] = random.random(shape).astype(spec.dtype)
            elif spec.dtype.kind == "O":
                known = self.hints.categories.get(spec.name, ("",))
                tensors[spec.name] = np.full(shape, str(known[0]), np.object_)
            else:
                tensors[spec.name] = np.ones(shape, spec.dtype)
        return self.run(tensors)

    def run(self, tensors: Tensors) -> Tensors:
        """Executes a forward pass; nothing comes out if the model refuses the tensors."""
        try:
            with _quiet():
                return self._session.run(tensors)
        except (InvalidError, ValueError):  # ValueError: of a dtype or rank that it has not
            return {}

    def width(self, spec: TensorSpec) -> int | None:
        """Returns an output's last dimension as the graph or a try tells it."""
        if spec.shape and spec.shape[-1] is not None:
            return spec.shape[-1]
        found = self.tried.get(spec.name)
        return int(found.shape[-1]) if found is not None and found.ndim else None

    @property
    def floats(self) -> list[TensorSpec]:
        """The outputs of floats."""
        return [spec for spec in self.outputs if spec.dtype.kind == "f"]

    @property
    def fixed_rows(self) -> int | None:
        """How many rows every forward pass has, or None where they vary."""
        return next((spec.shape[0] for spec in self.inputs if spec.shape and spec.shape[0]), None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps from stderr what ONNX Runtime writes there of a refusal: a try may be refused."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def in_words(specs: list[TensorSpec]) -> str:
    """Returns inputs or outputs for a message."""
    return "; ".join(map(str, specs)) or "none"
