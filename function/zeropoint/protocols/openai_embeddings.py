"""``POST /v1/embeddings``: a text, or several, and the vector of each."""

import binascii
from typing import Any, Literal

import msgspec
import numpy as np

from zeropoint.errors import InvalidError
from zeropoint.model import Answer
from zeropoint.protocols import Body, Call, openai, refuse_many, strict_json
from zeropoint.protocols.description import Description, Offer, any_of, inline, object_of
from zeropoint.settings import Settings
from zeropoint.wsgi import Request

refuse = openai.refuse

_UNSERVED: dict[str, tuple[Any, ...]] = {"dimensions": (None,)}


class Document(msgspec.Struct, kw_only=True):
    """The body of a request, as far as it is used."""

    input: str | list[str]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None


def decode(request: Request, settings: Settings) -> Call:
    """Reads a request; raises as `openai.read` says.

    Raises:
        BodyTooLargeError: more texts than ``ZEROPOINT_MAX_INSTANCES``.
        InvalidError: none.
    """
    document = openai.read(request, settings, Document, _UNSERVED)
    texts = [document.input] if isinstance(document.input, str) else document.input
    refuse_many(texts, settings)
    if not texts:
        raise InvalidError("input: expected a text or a list of texts, got an empty list")
    how = openai.How(base64=document.encoding_format == "base64")
    return Call(texts, model=document.model or "", context=how)


def encode(answer: Answer, call: Call) -> Body:
    """Writes the vectors in the order of their texts, as numbers or as base64 of float32."""
    data = []
    for index, told in enumerate(answer.predictions):
        vector = told["embedding"]
        if call.context.base64:
            packed = np.asarray(vector, "<f4").tobytes()
            vector = binascii.b2a_base64(packed, newline=False).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(told["tokens"] for told in answer.predictions)
    document = {
        "object": "list",
        "data": data,
        "model": answer.model.manifest.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Body(strict_json.encode(document))


def openapi(offer: Offer) -> Description:
    """Describes the three."""
    count = {"type": "integer", "minimum": 0}
    numbers = {"type": "array", "items": any_of([{"type": "number"}, {"type": "null"}])}
    text = {"type": "string", "contentEncoding": "base64"}
    vector = object_of(
        object={"const": "embedding"}, index=count, embedding=any_of([numbers, text])
    )
    answer = object_of(
        object={"const": "list"},
        data={"type": "array", "items": vector},
        model={"type": "string"},
        usage=object_of(prompt_tokens=count, total_tokens=count),
    )
    examples = {
        model.name: {"value": {"model": model.name, "input": model.schema.example}}
        for model in offer.all_models
        if model.task == openai.EMBEDDING
    }
    return openai.described(inline(Document), answer, examples, streams=False)
