"""Refuses ONNX files with operators of others' making: those are code that somebody has to bring.

ONNX Runtime finds an operator by its domain, and knows those of ONNX and its own. What a model
imports is told at its top, which is quick to read; only where a foreign domain is among that are
the nodes looked at, as exporters import more than they use. A function inside the model is made of
operators and is none itself.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from zeropoint.errors import ArtifactError
from zeropoint.protobuf import View, fields, messages, view

# "" is ai.onnx. The last one is what ONNX Runtime writes into graphs that it optimised.
KNOWN = frozenset(
    {
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.preview",
        "ai.onnx.preview.training",
        "ai.onnx.training",
        "com.microsoft",
        "com.microsoft.nchwc",
    }
)
_OPSET_IMPORT = 8  # ModelProto.opset_import
_FUNCTIONS = 25  # ModelProto.functions
_OPSET_DOMAIN = 1  # OperatorSetIdProto.domain
_NODE_TYPE, _NODE_DOMAIN = 4, 7  # NodeProto.op_type, NodeProto.domain
_FUNCTION_NAME, _FUNCTION_DOMAIN = 1, 10  # FunctionProto.name, FunctionProto.domain
_NAMED = 5  # domains in a message
_TOLD = 80  # characters of one of them


def refuse(path: Path, allowed: Collection[str] = ()) -> None:
    """Refuses a model with operators of a domain that is neither known nor allowed.

    Args:
        path: An .onnx file that is not empty.
        allowed: Domains beside `KNOWN`, whose operators this ONNX Runtime was built with.

    Raises:
        ArtifactError: the model has such operators, or is no ONNX file.
    """
    with view(path) as data:
        try:
            foreign = _foreign(data, KNOWN.union(allowed))
        except (IndexError, ValueError, RecursionError):
            raise ArtifactError(f"{path.name}: expected an ONNX model, got another file") from None
    if foreign:
        raise ArtifactError(
            f"{path.name}: expected operators of ai.onnx, ai.onnx.ml and com.microsoft, got custom"
            f" ones of {_told(foreign)}: export the model without them; libraries of custom"
            " operators are not loaded (ZEROPOINT_OPERATOR_DOMAINS allows a domain)"
        )


def _foreign(data: View, known: frozenset[str]) -> set[str]:
    """Returns the unknown domains of nodes that no function of the model stands behind."""
    imported: set[str] = set()
    functions = False
    for field, start, end in fields(data, 0, len(data)):
        functions |= field == _FUNCTIONS
        if field == _OPSET_IMPORT:
            imported.update(_texts(data, start, end, _OPSET_DOMAIN))
    if known.issuperset(imported) and not functions:
        return set()
    own = {
        (domain, name)
        for start, end in messages(data, "Function")
        for domain in _texts(data, start, end, _FUNCTION_DOMAIN)
        for name in _texts(data, start, end, _FUNCTION_NAME)
    }
    return {
        domain
        for start, end in messages(data, "Node")
        for domain in _texts(data, start, end, _NODE_DOMAIN)
        if domain not in known
        and not any((domain, name) in own for name in _texts(data, start, end, _NODE_TYPE))
    }


def _texts(data: View, start: int, end: int, wanted: int) -> Iterator[str]:
    for field, at, to in fields(data, start, end):
        if field == wanted:
            yield data[at:to].decode()  # UnicodeDecodeError is a ValueError


def _told(domains: set[str]) -> str:
    told = [name[:_TOLD] for name in sorted(domains)]
    return ", ".join(told[:_NAMED]) + (", …" if len(told) > _NAMED else "")
