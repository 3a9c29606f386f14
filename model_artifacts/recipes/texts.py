"""Gather texts of the e-mails in SpamAssassin's corpus, as samples for `zeropoint optimize`.

    python model_artifacts/recipes/texts.py --out FILE.jsonl

From as many e-mails, evenly over the corpus: the subjects of most, which are short, and the
beginnings of the bodies of the others.
"""

import argparse
import json
import sys
from pathlib import Path

import spam_assassin
from isolated import cache_folder
from sources import SourceError

_TEXTS = 300
_BODY_EACH = 3  # of so many e-mails, one gives its body
_CHARACTERS = 600


def gather(work: Path) -> list[str]:
    """Returns texts of e-mails that are no spam.

    Raises:
        SourceError: the package cannot be had, or it is not the pinned one.
    """
    mails = [one for one in spam_assassin.mails(work) if not one.spam and one.subject.strip()]
    chosen = mails[:: max(1, len(mails) // _TEXTS)][:_TEXTS]
    return [
        (one.subject if place % _BODY_EACH else one.body or one.subject).strip()[:_CHARACTERS]
        for place, one in enumerate(chosen)
    ]


def main() -> int:
    """Writes them where the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        texts = gather(cache_folder() / "downloads")
    except SourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    options.out.write_text("".join(json.dumps(text) + "\n" for text in texts), "utf-8")
    print(f"{len(texts)} texts in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
