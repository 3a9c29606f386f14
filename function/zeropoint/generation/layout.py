"""The manifest's [decoder] table: which input and output of the graph is what."""

from collections.abc import Sequence
from itertools import count
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from zeropoint.errors import ManifestError
from zeropoint.tensors import Tensors, TensorSpec

Tokens = NDArray[np.int64]
Scores = NDArray[np.float32]


class DecoderTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The [decoder] table. The names are those of Hugging Face's exports, where none is given.

    Of the inputs those count that the graph has: ``lengths`` takes each row's tokens but one,
    ``total`` the tokens of the longest row, and ``positions`` the places whose scores are wanted.
    """

    context: Annotated[int, Meta(ge=2, le=1 << 20)]  # tokens of a prompt and what follows
    chunk: Annotated[int, Meta(ge=1, le=8192)] = 128  # tokens of a prompt in one pass
    # Shared: of a fixed capacity, changed where it lies. Appended: each pass gives a longer one.
    cache: Literal["shared", "appended"] = "appended"
    past: tuple[str, ...] = ("past_key_values.{}.key", "past_key_values.{}.value")  # by layer
    present: tuple[str, ...] = ("present.{}.key", "present.{}.value")
    input_ids: str = "input_ids"
    attention_mask: str = "attention_mask"
    position_ids: str = "position_ids"
    lengths: str = "seqlens_k"
    total: str = "total_sequence_length"
    positions: str = "positions"
    logits: str = "logits"


class Layout(NamedTuple):
    """A graph's inputs and outputs, as the table names them."""

    table: DecoderTable
    past: list[TensorSpec]  # of shape (rows, heads, tokens, size)
    present: list[str]  # as many
    others: dict[str, TensorSpec]  # the other inputs, by name
    scored: TensorSpec  # the output of the logits, of shape (rows, asked or all, vocabulary)

    @property
    def token_bytes(self) -> int:
        """What the cache takes for one token."""
        return sum(
            (spec.shape[1] or 0) * (spec.shape[3] or 0) * spec.dtype.itemsize for spec in self.past
        )

    def feed(self, tokens: Tokens, pasts: Tokens, asked: Tokens) -> Tensors:
        """Returns the inputs of a pass but for the cache.

        Args:
            tokens: Of shape (rows, n): those that follow.
            pasts: Of shape (rows,): how many each row has already.
            asked: The places among the n whose scores are wanted.
        """
        table, (_, length) = self.table, tokens.shape
        ends = pasts + length
        made = {
            table.input_ids: tokens,
            table.attention_mask: np.arange(ends.max()) < ends[:, None],
            table.position_ids: pasts[:, None] + np.arange(length),
            table.lengths: ends - 1,
            table.total: ends.max(),
            table.positions: asked,
        }
        return {
            name: np.array(made[name], spec.dtype, order="C") for name, spec in self.others.items()
        }

    def logits(self, rows: int, length: int, asked: Tokens) -> NDArray[Any] | None:
        """Returns an array for a pass's logits; None: the graph does not say how many there are."""
        vocabulary = self.scored.shape[-1]
        if vocabulary is None:
            return None
        count = len(asked) if self.table.positions in self.others else length
        return np.empty((rows, count, vocabulary), self.scored.dtype)

    def scores(self, logits: NDArray[Any], asked: Tokens) -> Scores:
        """Returns a pass's scores, float32 of shape (rows, asked, vocabulary)."""
        if self.table.positions not in self.others:
            logits = logits[:, asked]
        return logits.astype(np.float32, copy=False)


def layout(
    table: DecoderTable, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], place: str
) -> Layout:
    """Finds what the table names in a graph.

    Args:
        table: The manifest's.
        inputs: The graph's.
        outputs: The graph's.
        place: The model's name, for the error's message.

    Raises:
        ManifestError: the table does not fit.
    """
    named, known = {spec.name: spec for spec in inputs}, {spec.name: spec for spec in outputs}
    past: list[TensorSpec] = []
    present: list[str] = []
    for layer in count():
        names = [name.format(layer) for name in table.past]
        if not named.keys() & set(names):
            break
        past += [named.pop(name) for name in names if name in named]
        present += [name.format(layer) for name in table.present]
    own = {table.input_ids, table.attention_mask, table.position_ids}
    own |= {table.lengths, table.total, table.positions}
    if not past or len(past) != len(present) or not {*present, table.logits} <= known.keys():
        raise ManifestError(
            f"{place}: expected inputs {' and '.join(table.past)} by layer, an output for each"
            f" ({' and '.join(table.present)}) and the output {table.logits}, got"
            f" {len(past)} such inputs; decoder.past and decoder.present name them"
        )
    if table.input_ids not in named or named.keys() - own:
        raise ManifestError(
            f"{place}: expected an input {table.input_ids} and no others than [decoder] has, got"
            f" {', '.join(sorted(named))}"
        )
    for spec in past:
        if len(spec.shape) != 4 or None in spec.shape[1::2]:
            raise ManifestError(
                f"{place}: expected a cache of shape (rows, heads, tokens, size) with numbers of"
                f" heads and size, got {spec}"
            )
    return Layout(table, past, present, named, known[table.logits])
