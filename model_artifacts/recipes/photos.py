"""Gather the photos that packages hold, as samples for `zeropoint optimize`.

    python model_artifacts/recipes/photos.py --out DIR

They are read from pinned archives, each named by its package and its own name; none is committed,
as the rights of some are not clear. Foolbox's have their ImageNet class at the end of the name.
"""

import argparse
import io
import re
import sys
import warnings
from pathlib import Path

from PIL import Image

from isolated import cache_folder
from sources import Source, SourceError, archive, members

_WHEEL = (
    "--only-binary=:all:",
    *("--python-version=3.11", "--implementation=cp", "--abi=cp311"),
    "--platform=manylinux_2_28_x86_64",
)
_LEAST_SIDE = 32  # pixels, a CIFAR thumbnail's
# Each package, and which of its files are photos.
_PACKAGES = (
    (
        Source(
            "pypi",
            "foolbox",
            "3.3.4",
            {},
            "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
        ),
        r"foolbox/data/((?:imagenet|cifar)[^/]+\.(?:jpg|png))",
    ),
    (
        Source(
            "pypi",
            "scikit-image",
            "0.26.0",
            {},
            "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
            _WHEEL,
        ),
        r"skimage/data/([^/]+\.(?:png|jpg))",
    ),
    (
        Source(
            "pypi",
            "scikit-learn",
            "1.9.1",
            {},
            "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
            _WHEEL,
        ),
        r"sklearn/datasets/images/([^/]+\.jpg)",
    ),
    (
        Source(
            "pypi",
            "pillow",
            "13.0.0",
            {},
            "cdcd1ba258178f7356d74170c9a81ba4eab6a5d55748bc402a5a2a6fe6be3510",
            ("--no-binary=pillow",),
        ),
        # Without the many copies of a few, turned, cut and broken in their metadata.
        r"[^/]+/Tests/images/((?!hopper_|imageops|exif|\w*(?:invalid|broken|truncated))[^/]+\.jpg)",
    ),
)


def gather(work: Path, out: Path) -> int:
    """Writes the photos into a folder, those that are the same only once, and counts them.

    Raises:
        SourceError: a package cannot be had, or it is not the pinned one.
    """
    out.mkdir(parents=True, exist_ok=True)
    seen: set[bytes] = set()
    for source, pattern in _PACKAGES:
        for name, data in members(archive(source, work)):
            match = re.fullmatch(pattern, name)
            look = _look(data) if match else None
            if match and look and look not in seen:
                seen.add(look)
                (out / f"{source.name}-{match[1]}").write_bytes(data)
    return len(seen)


def _look(data: bytes) -> bytes | None:
    """Returns what is the same of a photo's copies in other formats; None if it is no photo."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            small = image.convert("RGB").resize((8, 8))
            return None if min(image.size) < _LEAST_SIDE else bytes(b >> 4 for b in small.tobytes())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # the hostile and broken ones of Pillow's own tests


def main() -> int:
    """Gathers them where the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        print(f"{gather(cache_folder() / 'downloads', options.out)} photos in {options.out}")
    except SourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
