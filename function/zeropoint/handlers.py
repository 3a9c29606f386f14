"""Who answers a route: one function each, of a request and what the process holds."""

from flask import Request, Response

from zeropoint import responses
from zeropoint.errors import ModelUnavailableError
from zeropoint.protocols import Body, Protocol
from zeropoint.serving import Serving

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def predict(serving: Serving, request: Request, protocol: Protocol, model: str = "") -> Response:
    """Answers instances with predictions, or tensors with tensors."""
    call = protocol.decode(request, serving.settings)
    answer = serving.answer(call, model)
    return responses.of_body(protocol.encode(answer, call), headers=serving.headers(answer))


def alive(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Tells that the process answers; loads nothing."""
    return responses.of_json({"alive": True})


def ready(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Tells whether the default model gave its known answer; begins its load, never waits."""
    state = serving.catalog.start()
    if state != "ready":
        raise ModelUnavailableError(f"expected a default model that is ready, got one {state}")
    model = serving.catalog.get("", 0.0)
    return responses.of_json({"ready": True, "model": model.manifest.name, "digest": model.digest})


def models(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Lists the repository's models; loads none."""
    names = serving.catalog.names()
    return responses.of_json(
        {"models": [{"name": n, "state": serving.catalog.state(n)} for n in names]}
    )


def describe(serving: Serving, request: Request, protocol: Protocol, model: str) -> Response:
    """Describes one model; loads nothing."""
    manifest = serving.catalog.artifact(model).manifest
    loaded = serving.catalog.loaded(model)
    return responses.of_json(
        {
            "name": model,
            "state": serving.catalog.state(model),
            "version": manifest.version,
            "task": manifest.task,
            "license": manifest.license,
            "digest": f"sha256:{manifest.file.sha256}",
            "inputs": [str(spec) for spec in loaded.inputs] if loaded else None,
            "outputs": [str(spec) for spec in loaded.outputs] if loaded else None,
        }
    )


def metrics(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Tells the counts of this process in Prometheus' text format."""
    return responses.of_body(
        Body(serving.metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
    )
