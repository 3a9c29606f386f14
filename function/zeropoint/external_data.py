"""Refuses ONNX files that name other files: their digest would prove only a part of the model.

An initializer with external data carries the key ``location``. A file without those letters has
none, which one fast search proves; otherwise its tensors are looked at.
"""

from pathlib import Path

from zeropoint.errors import ArtifactError
from zeropoint.protobuf import fields, messages, view

_EXTERNAL_DATA = 13  # TensorProto.external_data


def refuse(path: Path) -> None:
    """Refuses a model whose tensors lie in other files.

    Raises:
        ArtifactError: the model has external data, or is no ONNX file.
    """
    if path.stat().st_size == 0:
        raise ArtifactError(f"{path.name}: expected an ONNX model, got an empty file")
    with view(path) as data:
        if not data.has(b"location"):
            return
        try:
            external = any(
                field == _EXTERNAL_DATA
                for start, end in messages(data, "Tensor")
                for field, _, _ in fields(data, start, end)
            )
        except (IndexError, ValueError, RecursionError):
            raise ArtifactError(f"{path.name}: expected an ONNX model, got another file") from None
    if external:
        raise ArtifactError(
            f"{path.name}: expected one file with all weights inside, got external data;"
            " save the model again with its weights in it"
        )
