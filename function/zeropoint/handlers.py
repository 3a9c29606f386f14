"""Who answers a route: one function each, of a request and what the process holds."""

from typing import Annotated

import msgspec

from zeropoint import responses
from zeropoint.errors import ModelNotFoundError, ModelUnavailableError
from zeropoint.manifest import ORIGINAL
from zeropoint.memory import PROVEN, State
from zeropoint.protocols import Body, Protocol, event_stream, native
from zeropoint.route import gives
from zeropoint.serving import Serving
from zeropoint.wsgi import Request, Response

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]


class Index(msgspec.Struct):
    """What the function is."""

    name: str
    version: str
    commit: str  # that the image was made from; empty where nobody told it
    routes: list[str]


class Alive(msgspec.Struct):
    """The process answers."""

    alive: bool


class Ready(msgspec.Struct):
    """The default model, which gave its known answer."""

    ready: bool
    model: str
    digest: _Digest


class Listed(msgspec.Struct):
    """A model of the repository."""

    name: str
    state: State


class Models(msgspec.Struct):
    """The repository's models."""

    models: list[Listed]


class Described(msgspec.Struct):
    """A model; its tensors are known where it is in memory."""

    name: str
    state: State
    version: str
    task: str
    license: str
    digest: _Digest
    variant: str | None  # which of its files is in memory
    variants: list[str]  # those that there are, the best first
    inputs: list[str] | None
    outputs: list[str] | None


def predict(serving: Serving, request: Request, protocol: Protocol, model: str = "") -> Response:
    """Answers instances with predictions, or tensors with tensors; in pieces, if that is asked."""
    call = protocol.decode(request, serving.settings)
    if protocol is native and event_stream.wanted(request):
        stream = serving.stream(call, model)
        events = event_stream.Events(stream, native.events, native.refuse)
        return responses.of_events(events, serving.headers(stream))
    answer = serving.answer(call, model)
    return responses.of_body(protocol.encode(answer, call), headers=serving.headers(answer))


@gives(Alive)
def alive(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Tells that the process answers; loads nothing."""
    return responses.of_json(Alive(True))


@gives(Ready, ModelUnavailableError)
def ready(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Tells whether the default model gave its known answer; begins its load, never waits."""
    state = serving.catalog.start()
    if state not in PROVEN:
        raise ModelUnavailableError(f"expected a default model that is ready, got one {state}")
    manifest = serving.catalog.artifact(serving.catalog.default_name()).manifest
    loaded = serving.catalog.loaded(manifest.name)
    digest = loaded.digest if loaded else f"sha256:{manifest.file.sha256}"
    return responses.of_json(Ready(True, manifest.name, digest))


@gives(Models, ModelUnavailableError)
def models(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Lists the repository's models; loads none."""
    names = serving.catalog.names()
    return responses.of_json(Models([Listed(name, serving.catalog.state(name)) for name in names]))


@gives(Described, ModelNotFoundError, ModelUnavailableError)
def describe(serving: Serving, request: Request, protocol: Protocol, model: str) -> Response:
    """Describes one model; loads nothing."""
    manifest = serving.catalog.artifact(model).manifest
    loaded = serving.catalog.loaded(model)
    return responses.of_json(
        Described(
            name=model,
            state=serving.catalog.state(model),
            version=manifest.version,
            task=manifest.task,
            license=manifest.license,
            digest=loaded.digest if loaded else f"sha256:{manifest.file.sha256}",
            variant=loaded.variant if loaded else None,
            variants=[*(one.name for one in manifest.variant), ORIGINAL],
            inputs=[str(spec) for spec in loaded.inputs] if loaded else None,
            outputs=[str(spec) for spec in loaded.outputs] if loaded else None,
        )
    )


@gives(str, media_type=_PROMETHEUS)
def metrics(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Tells the counts of this process in Prometheus' text format."""
    return responses.of_body(Body(serving.metrics.text(), _PROMETHEUS))
