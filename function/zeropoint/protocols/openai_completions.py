"""``POST /v1/completions``: a text, or several, each as the model goes on with it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from zeropoint.errors import InvalidError
from zeropoint.model import Answer
from zeropoint.protocols import Body, Call, openai, refuse_many, strict_json
from zeropoint.protocols.description import Description, Offer, inline, object_of
from zeropoint.settings import Settings
from zeropoint.wsgi import Request

if TYPE_CHECKING:
    from zeropoint.stream import Stream

refuse = openai.refuse

_UNSERVED: dict[str, tuple[Any, ...]] = {
    **openai.UNSERVED,
    "best_of": (None, 1),
    "echo": (None, False),
    "logprobs": (None,),  # 0 asks for the tokens' own
    "suffix": (None, ""),
}
_EXAMPLE = "The capital of France is"


class Document(openai.Writing, kw_only=True):
    """The body of a request, as far as it is used."""

    prompt: str | list[str]


def decode(request: Request, settings: Settings) -> Call:
    """Reads a request; raises as `openai.read` says.

    Raises:
        BodyTooLargeError: more prompts than ``ZEROPOINT_MAX_INSTANCES``.
        InvalidError: no prompts, or several of them streamed.
    """
    document = openai.read(request, settings, Document, _UNSERVED)
    prompts = [document.prompt] if isinstance(document.prompt, str) else document.prompt
    refuse_many(prompts, settings)
    how = openai.how(document)
    if not prompts or (how.stream and len(prompts) > 1):
        wanted = "one text" if how.stream else "a text or a list of texts"
        raise InvalidError(f"prompt: expected {wanted}, got a list of {len(prompts)}")
    instances = [{"prompt": prompt} for prompt in prompts]
    return Call(instances, openai.parameters(document), model=document.model or "", context=how)


def encode(answer: Answer, call: Call) -> Body:
    """Writes whole texts, in the order of their prompts."""
    told = answer.predictions
    document = {
        **openai.head(answer.model, "text_completion", "cmpl"),
        "choices": [_choice(one["text"], one["finish_reason"], at) for at, one in enumerate(told)],
        "usage": openai.usage(
            sum(one["prompt_tokens"] for one in told),
            sum(one["completion_tokens"] for one in told),
        ),
    }
    return Body(strict_json.encode(document))


def events(stream: "Stream", call: Call) -> Iterator[bytes]:
    """Yields a text as it comes: its pieces, why it ended, and what it took."""
    head = openai.head(stream.model, "text_completion", "cmpl")
    told = {"usage": None} if call.context.usage else {}
    for piece in stream:
        yield openai.event({**head, "choices": [_choice(piece)], **told})
    ended = _choice("", stream.finish_reason or "length")
    yield openai.event({**head, "choices": [ended], **told})
    if told:
        usage = openai.usage(stream.prompt_tokens, stream.completion_tokens)
        yield openai.event({**head, "choices": [], "usage": usage})
    yield openai.DONE


def openapi(offer: Offer) -> Description:
    """Describes the three."""
    choice = object_of(
        index={"type": "integer", "minimum": 0},
        text={"type": "string"},
        finish_reason={"enum": ["stop", "length"]},
    )
    answer = object_of(**openai.HEAD, choices={"type": "array", "items": choice})
    answer["properties"]["usage"] = openai.USAGE
    examples = {
        model.name: {"value": {"model": model.name, "prompt": _EXAMPLE, "max_tokens": 16}}
        for model in offer.all_models
        if model.task == openai.GENERATION
    }
    return openai.described(inline(Document), answer, examples, streams=True)


def _choice(text: str, reason: str = "", index: int = 0) -> dict[str, Any]:
    finish = openai.finish(reason) if reason else None
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
