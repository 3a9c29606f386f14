"""Who answers the routes of the Open Inference Protocol (V2)."""

import time

import msgspec

from zeropoint import __version__, handlers, responses, tasks
from zeropoint.errors import ModelNotFoundError, ModelUnavailableError
from zeropoint.memory import PROVEN
from zeropoint.protocols import Protocol, open_inference, v2_tensors
from zeropoint.protocols.v2_tensors import TensorMetadata
from zeropoint.route import gives
from zeropoint.serving import Serving
from zeropoint.wsgi import Request, Response


class ServerLive(msgspec.Struct):
    """The process answers."""

    live: bool


class ServerMetadata(msgspec.Struct):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class ModelReady(msgspec.Struct):
    """A model, which gave its known answer."""

    name: str
    ready: bool


class TaskFace(msgspec.Struct):
    """A model as its task has it: instances in, predictions out."""

    task: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: list[str]  # what a caller may vary


class ModelMetadata(msgspec.Struct):
    """A model by its own tensors; `parameters`, not of the protocol, is its other face."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: TaskFace


@gives(ServerMetadata)
def server(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Describes the server."""
    return responses.of_json(ServerMetadata("zeropoint", __version__, ["binary_tensor_data"]))


@gives(ServerLive)
def live(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Tells that the process answers; loads nothing."""
    return responses.of_json(ServerLive(True))


@gives(ModelMetadata, ModelNotFoundError, ModelUnavailableError)
def describe(
    serving: Serving, request: Request, protocol: Protocol, model: str, version: str = ""
) -> Response:
    """Describes one model by its tensors, and by its task; loads it if nobody has."""
    _refuse_another_version(serving, model, version)
    manifest = serving.catalog.artifact(model).manifest
    with serving.catalog.use(model, time.monotonic() + serving.settings.timeout_s) as loaded:
        inputs = [v2_tensors.describe(spec) for spec in loaded.inputs]
        outputs = [v2_tensors.describe(spec) for spec in loaded.outputs]
    parameters = tasks.parameters(serving.catalog.artifact(model))
    face = TaskFace(
        manifest.task,
        [open_inference.INSTANCES],
        [open_inference.PREDICTIONS],
        list(parameters.__struct_fields__),
    )
    return responses.of_json(
        ModelMetadata(
            name=model,
            versions=[manifest.version],
            platform="onnx_onnxv1",
            inputs=inputs,
            outputs=outputs,
            parameters=face,
        )
    )


@gives(ModelReady, ModelNotFoundError, ModelUnavailableError)
def ready(
    serving: Serving, request: Request, protocol: Protocol, model: str, version: str = ""
) -> Response:
    """Tells whether a model gave its known answer; begins its load, never waits for it."""
    _refuse_another_version(serving, model, version)
    state = serving.catalog.start(model)
    if state not in PROVEN:
        raise ModelUnavailableError(f"expected a model that is ready, got one {state}")
    return responses.of_json(ModelReady(model, True))


def infer(
    serving: Serving, request: Request, protocol: Protocol, model: str, version: str = ""
) -> Response:
    """Answers tensors with tensors, or instances with predictions."""
    _refuse_another_version(serving, model, version)
    return handlers.predict(serving, request, protocol, model)


def _refuse_another_version(serving: Serving, model: str, version: str) -> None:
    if version and version != serving.catalog.artifact(model).manifest.version:
        raise ModelNotFoundError("expected the version of this model that is served, got another")
