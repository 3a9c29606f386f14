"""Refuses ONNX files that name other files: their digest would prove only a part of the model.

An initializer with external data carries the key ``location``. A file without those letters has
none, which one fast search proves; otherwise the protobuf is walked and its tensors are read.
The message layout is that of onnx.proto (ONNX 1.x).
"""

import mmap
from pathlib import Path

from zeropoint.errors import ArtifactError
from zeropoint.protobuf import fields

_EXTERNAL_DATA = 13  # TensorProto.external_data
# Message: the fields of it that lead to tensors, and the message each of them is.
_LEADS = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
}


def refuse(path: Path) -> None:
    """Refuses a model whose tensors lie in other files.

    Raises:
        ArtifactError: the model has external data, or is no ONNX file.
    """
    if path.stat().st_size == 0:
        raise ArtifactError(f"{path.name}: expected an ONNX model, got an empty file")
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        if data.find(b"location") < 0:
            return
        try:
            external = _external(data, "Model", 0, len(data))
        except (IndexError, ValueError, RecursionError):
            raise ArtifactError(f"{path.name}: expected an ONNX model, got another file") from None
    if external:
        raise ArtifactError(
            f"{path.name}: expected one file with all weights inside, got external data;"
            " save the model again with its weights in it"
        )


def _external(data: mmap.mmap, message: str, start: int, end: int) -> bool:
    """Tells whether a message, or one below it, is a tensor with external data."""
    if message == "Tensor":
        return any(field == _EXTERNAL_DATA for field, _, _ in fields(data, start, end))
    leads = _LEADS[message]
    return any(
        _external(data, leads[field], at, to)
        for field, at, to in fields(data, start, end)
        if field in leads
    )
