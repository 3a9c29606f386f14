"""Text embedding: a text in, its vector out; or two texts in, how much they mean the same."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from zeropoint.artifact import Artifact
from zeropoint.errors import ArtifactError, InvalidError, ManifestError
from zeropoint.instances import Instance
from zeropoint.manifest import read_tables
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Schema
from zeropoint.tasks.text import (
    EXAMPLE,
    MEDIA_TYPES,
    TEXT_SCHEMA,
    TOKENS_SCHEMA,
    Count,
    TextInput,
    TextTable,
)
from zeropoint.tensors import Tensors, TensorSpec

Vectors = NDArray[np.float32]

_DIGITS_OF_FLOAT32 = 9  # of a decimal, always enough to tell it from all others
_LEAST_NORM = 1e-12


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [output] table: how tokens' vectors become the text's, and which output has them."""

    pooling: Literal["mean", "cls", "max", "none"]
    normalize: bool = True
    name: str = ""


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's tables for this task."""

    text: TextTable
    output: Output


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may vary. ``similarity``: of pairs of texts their cosine, not the vectors."""

    similarity: bool = False


class TextEmbedding:
    """Steps 1 and 3 of a model that makes texts vectors.

    Args:
        text: Step 1.
        output: The manifest's [output].
        name: The model's output: float of shape (n, tokens, size), or (n, size) if pooled.
    """

    parameters = Parameters
    takes_files = False

    def __init__(self, text: TextInput, output: Output, name: str) -> None:
        self.padding = text.padding
        self._text = text
        self._output = output
        self._name = name

    def prepare(self, instance: Instance) -> Prepared:
        """Makes a text one row of the model's input, and a list of two texts two rows.

        Raises:
            ClientError: as `TextInput.prepare` says.
        """
        if not isinstance(instance, list):
            return Prepared(*self._text.prepare(instance))
        if len(instance) != 2:
            raise InvalidError("expected a text or a list of two texts, got a list of others")
        return Prepared(*self._text.prepare(*instance))

    def output(
        self, tensors: Tensors, contexts: Sequence[Any], parameters: msgspec.Struct
    ) -> list[Prediction]:
        """Makes the vectors of tokens the vectors of texts, or the cosines of pairs.

        Args:
            tensors: Vectors, a float array of shape (n, tokens, size), or (n, size) if pooled.
            contexts: For each instance a `Count` for each of its rows.
            parameters: `Parameters`.

        Returns:
            For each text its ``embedding``, or for each pair its ``similarity``, and of the text
            or both texts how many ``tokens`` were used and whether it was ``truncated``.

        Raises:
            InvalidError: a pair where a text is expected, or a text where a pair is.
        """
        similarity = cast(Parameters, parameters).similarity
        for counts in contexts:
            if len(counts) == 1 and similarity:
                raise InvalidError("expected a list of two texts, as similarity is true, got one")
            if len(counts) == 2 and not similarity:
                raise InvalidError("expected a text, as similarity is not true, got two")
        vectors = self._vectors(tensors[self._name], [one for many in contexts for one in many])
        if similarity:
            cosines = (_unit(vectors[0::2]) * _unit(vectors[1::2])).sum(axis=1).clip(-1.0, 1.0)
            return [
                {
                    "similarity": cosine,
                    "tokens": [one.tokens for one in counts],
                    "truncated": [one.truncated for one in counts],
                }
                for cosine, counts in zip(_shortest(cosines), contexts, strict=True)
            ]
        embeddings = _shortest(_unit(vectors) if self._output.normalize else vectors)
        return [
            {"embedding": embedding, "tokens": count.tokens, "truncated": count.truncated}
            for embedding, (count,) in zip(embeddings, contexts, strict=True)
        ]

    def _vectors(self, found: NDArray[Any], counts: Sequence[Count]) -> Vectors:
        """Returns a vector for each row, of its own tokens and none of those that fill it up."""
        pooled = self._output.pooling == "none"
        if found.ndim != (2 if pooled else 3) or len(found) != len(counts):
            raise ArtifactError(
                f"expected {'pooled' if pooled else 'all'} vectors of {len(counts)} rows,"
                f" got an array of shape {found.shape}"
            )
        found = found.astype(np.float32, copy=False)
        if pooled:
            return found
        if self._output.pooling == "cls":
            return found[:, 0]
        tokens = np.array([count.tokens for count in counts])
        own = np.arange(found.shape[1]) < tokens[:, None]
        if self._output.pooling == "max":
            return np.asarray(found.max(axis=1, where=own[..., None], initial=-np.inf))
        return np.asarray(found.sum(axis=1, where=own[..., None]) / tokens[:, None], np.float32)


def create(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Settings,
) -> TextEmbedding:
    """Builds the task from an artifact; raises as `zeropoint.tasks.create` says."""
    tables = read_tables(artifact.manifest, Tables)
    table = tables.output
    named = [spec for spec in outputs if table.name in ("", spec.name)]
    rank = 2 if table.pooling == "none" else 3
    if len(named) != 1 or named[0].dtype.kind != "f" or len(named[0].shape) != rank:
        raise ManifestError(
            f"{artifact.manifest.name}: expected {f'the output {table.name}' * bool(table.name)}"
            f"{'one output' * (not table.name)} float[{', '.join('?' * rank)}], as output.pooling"
            f" is {table.pooling!r}, got {'; '.join(map(str, outputs))}"
        )
    return TextEmbedding(TextInput(tables.text, artifact, inputs), table, named[0].name)


def schema(artifact: Artifact) -> Schema:
    """Returns what a caller sends and gets."""
    pair = {"type": "array", "items": TEXT_SCHEMA, "minItems": 2, "maxItems": 2}
    number, truncated = {"type": ["number", "null"]}, {"type": "boolean"}
    embedding = {
        "embedding": {"type": "array", "items": number, "minItems": 1},
        "tokens": TOKENS_SCHEMA,
        "truncated": truncated,
    }
    similarity = {
        "similarity": number,
        "tokens": {**pair, "items": TOKENS_SCHEMA},
        "truncated": {**pair, "items": truncated},
    }
    predictions = [
        {"type": "object", "properties": keys, "required": list(keys)}
        for keys in (embedding, similarity)
    ]
    return Schema({"anyOf": [TEXT_SCHEMA, pair]}, {"anyOf": predictions}, EXAMPLE, MEDIA_TYPES)


def _unit(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, _LEAST_NORM), np.float32)


def _shortest(values: Vectors) -> list[Any]:
    """Returns floats that print as the shortest decimals which are the same float32.

    As it is, a float32 prints with the 17 digits of a float64, of which half are noise.
    """
    wide = values.astype(np.float64)
    found = wide
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # 0, NaN: they stay
        scale = 10.0 ** (_DIGITS_OF_FLOAT32 - np.ceil(np.log10(np.abs(wide))))
        for _ in range(4):  # 9, 8, 7, 6 digits; a decimal with fewer is the last of them too
            rounded = np.rint(wide * scale) / scale
            found = np.where(rounded.astype(np.float32) == values, rounded, found)
            scale = scale / 10
    told: list[Any] = found.tolist()
    return told
