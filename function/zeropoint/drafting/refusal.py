"""Says in one sentence why ONNX Runtime does not load a model, and what to do about it."""

import re
from pathlib import Path

from zeropoint.drafting import hints
from zeropoint.errors import ArtifactError

# Domains whose operators ONNX Runtime has; "" is ai.onnx.
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
_OPERATOR = r"(?:Error No Op registered for (\S+) with|Could not find an implementation for (\w+))"


def of(path: Path, error: ArtifactError) -> ArtifactError:
    """Returns the error in words for whoever brought the model.

    Args:
        path: The model.
        error: What the session said of it.
    """
    said = error.message
    if "Protobuf parsing failed" in said or "ModelProto does not have a graph" in said:
        return _told(path, "expected an ONNX model, got another file or a part of one")
    if found := re.search(
        r"Opset (\d+) is under development.*domain (\S+) is till opset (\d+)", said
    ):
        return _told(
            path,
            f"expected opset {found[3]} of {found[2]} or an older one, which this ONNX Runtime"
            f" knows, got {found[1]}: export with opset_version={found[3]}, or install a newer"
            " onnxruntime",
        )
    if found := re.search(r"Unsupported model IR version: (\d+), max.*?: (\d+)", said):
        return _told(
            path,
            f"expected IR version {found[2]} or an older one, got {found[1]}: export with an older"
            " onnx package, or install a newer onnxruntime",
        )
    if domains := _custom(path, said):
        return _told(
            path,
            "expected operators of ai.onnx, ai.onnx.ml and com.microsoft, got custom ones of"
            f" {domains}: export the model without them; libraries of custom operators are not"
            " loaded",
        )
    if found := re.search(_OPERATOR, said):
        return _told(
            path,
            f"this ONNX Runtime has no operator {found[1] or found[2]} as the model uses it:"
            " export with another opset_version, or without that operator",
        )
    if found := re.search(r"load it: (.*): expected a tensor of a NumPy type, got (.+)", said):
        return _told(
            path,
            f"expected inputs and outputs that are tensors, got {found[2]} for {found[1]}:"
            f" {_advice(found[2])}",
        )
    # Its own words, without its number and the folder that it read from.
    return ArtifactError(
        re.sub(r"\[ONNXRuntimeError\] : .*? : .*? : (Load .*? failed:)?", "", said)
    )


def _custom(path: Path, said: str) -> str:
    foreign = hints.read(path).foreign - _DOMAINS
    if not foreign and (found := re.search(r"Fatal error: ([^:\s]+):\w+\(", said)):
        foreign = frozenset([found[1]]) - _DOMAINS
    if not foreign and (found := re.search(r"No opset import for domain '([^']+)'", said)):
        foreign = frozenset([found[1]]) - _DOMAINS
    return ", ".join(sorted(foreign))


def _advice(type_: str) -> str:
    if type_.startswith("tensor("):
        return "export it with float32 or float16"
    return "export the tensors themselves (skl2onnx: options={'zipmap': False})"


def _told(path: Path, problem: str) -> ArtifactError:
    return ArtifactError(f"{path.name}: {problem}")
