"""The manifest's [text] table: how a text becomes the model's input tensors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from zeropoint.artifact import Artifact
from zeropoint.errors import InvalidError, ManifestError, SettingsError, UnsupportedMediaError
from zeropoint.instances import Blob, Instance
from zeropoint.manifest import File
from zeropoint.tensors import Tensors, TensorSpec

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# The characters of a text that are looked at, for each token that the model takes. A language's
# text has one to six characters in a token, and this keeps those with much white space, markup or
# long words too: their first tokens are those of the whole text. What follows is never tokenized,
# which would take time for tokens that are then dropped, and tokenizers does not release the GIL.
CHARACTERS_PER_TOKEN = 32
MEDIA_TYPES = ("text/plain", "application/octet-stream")
EXAMPLE = "How do I reset my password?"
TEXT_SCHEMA: dict[str, Any] = {"type": "string"}
TOKENS_SCHEMA: dict[str, Any] = {"type": "integer", "minimum": 1}


class TextTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The [text] table: the tokenizer, what it may give, and which input takes what."""

    tokenizer: File
    max_tokens: Annotated[int, Meta(ge=1, le=8192)]
    input_ids: str = "input_ids"
    attention_mask: str = "attention_mask"
    token_type_ids: str = "token_type_ids"  # noqa: S105 - an input's name


class Count(NamedTuple):
    """What a prediction tells of a text: its tokens, and whether it has more that were cut off."""

    tokens: int
    truncated: bool


class TextInput:
    """Step 1 for every task that takes texts.

    Args:
        table: The manifest's [text].
        artifact: Has the tokenizer's file.
        inputs: The model's inputs, int64 or int32 of shape (n, tokens): ids and mask, and types
            or not. Where the number of tokens does not vary, texts are filled up to it.

    Raises:
        ManifestError: the table does not fit the model's inputs, or the file is no tokenizer.
        ArtifactError: the tokenizer's file is missing, or its digest differs.
        SettingsError: tokenizers is not installed.
    """

    def __init__(self, table: TextTable, artifact: Artifact, inputs: Sequence[TensorSpec]) -> None:
        self._place = artifact.manifest.name
        self._table = table
        self._specs = {spec.name: spec for spec in inputs}
        self._length = self._fixed_length()
        self._tokenizer = self._load(artifact)
        self._max_characters = table.max_tokens * CHARACTERS_PER_TOKEN
        padding_id = self._padding_id()
        self.padding: Mapping[str, float] = {
            name: padding_id if name == table.input_ids else 0 for name in self._specs
        }
        self._tokenizer.no_padding()

    def prepare(self, *instances: Instance) -> tuple[Tensors, list[Count]]:
        """Makes texts the model's input, a row each, all filled up to the longest one's tokens.

        Args:
            instances: Texts, each a str or a Blob of UTF-8.

        Returns:
            An array of shape (n, tokens) for each input, and what to tell of each text.

        Raises:
            InvalidError: not a text, or not one that can be written in UTF-8.
            UnsupportedMediaError: a Blob of another media type.
        """
        texts = [text_of(instance) for instance in instances]
        found = [self._encode(text) for text in texts]
        counts = [
            Count(len(one.ids), bool(one.overflowing) or len(text) > self._max_characters)
            for one, text in zip(found, texts, strict=True)
        ]
        length = self._length or max(count.tokens for count in counts)
        columns = {
            self._table.input_ids: [one.ids for one in found],
            self._table.attention_mask: [one.attention_mask for one in found],
            self._table.token_type_ids: [one.type_ids for one in found],
        }
        tensors: Tensors = {}
        for name, spec in self._specs.items():
            tensor = np.full((len(found), length), self.padding[name], spec.dtype)
            for row, values in zip(tensor, columns[name], strict=True):
                row[: len(values)] = values
            tensors[name] = tensor
        return tensors, counts

    def _encode(self, text: str) -> "Encoding":
        text = text[: self._max_characters]
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise InvalidError("expected a text, got half of a surrogate pair") from None
        # One at a time: encode_batch would start a thread for each processor of the host.
        try:
            found = self._tokenizer.encode(text)
        except Exception:  # the library has no class of its own
            raise InvalidError("expected a text of the model's words, got an unknown one") from None
        if not found.ids:
            raise InvalidError("expected a text with at least one token, got none")
        return found

    def _fixed_length(self) -> int | None:
        """Returns how many tokens the model always takes, or None where they vary."""
        table = self._table
        known = {table.input_ids, table.attention_mask, table.token_type_ids}
        lengths = {spec.shape[1] for spec in self._specs.values() if len(spec.shape) == 2}
        if (
            not {table.input_ids, table.attention_mask} <= self._specs.keys() <= known
            or any(spec.dtype not in (np.int64, np.int32) for spec in self._specs.values())
            or any(len(spec.shape) != 2 for spec in self._specs.values())
            or len(lengths) != 1
        ):
            raise ManifestError(
                f"{self._place}: expected the inputs {table.input_ids}, {table.attention_mask} and"
                f" perhaps {table.token_type_ids}, int64[?, ?] or int32[?, ?] each, got"
                f" {'; '.join(map(str, self._specs.values()))}"
            )
        (length,) = lengths
        if length is not None and length < table.max_tokens:
            raise ManifestError(
                f"{self._place}: expected text.max_tokens of at most {length}, which the model"
                f" takes, got {table.max_tokens}"
            )
        return length

    def _load(self, artifact: Artifact) -> "Tokenizer":
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise SettingsError(
                f"{self._place} needs tokenizers: pip install 'zeropoint[text]'"
            ) from None
        path = artifact.fetch(self._table.tokenizer)
        try:
            tokenizer = Tokenizer.from_file(str(path))
            tokenizer.enable_truncation(self._table.max_tokens)
            # Of so few tokens that the special ones are all, it would not truncate at all.
            if tokenizer.num_special_tokens_to_add(is_pair=False) >= self._table.max_tokens:
                raise ValueError("all of them are special ones")
        except Exception as error:  # the library has no class of its own
            raise ManifestError(
                f"{self._place}: expected a tokenizer in {self._table.tokenizer.path} that gives"
                f" {self._table.max_tokens} tokens: {error}"
            ) from None
        return tokenizer

    def _padding_id(self) -> int:
        """Returns the id that fills up; a model may know by it alone which tokens are none."""
        if filling := self._tokenizer.padding:
            return int(filling["pad_id"])
        ids = (self._tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>"))
        return next((id_ for id_ in ids if id_ is not None), 0)


def text_of(instance: Instance) -> str:
    """Returns an instance that is a text.

    Raises:
        InvalidError: it is none.
        UnsupportedMediaError: a Blob of another media type.
    """
    if isinstance(instance, str):
        return instance
    if not isinstance(instance, Blob):
        raise InvalidError("expected a text, got another value")
    if instance.media_type.partition("/")[0] not in ("", "text") and (
        instance.media_type != "application/octet-stream"
    ):
        raise UnsupportedMediaError(
            "expected the media type of a text, or application/octet-stream, got another"
        )
    try:
        return instance.data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidError("expected a text in UTF-8, got other bytes") from None
