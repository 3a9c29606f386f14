"""The Open Inference Protocol (V2) over HTTP, with its binary tensor data extension.

A model has two faces. Its own tensors: an input for each, and one forward pass. And its task's
instances: one input ``instances`` of BYTES, each element a file or text, and one output
``predictions`` of BYTES, each element a JSON document.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from zeropoint.errors import (
    BodyTooLargeError,
    ClientError,
    InvalidError,
    MalformedError,
    UnsupportedMediaError,
    ZeropointError,
)
from zeropoint.instances import Blob
from zeropoint.model import Answer
from zeropoint.protocols import Body, Call, read_body, strict_json, v2_tensors
from zeropoint.protocols.description import Description, Offer, inline, object_of
from zeropoint.settings import Settings
from zeropoint.tensors import Tensors
from zeropoint.wsgi import Request

# The task's face, as metadata gives tensors.
INSTANCES = v2_tensors.TensorMetadata("instances", v2_tensors.BYTES, [-1])
PREDICTIONS = v2_tensors.TensorMetadata("predictions", v2_tensors.BYTES, [-1])

_BINARY = "application/octet-stream"
_HEADER = "Inference-Header-Content-Length"
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_WHOLE = msgspec.Meta(ge=0)


class InputParameters(msgspec.Struct):
    """Of one input; others describe it for other servers, and are not read."""

    binary_data_size: Annotated[int, _WHOLE] | None = None


class Input(msgspec.Struct):
    """A tensor, its data here or after the JSON."""

    name: str
    datatype: str
    shape: list[Annotated[int, _WHOLE]]
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    parameters: InputParameters | None = None


class Output(msgspec.Struct):
    """An output that is wanted, and how."""

    name: str
    parameters: dict[str, Any] | None = None


class Document(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[Input]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Output] | None = None


class Wanted(NamedTuple):
    """What the answer must have: the request's id, and which outputs, how."""

    id: str | None
    binary: bool  # of outputs that `outputs` says nothing of
    outputs: Mapping[str, bool]  # name to binary; empty: all


def decode(request: Request, settings: Settings) -> Call:
    """Reads an inference request.

    Raises:
        UnsupportedMediaError: neither JSON nor bytes.
        MalformedError: the body is empty or cannot be parsed, or its parts do not fit together.
        BodyTooLargeError: the body is over ``ZEROPOINT_MAX_BODY_BYTES``, or the instances over
            ``ZEROPOINT_MAX_INSTANCES``.
        InvalidError: parameters beside raw tensors.
    """
    if request.media_type not in ("", _BINARY) and not strict_json.is_json(request.media_type):
        raise UnsupportedMediaError(
            f"expected the content type {strict_json.MEDIA_TYPE} or {_BINARY}, got another"
        )
    body = read_body(request, settings)
    length = _json_length(request.header(_HEADER), len(body))
    document = strict_json.decode(body[:length], Document)
    parameters = document.parameters or {}
    binary = _flag(parameters.pop("binary_data_output", False), "binary_data_output")
    wanted = Wanted(document.id, binary, _outputs(document.outputs or (), binary))
    if _has_instances(document.inputs) and document.inputs[0].shape[0] > settings.max_instances:
        raise BodyTooLargeError(f"expected at most {settings.max_instances} instances, got more")
    arrays = _arrays(document.inputs, memoryview(body)[length:], settings.max_body_bytes)
    if _has_instances(document.inputs):
        elements = arrays[INSTANCES.name].tolist()
        instances = [Blob(one) if isinstance(one, bytes) else one for one in elements]
        return Call(instances, parameters, context=wanted)
    if parameters:
        raise InvalidError(
            "parameters: expected none but binary_data_output beside a model's own tensors"
        )
    for name, array in arrays.items():
        if array.dtype.kind == "O":
            arrays[name] = v2_tensors.to_texts(array)
    return Call(tensors=arrays, context=wanted)


def encode(answer: Answer, call: Call) -> Body:
    """Writes the outputs that were wanted.

    Raises:
        MalformedError: the model has no such output.
    """
    wanted: Wanted = call.context
    tensors = {PREDICTIONS.name: _documents(answer)} if call.tensors is None else answer.tensors
    outputs = wanted.outputs or dict.fromkeys(tensors, wanted.binary)
    if not outputs.keys() <= tensors.keys():
        raise MalformedError(f"outputs: expected some of {', '.join(tensors)}, got another name")
    written = [v2_tensors.to_output(name, tensors[name], how) for name, how in outputs.items()]
    manifest = answer.model.manifest
    document: dict[str, Any] = {"model_name": manifest.name, "model_version": manifest.version}
    if wanted.id is not None:
        document["id"] = wanted.id
    text = strict_json.encode({**document, "outputs": [entry for entry, _ in written]})
    if not any(outputs.values()):
        return Body(text)
    data = b"".join([text, *(data for _, data in written)])
    return Body(data, _BINARY, {_HEADER: str(len(text))})


