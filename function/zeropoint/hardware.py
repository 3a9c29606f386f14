"""What this processor can do, in the words of a variant's ``requires``."""

import platform
from pathlib import Path

# Linux's word for a feature: ours.
_WORDS = {
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx_vnni": "vnni",
    "avx512_vnni": "vnni",
    "amx_int8": "amx",
    "asimd": "neon",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
}
# Any of them multiplies and adds bytes without saturating on the way, as older ones do.
_INT8_DOT = {"vnni", "amx", "dotprod", "i8mm"}
WORDS = frozenset([*_WORDS.values(), "int8-dot"])


def features(root: Path = Path("/")) -> frozenset[str]:
    """Returns the features of the processor, of `WORDS`; none where the system does not tell.

    Args:
        root: Where ``proc`` is mounted.
    """
    found = {_WORDS[word] for word in _told(root) if word in _WORDS}
    if platform.system() == "Darwin" and platform.machine() == "arm64":  # every one of them
        found |= {"neon", "dotprod"}
    if found & _INT8_DOT:
        found.add("int8-dot")
    return frozenset(found)


def _told(root: Path) -> set[str]:
    """Returns Linux's words for the features that all processors have."""
    try:
        lines = (root / "proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return set()
    all_ = [set(line.split()) for line in lines if line.startswith(("flags", "Features"))]
    return set.intersection(*all_) if all_ else set()
