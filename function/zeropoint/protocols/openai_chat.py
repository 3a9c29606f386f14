"""``POST /v1/chat/completions``: a conversation, and what the model says next."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from zeropoint.errors import InvalidError
from zeropoint.model import Answer
from zeropoint.protocols import Body, Call, openai, strict_json
from zeropoint.protocols.description import Description, Offer, inline, object_of
from zeropoint.settings import Settings
from zeropoint.wsgi import Request

if TYPE_CHECKING:
    from zeropoint.stream import Stream

refuse = openai.refuse

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_UNSERVED: dict[str, tuple[Any, ...]] = {
    **openai.UNSERVED,
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "response_format": (None, {"type": "text"}),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "modalities": (None, [], ["text"]),
    "audio": (None,),
    "prediction": (None,),
    "web_search_options": (None,),
}
_EXAMPLE = "What is the capital of France? Answer in one sentence."


class Part(msgspec.Struct):
    """A part of a message."""

    type: str
    text: str | None = None


class Message(msgspec.Struct):
    """What somebody said."""

    role: str
    content: str | list[Part]


class Document(openai.Writing, kw_only=True):
    """The body of a request, as far as it is used."""

    messages: list[Message]
    max_completion_tokens: int | None = None


def decode(request: Request, settings: Settings) -> Call:
    """Reads a request; raises as `openai.read` says.

    Raises:
        InvalidError: no messages, or one of a role, or with a part of a type, that is not served.
    """
    document = openai.read(request, settings, Document, _UNSERVED)
    parameters = openai.parameters(document)
    if document.max_completion_tokens is not None:
        parameters["max_tokens"] = document.max_completion_tokens
    if not document.messages:
        raise InvalidError("messages: expected at least one, got none")
    instance = {"messages": [_message(one) for one in document.messages]}
    return Call([instance], parameters, model=document.model or "", context=openai.how(document))


def encode(answer: Answer, call: Call) -> Body:
    """Writes a whole text."""
    (told,) = answer.predictions
    message = {"role": "assistant", "content": told["text"], "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": openai.finish(told["finish_reason"]),
    }
    document = {
        **openai.head(answer.model, "chat.completion", "chatcmpl"),
        "choices": [choice],
        "usage": openai.usage(told["prompt_tokens"], told["completion_tokens"]),
    }
    return Body(strict_json.encode(document))


def events(stream: "Stream", call: Call) -> Iterator[bytes]:
    """Yields a text as it comes: whose it is, its pieces, why it ended, and what it took."""
    head = openai.head(stream.model, "chat.completion.chunk", "chatcmpl")
    told = {"usage": None} if call.context.usage else {}

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return openai.event({**head, "choices": [choice], **told})

    yield chunk({"role": "assistant", "content": ""})
    for piece in stream:
        yield chunk({"content": piece})
    yield chunk({}, openai.finish(stream.finish_reason))
    if told:
        usage = openai.usage(stream.prompt_tokens, stream.completion_tokens)
        yield openai.event({**head, "choices": [], "usage": usage})
    yield openai.DONE


def openapi(offer: Offer) -> Description:
    """Describes the three."""
    message = object_of(role={"const": "assistant"}, content={"type": "string"})
    choice = object_of(
        index={"const": 0}, message=message, finish_reason={"enum": ["stop", "length"]}
    )
    answer = object_of(**openai.HEAD, choices={"type": "array", "items": choice})
    answer["properties"]["usage"] = openai.USAGE
    messages = [{"role": "user", "content": _EXAMPLE}]
    examples = {
        model.name: {"value": {"model": model.name, "messages": messages, "max_tokens": 16}}
        for model in offer.all_models
        if model.task == openai.GENERATION
    }
    return openai.described(inline(Document), answer, examples, streams=True)


def _message(message: Message) -> dict[str, str]:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidError(f"messages: expected a role of {', '.join(_ROLES)}, got another")
    if isinstance(message.content, str):
        return {"role": role, "content": message.content}
    texts = [part.text for part in message.content if part.type == "text"]
    if len(texts) < len(message.content) or None in texts:
        raise InvalidError("messages: expected a text, or parts of the type text, got another")
    return {"role": role, "content": "\n".join(filter(None, texts))}
