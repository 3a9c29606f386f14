"""model.toml: what a model is, which files it has, and the known answer that proves it.

The keys that every model has are read here. The other tables are the task's: they wait in
``tables`` until the task reads them with `read_tables`. Unknown keys are refused either way.
"""

import math
import re
import tomllib
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from zeropoint.errors import ManifestError
from zeropoint.hardware import WORDS

FILENAME = "model.toml"
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}\Z"
ORIGINAL = "original"  # what [file] is called beside its variants
PROVIDER = "ExecutionProvider"
_SHA256_PATTERN = r"^[0-9a-f]{64}\Z"
_WORDS = {  # what msgspec says: what TOML says
    "array": "an array",
    "bool": "true or false",
    "date": "a date",
    "datetime": "a date and time",
    "float": "a number",
    "int": "an integer",
    "object": "a table",
    "str": "a string",
    "time": "a time",
}
_TYPES = "|".join((*_WORDS, "null"))
_Tables = TypeVar("_Tables", bound=msgspec.Struct)


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the artifact: its path below the folder and its sha256 in hexadecimal."""

    path: str
    sha256: Annotated[str, Meta(pattern=_SHA256_PATTERN)]

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        outside = not parts or ".." in parts or self.path.startswith("/")
        if outside or "\\" in self.path or "\0" in self.path:
            raise ValueError(f"expected a path below the model's folder, got {self.path!r}")


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The known answer: for the input file, each key of ``expect`` stands in the prediction.

    Numbers may differ by ``expect.tolerance``.
    """

    input: str
    sha256: Annotated[str, Meta(pattern=_SHA256_PATTERN)]
    expect: dict[str, Any]

    def __post_init__(self) -> None:
        _ = self.file  # refuses an input that lies elsewhere
        tolerance = self.expect.get("tolerance", 0.0)
        if not (isinstance(tolerance, int | float) and 0.0 <= tolerance < math.inf):
            raise ValueError(f"expected `expect.tolerance` of 0 or more, got {tolerance!r}")
        if not self.expect.keys() - {"tolerance"}:
            raise ValueError("expected a key of the prediction in `expect`, got none")

    @property
    def file(self) -> File:
        """The input as a file of the artifact."""
        return File(self.input, self.sha256)


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same model in another file, quicker or smaller, for machines that can run it right."""

    name: Annotated[str, Meta(pattern=NAME_PATTERN)]
    file: File
    requires: tuple[str, ...] = ()  # words of `zeropoint.hardware`, or execution providers
    threads: Annotated[int, Meta(ge=0, le=256)] = 0  # most of a pass; 0: the manifest's
    max_batch: Annotated[int, Meta(ge=0, le=4096)] = 0  # most rows of a pass; 0: the manifest's
    alone: bool = False  # rows go one by one: what else is in a pass would change their answers

    def __post_init__(self) -> None:
        unknown = {word for word in self.requires if not word.endswith(PROVIDER)} - WORDS
        if unknown:
            raise ValueError(
                f"expected `requires` of {', '.join(sorted(WORDS))} or names that end in"
                f" {PROVIDER}, got {', '.join(sorted(unknown))}"
            )
        if self.name == ORIGINAL:
            raise ValueError(f"expected another name than {ORIGINAL!r}, which [file] has")


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much worse than the original a variant may be, and why so much."""

    metric: str
    max_drop: Annotated[float, Meta(ge=0.0, le=100.0)]  # points of a hundred
    reason: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that every model has, and the tables of its task, unread."""

    name: Annotated[str, Meta(pattern=NAME_PATTERN)]
    version: Annotated[str, Meta(min_length=1, max_length=64)]
    task: str
    license: str
    file: File
    check: Check
    max_batch: Annotated[int, Meta(ge=1, le=4096)] = 1
    threads: Annotated[int, Meta(ge=0, le=256)] = 0  # most of a pass; 0: one for each processor
    variant: tuple[Variant, ...] = ()  # the best first; [file] is the last resort
    gate: Gate | None = None
    tables: dict[str, Any] = {}


def parse(text: bytes, place: str) -> Manifest:
    """Reads a model.toml.

    Args:
        text: The file's bytes.
        place: Where it came from, for the error's message.

    Raises:
        ManifestError: not TOML, a key is missing, or a value is not what it must be.
    """
    try:
        tables = tomllib.loads(text.decode("utf-8"))
    except ValueError as error:  # also what UnicodeDecodeError and TOMLDecodeError are
        raise ManifestError(f"{place}: expected TOML in UTF-8: {error}") from None
    except RecursionError:
        raise ManifestError(f"{place}: expected TOML in UTF-8: nested too deep") from None
    names = {field.name for field in msgspec.structs.fields(Manifest)} - {"tables"}
    common = {key: tables.pop(key) for key in names & tables.keys()}
    return _convert({**common, "tables": tables}, Manifest, place)


def read_tables(manifest: Manifest, type_: type[_Tables]) -> _Tables:
    """Reads the task's own tables into ``type_``, a struct that forbids unknown fields.

    Raises:
        ManifestError: a table or key is missing or unknown, or a value is not what it must be.
    """
    return _convert(manifest.tables, type_, f"{manifest.name}/{FILENAME}")


def _convert(tables: dict[str, Any], type_: type[_Tables], place: str) -> _Tables:
    try:
        return msgspec.convert(tables, type_)
    except msgspec.ValidationError as error:
        raise ManifestError(f"{place}: {_in_words(str(error))}") from None
    except RecursionError:
        raise ManifestError(f"{place}: expected tables that are not nested so deep") from None


def _in_words(error: str) -> str:
    """Says in TOML's words, and with the whole key, what msgspec says of its own types."""
    said, _, path = error.partition(" - at `$")
    path = path.lstrip(".").rstrip("`").replace("[...]", "")
    if found := re.fullmatch("(?s)Object (missing|contains)[a-z ]+ `(.*)`", said):
        key = f"{path}.{found[2]}" if path else found[2]
        return f"the key `{key}` is {'missing' if found[1] == 'missing' else 'unknown'}"
    said = said.replace("Invalid enum value", "expected one of its words, got")
    said = said.replace(f"`str` matching regex {_SHA256_PATTERN!r}", "64 digits of 0-9a-f")
    said = said.replace(
        f"`str` matching regex {NAME_PATTERN!r}",
        "at most 63 characters of a-z0-9._- that begin with one of a-z0-9",
    )
    said = re.sub(rf"`((?:{_TYPES}| \| )+)`", lambda found: _types(found[1]), said)
    return f"`{path}`: {said[:1].lower()}{said[1:]}"


def _types(types: str) -> str:
    """Says `array | null`, where TOML has no null, as an array."""
    return " or ".join(_WORDS[one] for one in types.split(" | ") if one != "null")
