"""Cut Alice's Adventures in Wonderland to passages, as samples for `zeropoint optimize`.

    python model_artifacts/recipes/alice.py --out FILE.jsonl

The book (Lewis Carroll, 1865) is in the public domain. Brotli's tests have it to compress it,
Project Gutenberg's Millennium Fulcrum edition 2.9.
"""

import argparse
import json
import sys
from pathlib import Path

from isolated import cache_folder
from sources import Source, SourceError, read

_FILE = "Brotli-1.1.0/tests/testdata/alice29.txt"
_SOURCE = Source(
    "pypi",
    "Brotli",
    "1.1.0",
    {_FILE: "7467306ee0feed4971260f3c87421154a05be571d944e9cb021a5713700c38f0"},
    "81de08ac11bcb85841e440c13611c00b67d3bf82698314928d0b676362546724",
    ("--no-binary=Brotli",),
)
_LEAST_CHARACTERS = 1200


def book(work: Path) -> str:
    """Returns the book.

    Args:
        work: The folder for downloads.

    Raises:
        SourceError: the package cannot be had, or it is not the pinned one.
    """
    return read(_SOURCE, work)[_FILE].decode("ascii").replace("\r\n", "\n").strip()


def passages(text: str) -> list[str]:
    """Returns a text in passages of whole paragraphs."""
    found, parts = [], list[str]()
    for paragraph in text.split("\n\n"):
        parts.append(paragraph)
        passage = "\n\n".join(parts).strip()
        if len(passage) >= _LEAST_CHARACTERS:
            found.append(passage)
            parts = []
    return found


def main() -> int:
    """Writes them where the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        found = passages(book(cache_folder() / "downloads"))
    except SourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    options.out.write_text("".join(json.dumps(text) + "\n" for text in found), "utf-8")
    print(f"{len(found)} passages in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