def refuse(error: ZeropointError) -> Body:
    """Writes a refusal in the protocol's shape."""
    return Body(strict_json.encode({"error": error.message}))


def openapi(offer: Offer) -> Description:
    """Describes the three, for any model: its metadata tells the tensors."""
    examples = {}
    for model in offer.models:
        if model.schema.media_types:  # else its instances may be no bytes or text
            entry = {"name": INSTANCES.name, "datatype": INSTANCES.datatype, "shape": [1]}
            data = [_element(model.schema.example)]
            examples[model.name] = {"value": {"inputs": [{**entry, "data": data}]}}
    text = {"type": "string"}
    answer = object_of(model_name=text, model_version=text, outputs={"type": "array"})
    answer["properties"]["id"] = text
    answer["properties"]["outputs"]["items"] = inline(v2_tensors.TensorMetadata)
    binary: dict[str, Any] = {_BINARY: {"schema": {}}}  # the same JSON, and bytes after it
    return Description(
        {strict_json.MEDIA_TYPE: {"schema": inline(Document), "examples": examples}, **binary},
        {strict_json.MEDIA_TYPE: {"schema": answer}, **binary},
        object_of(error=text),
    )


def _element(example: Any) -> str:
    """Returns an instance as an element of BYTES in JSON: base64, a text, or JSON as text."""
    if isinstance(example, dict) and example.keys() == {"b64"}:
        return str(example["b64"])
    return example if isinstance(example, str) else strict_json.encode(example).decode()


def _json_length(header: str, body_length: int) -> int:
    """Returns how many bytes of the body are JSON."""
    if not header:
        return body_length
    if not _LENGTH.fullmatch(header) or int(header) > body_length:
        raise MalformedError(f"{_HEADER}: expected a number of bytes that the body has")
    return int(header)


def _has_instances(inputs: Sequence[Input]) -> bool:
    """Tells whether the task is asked, and not the model itself."""
    (first, *others) = inputs or (Input("", "", []),)
    named = (first.name, first.datatype) == (INSTANCES.name, INSTANCES.datatype)
    return named and len(first.shape) == 1 and not others


def _outputs(outputs: Sequence[Output], binary: bool) -> dict[str, bool]:
    """Returns the names that are wanted, and which of them as bytes."""
    found: dict[str, bool] = {}
    for output in outputs:
        parameters = output.parameters or {}
        if parameters.keys() - {"binary_data"}:
            raise MalformedError("outputs: expected no other parameter than binary_data")
        if output.name in found:
            raise MalformedError("outputs: expected each name once")
        found[output.name] = _flag(parameters.get("binary_data", binary), "binary_data")
    return found


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise MalformedError(f"{name}: expected true or false, got another JSON type")
    return value


def _arrays(inputs: Sequence[Input], data: memoryview, max_elements: int) -> Tensors:
    """Returns the inputs' arrays; the binary ones follow each other in the data, and fill it."""
    arrays: Tensors = {}
    for number, input_ in enumerate(inputs, 1):
        if input_.name in arrays:
            raise MalformedError("inputs: expected each name once")
        size_bytes = input_.parameters.binary_data_size if input_.parameters else None
        try:
            v2_tensors.refuse_absurd(input_.datatype, input_.shape, max_elements)
            arrays[input_.name] = _array(input_, data, size_bytes)
        except ClientError as error:
            raise error.within(f"input {number} of {len(inputs)}") from None
        data = data[size_bytes or 0 :]
    if data:
        raise MalformedError(f"expected no bytes after the inputs' data, got {len(data)}")
    return arrays


def _array(input_: Input, data: memoryview, size_bytes: int | None) -> NDArray[Any]:
    if (size_bytes is None) == _is_absent(input_.data):
        raise MalformedError("expected either data or the parameter binary_data_size")
    if size_bytes is None:
        return v2_tensors.from_json(input_.data, input_.datatype, input_.shape)
    if size_bytes > len(data):
        raise MalformedError(f"expected {size_bytes} bytes of binary data, got {len(data)}")
    return v2_tensors.from_bytes(data[:size_bytes], input_.datatype, input_.shape)


def _is_absent(data: msgspec.Raw) -> bool:
    return len(memoryview(data)) < 5 and bytes(data) in (b"", b"null")


def _documents(answer: Answer) -> NDArray[Any]:
    """Returns the predictions as texts of JSON: object[n]."""
    documents = np.empty(len(answer.predictions), object)
    documents[:] = [strict_json.encode(one).decode() for one in answer.predictions]
    return documents
