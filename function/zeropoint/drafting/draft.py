"""A draft of an artifact: its manifest's tables, what is said of them, and its small files."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from zeropoint.artifact import Artifact
from zeropoint.errors import ManifestError
from zeropoint.manifest import File

Tables = dict[str, Any]


class Asked(NamedTuple):
    """What the user gave beside the model."""

    labels: Path | None = None
    tokenizer: Path | None = None
    example: Path | None = None  # --input
    like: Artifact | None = None

    def like_table(self, key: str) -> Any:
        """Returns a table of the artifact that the new one is to be like, or None."""
        return self.like.manifest.tables.get(key) if self.like else None

    def like_output(self, task: str) -> Tables:
        """Returns the [output] of that artifact if it is of this task, else nothing."""
        found = self.like_table("output")
        same = self.like is not None and self.like.manifest.task == task
        return found if same and isinstance(found, dict) else {}


class Draft:
    """What will become a folder.

    Attributes:
        tables: Of the task.
        notes: What is said above a key.
        undecided: Likewise, of what the graph does not tell.
        files: By path below the folder.
        check: The path of the known answer's input, one of the files.
        made_up: Whether nobody gave that input.
    """

    def __init__(self) -> None:
        self.tables: Tables = {}
        self.notes: dict[str, str] = {}
        self.undecided: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.check = ""
        self.made_up = False

    def add_file(self, path: str, data: bytes) -> Tables:
        """Adds a file, and returns what the manifest says of it."""
        self.files[path] = data
        return {"path": path, "sha256": hashlib.sha256(data).hexdigest()}

    def take_output(self, taken: Tables, *keys: str) -> None:
        """Takes what another artifact's [output] decides."""
        for key in keys:
            if key in taken:
                self.tables["output"][key] = taken[key]
                self.undecided.pop(f"output.{key}", None)
                self.notes.pop(f"output.{key}", None)

    def add_example(self, path: str, data: bytes, given: Path | None) -> None:
        """Adds the known answer's input: what was given, else ``data``."""
        self.made_up = given is None
        self.check = path if given is None else path.rpartition(".")[0] + given.suffix.lower()
        self.files[self.check] = given.read_bytes() if given else data


def tokenizer(asked: Asked) -> tuple[bytes, dict[str, Any]]:
    """Returns a tokenizer's file, and the [text] table of the model that is to be like.

    Raises:
        ManifestError: there is none.
    """
    taken = asked.like_table("text")
    taken = taken if isinstance(taken, dict) else {}
    if asked.tokenizer:
        return read_text(asked.tokenizer).encode(), taken
    if asked.like and taken:
        return file_of(asked.like, taken.get("tokenizer")), taken
    raise ManifestError(
        "expected --tokenizer with the model's tokenizer.json, mostly in the folder that it was"
        " exported to, or --like with a model that has it"
    )


def file_of(artifact: Artifact, table: Any) -> bytes:
    """Returns the bytes of a file that another artifact's table names.

    Raises:
        ManifestError: the table names none.
    """
    try:
        file = File(table["path"], table["sha256"])
    except (TypeError, KeyError, ValueError):
        name = artifact.manifest.name
        raise ManifestError(f"{name}: expected a file with path and sha256, got none") from None
    return artifact.fetch(file).read_bytes()


def read_text(path: Path) -> str:
    """Returns a file's text.

    Raises:
        ManifestError: it is not UTF-8.
    """
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ManifestError(f"{path.name}: expected text in UTF-8, got other bytes") from None
