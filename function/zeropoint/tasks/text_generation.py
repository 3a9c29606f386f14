"""Text generation: a prompt or a conversation in, what the model writes next out."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, cast

import msgspec
import numpy as np
from msgspec import Meta

from zeropoint.artifact import Artifact
from zeropoint.errors import InvalidError, ManifestError
from zeropoint.generation.chat import Chat, Message
from zeropoint.generation.layout import DecoderTable, Layout, layout
from zeropoint.generation.sampling import Sampler
from zeropoint.generation.sequence import Reason, Rules
from zeropoint.generation.sequence import Sequence as Text
from zeropoint.generation.vocabulary import Vocabulary
from zeropoint.instances import Instance
from zeropoint.manifest import File, read_tables
from zeropoint.settings import Settings
from zeropoint.tasks import Prediction, Prepared, Schema
from zeropoint.tasks.text import CHARACTERS_PER_TOKEN, MEDIA_TYPES, TEXT_SCHEMA, text_of
from zeropoint.tensors import Tensors, TensorSpec

EXAMPLE = "What is the capital of France? Answer in one sentence."

_Stop = Annotated[str, Meta(min_length=1, max_length=256)]
_PLACE = re.compile(r" - at `\$\.((?:prompt|messages)(?:\[\d+\])?(?:\.(?:role|content))?)`$")
_Count = Annotated[int, Meta(ge=1)]


class TextTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The [text] table: how messages become tokens, and which token ends a text."""

    tokenizer: File
    chat_template: File | None = None
    stop_tokens: tuple[str, ...]
    max_tokens: _Count = 512  # of a text, where the caller names no other number


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's tables for this task."""

    text: TextTable
    decoder: DecoderTable


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may vary; see `Sampler`. ``stop``: texts before which it ends."""

    max_tokens: _Count | None = None
    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.0
    top_p: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    top_k: Annotated[int, Meta(ge=0)] = 0
    repetition_penalty: Annotated[float, Meta(gt=0.0, le=2.0)] = 1.0
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None = None
    stop: _Stop | Annotated[tuple[_Stop, ...], Meta(max_length=16)] = ()


class Conversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instance: what was said so far."""

    messages: Annotated[tuple[Message, ...], Meta(min_length=1)]


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instance: the beginning of a text, without a chat template."""

    prompt: str


class Written(NamedTuple):
    """What a model wrote."""

    text: str
    finish_reason: Reason | None
    prompt_tokens: int
    completion_tokens: int


class TextGeneration:
    """Steps 1 and 3 of a model that writes; step 2 is as many passes as a text has tokens.

    Args:
        tables: The manifest's.
        layout: The graph's inputs and outputs.
        vocabulary: Its tokens.
        chat: Makes messages tokens; None: it takes prompts only.
        most_s: Longest time that a text is written.
    """

    parameters = Parameters
    takes_files = False
    padding: Mapping[str, float] = {}

    def __init__(
        self,
        tables: Tables,
        layout: Layout,
        vocabulary: Vocabulary,
        chat: Chat | None,
        most_s: float,
    ) -> None:
        self.layout = layout
        self.vocabulary = vocabulary
        self._chat = chat
        self._most_s = most_s
        self._context = tables.decoder.context
        self._max_tokens = tables.text.max_tokens
        self._stop_tokens = frozenset(map(vocabulary.id_of, tables.text.stop_tokens))

    def prepare(self, instance: Instance) -> Prepared:
        """Makes a text or a conversation tokens: int64 of shape (1, n), named as the graph does.

        Raises:
            ClientError: it is neither, or longer than the model reads.
        """
        tokens = self._tokens(instance)
        if not tokens:
            raise InvalidError("expected a prompt with at least one token, got none")
        if len(tokens) >= self._context:
            raise self._too_long(f"{len(tokens)} tokens")
        return Prepared({self.layout.table.input_ids: np.array([tokens], np.int64)})

    def begin(self, prepared: Prepared, parameters: msgspec.Struct) -> Text:
        """Returns the text that is to be written.

        Raises:
            InvalidError: more tokens are asked for than the model can write behind the prompt.
        """
        chosen = cast(Parameters, parameters)
        prompt = prepared.tensors[self.layout.table.input_ids][0]
        most = self._context - len(prompt)
        if (chosen.max_tokens or 0) > most:
            raise InvalidError(
                f"expected max_tokens of at most {most}, as the context has {self._context} tokens"
                f" and the prompt {len(prompt)}, got {chosen.max_tokens}"
            )
        sampler = Sampler(
            chosen.temperature,
            chosen.top_k,
            chosen.top_p,
            chosen.repetition_penalty,
            chosen.seed,
        )
        stops = (chosen.stop,) if isinstance(chosen.stop, str) else chosen.stop
        max_tokens = chosen.max_tokens or min(most, self._max_tokens)
        rules = Rules(max_tokens, self._stop_tokens, sampler, stops, self._most_s)
        return Text(prompt, rules, self.vocabulary.decoder())

    def output(
        self, tensors: Tensors, contexts: Sequence[Any], parameters: msgspec.Struct
    ) -> list[Prediction]:
        """Tells what was written.

        Args:
            tensors: None are left.
            contexts: `Written`, for each instance.
            parameters: `Parameters`.
        """
        return [written._asdict() for written in contexts]

    def _tokens(self, instance: Instance) -> list[int]:
        most = self._context * CHARACTERS_PER_TOKEN
        if isinstance(instance, dict):
            found = _converted(instance)
            if isinstance(found, Prompt):
                return self.vocabulary.encode(self._bounded(found.prompt, most), plain=True)
            if self._chat is None:
                raise InvalidError("expected a prompt, as this model has no chat template")
            self._bounded("".join(message.content for message in found.messages), most)
            return self._chat.tokens(found.messages)
        text = self._bounded(text_of(instance), most)
        if self._chat is None:
            return self.vocabulary.encode(text, plain=True)
        return self._chat.tokens([Message("user", text)])

    def _bounded(self, text: str, most: int) -> str:
        """Refuses what is not worth the time that its tokens would take."""
        if len(text) > most:
            raise self._too_long(f"{len(text)} characters")
        return text

    def _too_long(self, got: str) -> InvalidError:
        return InvalidError(
            f"expected a prompt of at most {self._context - 1} tokens, the context's but one,"
            f" got {got}"
        )


def create(
    artifact: Artifact,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Settings,
) -> TextGeneration:
    """Builds the task from an artifact; raises as `zeropoint.tasks.create` says."""
    name = artifact.manifest.name
    tables = read_tables(artifact.manifest, Tables)
    found = layout(tables.decoder, inputs, outputs, name)
    vocabulary = Vocabulary(_read(artifact, tables.text.tokenizer), name)
    chat = None
    if tables.text.chat_template:
        chat = Chat(_read(artifact, tables.text.chat_template), vocabulary, name)
    return TextGeneration(tables, found, vocabulary, chat, settings.max_writing_s)


def schema(artifact: Artifact) -> Schema:
    """Returns what a caller sends and gets."""
    tables = read_tables(artifact.manifest, Tables)
    count = {"type": "integer", "minimum": 1}
    prompt = _object(prompt=TEXT_SCHEMA)
    message = _object(role={"enum": ["system", "user", "assistant"]}, content=TEXT_SCHEMA)
    messages = _object(messages={"type": "array", "items": message, "minItems": 1})
    instances = [TEXT_SCHEMA, prompt, *([messages] if tables.text.chat_template else [])]
    prediction = _object(
        text=TEXT_SCHEMA,
        finish_reason={"enum": ["stop", "length", "deadline"]},
        prompt_tokens=count,
        completion_tokens=count,
    )
    return Schema({"anyOf": instances}, prediction, EXAMPLE, MEDIA_TYPES)


def _read(artifact: Artifact, file: File) -> str:
    try:
        return artifact.fetch(file).read_text("utf-8")
    except UnicodeDecodeError:
        place = f"{artifact.manifest.name}/{file.path}"
        raise ManifestError(f"{place}: expected a text in UTF-8") from None


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _converted(instance: dict[str, Any]) -> Conversation | Prompt:
    kind: type[Conversation | Prompt] = Prompt if "prompt" in instance else Conversation
    try:
        return msgspec.convert(instance, kind)
    except msgspec.ValidationError as error:
        raise InvalidError(
            "expected a text, an object with a prompt or one with messages, each with a role"
            f" (system, user, assistant) and a content: {_shape_of(error)}"
        ) from None


def _shape_of(error: Exception) -> str:
    """Returns where it is wrong, without what stands there."""
    found = _PLACE.search(str(error))
    return f"got another at {found[1] if found else 'its top'}"
