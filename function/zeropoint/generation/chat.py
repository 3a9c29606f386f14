"""Messages to tokens, by the chat template that the model was trained with.

What a person wrote is text, whatever is in it: a special token's name in a message does not end
the message, as it would if the rendered template were read as one text.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from zeropoint.errors import InvalidError, ManifestError, SettingsError
from zeropoint.generation.vocabulary import Vocabulary

if TYPE_CHECKING:
    from jinja2 import Template

# Two private characters around a message's number stand for its content while it is rendered.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_PLACE = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


class Message(msgspec.Struct, frozen=True):
    """What one side said."""

    role: Literal["system", "user", "assistant"]
    content: str


class Chat:
    """Makes messages tokens.

    Args:
        template: The chat template, in Jinja.
        vocabulary: The model's.
        place: The model's name, for the error's message.

    Raises:
        ManifestError: the template cannot be read, or leaves out what a person says.
    """

    def __init__(self, template: str, vocabulary: Vocabulary, place: str) -> None:
        self._template = _compiled(template, place)
        self._vocabulary = vocabulary
        example = Message("user", "What is it?")
        if example.content not in self._rendered([example]):
            raise ManifestError(f"{place}: expected a chat template with the messages' content")

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """Returns the tokens of a conversation, to which the model's answer is to be added.

        Args:
            messages: At least one, the last one mostly the user's.

        Raises:
            InvalidError: no messages, or in an order that the template does not take.
        """
        if not messages:
            raise InvalidError("expected at least one message, got none")
        texts = [message.content for message in messages]
        if not self._vocabulary.holds_special(texts):
            return self._vocabulary.encode(self._rendered(messages))
        places = [
            Message(message.role, f"{_OPEN}{number}{_CLOSE}")
            for number, message in enumerate(messages)
        ]
        tokens: list[int] = []
        for number, part in enumerate(_PLACE.split(self._rendered(places))):
            is_content = number % 2 == 1
            text = texts[int(part)] if is_content else part
            tokens += self._vocabulary.encode(text, plain=is_content)
        return tokens

    def _rendered(self, messages: Sequence[Message]) -> str:
        from jinja2 import TemplateError

        told = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._template.render(messages=told, add_generation_prompt=True)
        except (TemplateError, TypeError):
            raise InvalidError(
                "expected messages in an order that the model's template takes, got another"
            ) from None


def _compiled(template: str, place: str) -> "Template":
    try:
        from jinja2 import StrictUndefined, TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise SettingsError(f"{place} needs Jinja: pip install 'zeropoint[text]'") from None
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.globals["raise_exception"] = _refuse  # which templates call
    try:
        return environment.from_string(template)
    except TemplateError as error:
        raise ManifestError(f"{place}: expected a chat template in Jinja: {error}") from None


def _refuse(reason: str) -> None:
    """Ends a rendering, as a template of Hugging Face does with messages that it does not take."""
    from jinja2 import TemplateError

    raise TemplateError(reason)
