"""Who answers the routes below /v1, which take and give what OpenAI's API does."""

from typing import Literal

import msgspec

from zeropoint import responses
from zeropoint.errors import (
    ClientError,
    ModelNotFoundError,
    ModelUnavailableError,
    ZeropointError,
)
from zeropoint.protocols import Protocol, openai
from zeropoint.protocols.event_stream import Events
from zeropoint.route import gives
from zeropoint.serving import Serving
from zeropoint.wsgi import Request, Response

_TASKS = (openai.GENERATION, openai.EMBEDDING)


class Card(msgspec.Struct):
    """A model that these routes can ask. When it was made nobody knows."""

    id: str
    task: str  # not of OpenAI's
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "zeropoint"


class Cards(msgspec.Struct):
    """The models that these routes can ask."""

    data: list[Card]
    object: Literal["list"] = "list"


def chat(serving: Serving, request: Request, protocol: openai.WritingProtocol) -> Response:
    """Goes on with a conversation, whole or as it comes."""
    return _write(serving, request, protocol)


def complete(serving: Serving, request: Request, protocol: openai.WritingProtocol) -> Response:
    """Goes on with a text, whole or as it comes."""
    return _write(serving, request, protocol)


def embed(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Makes texts vectors."""
    call = protocol.decode(request, serving.settings)
    _refuse_another_task(serving, call.model, openai.EMBEDDING)
    answer = serving.answer(call)
    return responses.of_body(protocol.encode(answer, call), headers=serving.headers(answer))


@gives(Cards, ModelUnavailableError)
def models(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Lists the models that write texts or make them vectors; loads none."""
    cards = []
    for name in serving.catalog.names():
        try:
            cards.append(_card(serving, name))
        except ZeropointError:  # of another task; or one broken manifest, which hides no other
            continue
    return responses.of_json(Cards(cards))


@gives(Card, ModelNotFoundError, ModelUnavailableError)
def describe(serving: Serving, request: Request, protocol: Protocol, model: str) -> Response:
    """Describes one of them; loads nothing."""
    return responses.of_json(_card(serving, model))


def _write(serving: Serving, request: Request, protocol: openai.WritingProtocol) -> Response:
    call = protocol.decode(request, serving.settings)
    _refuse_another_task(serving, call.model, openai.GENERATION)
    if call.context.stream:
        stream = serving.stream(call)
        events = Events(stream, lambda text: protocol.events(text, call), protocol.refuse)
        return responses.of_events(events, serving.headers(stream))
    answer = serving.answer(call)
    return responses.of_body(protocol.encode(answer, call), headers=serving.headers(answer))


def _card(serving: Serving, name: str) -> Card:
    task = serving.catalog.artifact(name).manifest.task
    if task not in _TASKS:
        raise ModelNotFoundError("expected the name of a model listed here (GET /v1/models)")
    return Card(name, task)


def _refuse_another_task(serving: Serving, name: str, task: str) -> None:
    artifact = serving.catalog.artifact(name or serving.catalog.default_name())
    if artifact.manifest.task != task:
        raise ClientError(f"model: expected one of the task {task} (GET /v1/models), got another")
