"""Zeropoint: serverless, scale-to-zero inference for ONNX models.

bytes → protocol → instances → prepare → tensors → execute → tensors → output →
predictions → protocol → bytes
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeropoint.api import load
    from zeropoint.errors import ZeropointError
    from zeropoint.model import Model

__version__ = "0.1.0"
__all__ = ["Model", "ZeropointError", "__version__", "load"]

_PLACES = {"load": "api", "Model": "model", "ZeropointError": "errors"}


def __getattr__(name: str) -> Any:
    """Imports what a program asks for; a server, whose cold start this is part of, asks not."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
