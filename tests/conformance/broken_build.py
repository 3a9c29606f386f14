"""A build of the function into which a programmer put an error."""

import shutil
from pathlib import Path

from conformance.wire import MARK
from servers import ROOT

_ERROR = f"""

def _broken(self: Serving, call: Call, name: str = "") -> Answer:
    raise LookupError("{MARK} " + str(call))


Serving.answer = _broken
"""


def write_broken_build(folder: Path) -> Path:
    """Writes it, and returns the folder to run it from, which must be on ``PYTHONPATH``."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    function = shutil.copytree(ROOT / "function", folder / "function", ignore=ignore)
    with (function / "zeropoint" / "serving.py").open("a") as module:
        module.write(_ERROR)
    return function
