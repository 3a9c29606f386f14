"""model.toml: what is read, what is refused, and whether the refusal can be understood."""

import contextlib
import re
import tomllib
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies

from servers import ROOT
from zeropoint import manifest
from zeropoint.errors import ManifestError
from zeropoint.manifest import File
from zeropoint.tasks.image_classification import Tables

PLACE = "efficientnet-lite0/model.toml"
BUNDLED = (ROOT / "model_artifacts" / PLACE).read_bytes()
DIGEST = "0123456789abcdef" * 4
COMMON = ("name", "version", "task", "license", "file", "check")
REQUIRED = (
    *COMMON,
    *("file.path", "file.sha256", "check.input", "check.sha256", "check.expect"),
    *("image", "image.resize", "image.resize.kernel", "image.mean", "image.std"),
    *("labels", "labels.path", "labels.sha256", "output", "output.activation"),
)
TABLES = ("file", "check", "image", "image.resize", "labels", "output")
BAD_PATHS = ("../x", "/etc/passwd", "a/../../b", "", "a\\b", ".", "..", "./", "//x", "a/..", "a\0b")


def toml(value: Any) -> str:
    """Writes what a test needs of TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


def changed(key: str, value: Any = None) -> bytes:
    """Returns the bundled model.toml with the key set, or without it."""
    tables = tomllib.loads(BUNDLED.decode())
    *above, last = key.split(".")
    table = tables
    for name in above:
        table = table[name]
    table.pop(last, None)
    if value is not None:
        table[last] = value
    return "\n".join(f"{quoted(name)} = {toml(found)}" for name, found in tables.items()).encode()


def read(text: bytes) -> tuple[manifest.Manifest, Tables]:
    found = manifest.parse(text, PLACE)
    return found, manifest.read_tables(found, Tables)


def refusal(text: bytes) -> str:
    with pytest.raises(ManifestError) as told:
        read(text)
    assert told.value.message.startswith(f"{PLACE}: ")
    said = told.value.message.removeprefix(f"{PLACE}: ")
    # Words of Python and of msgspec's that a reader of model.toml need not know.
    assert not re.search(
        r"\$|Object|field|`(str|int|float|bool|object|array|null)|regex|\[\.", said
    )
    return said


def test_the_bundled_manifest_is_read() -> None:
    found, tables = read(BUNDLED)
    assert (found.name, found.version, found.task) == (
        "efficientnet-lite0",
        "1",
        "image-classification",
    )
    assert (found.license, found.file.path, found.max_batch) == ("Apache-2.0", "model.onnx", 1)
    assert found.check.file == File("check/cat.jpg", found.check.sha256)
    assert found.check.expect == {"label": "tiger cat", "probability": 0.38, "tolerance": 0.05}
    assert set(found.tables) == {"image", "labels", "output"}
    assert (tables.image.crop, tables.image.mean) == ((224, 224), (127.0, 127.0, 127.0))
    assert (tables.labels.path, tables.output.top_k) == ("labels.txt", 5)
    assert read(changed("none")) == (found, tables)


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named(key: str) -> None:
    assert refusal(changed(key)) == f"the key `{key}` is missing"


@pytest.mark.parametrize("key", ["image.crop", "image.layout", "output.top_k", "max_batch"])
def test_a_key_with_a_default_may_be_missing(key: str) -> None:
    read(changed(key))


@pytest.mark.parametrize("key", ["foo", "tables", *(f"{table}.foo" for table in TABLES)])
@pytest.mark.parametrize("value", [1, {"a": 1}])
def test_an_unknown_key_is_named(key: str, value: object) -> None:
    assert refusal(changed(key, value)) == f"the key `{key}` is unknown"


def test_a_table_of_another_task_is_refused_by_the_task_only() -> None:
    found = manifest.parse(changed("detection", {"boxes": "xyxy"}), PLACE)
    assert found.tables["detection"] == {"boxes": "xyxy"}


@pytest.mark.parametrize("path", BAD_PATHS)
@pytest.mark.parametrize(
    ("key", "named"), [("file.path", "file"), ("labels.path", "labels"), ("check.input", "check")]
)
def test_a_path_out_of_the_folder_is_refused(key: str, named: str, path: str) -> None:
    said = f"`{named}`: expected a path below the model's folder, got {path!r}"
    assert refusal(changed(key, path)) == said


@pytest.mark.parametrize("path", ["x", "a/b/c", "./x", "...", "a..b", "a/.b", " ", "a b", "ü"])
def test_a_path_below_the_folder_is_taken(path: str) -> None:
    assert read(changed("file.path", path))[0].file.path == path


@settings(max_examples=100, deadline=None, database=None)
@given(strategies.lists(strategies.sampled_from(["..", ".", "", "a", "\\", "b"])).map("/".join))
def test_a_path_that_is_taken_stays_below_the_folder(path: str) -> None:
    with contextlib.suppress(ValueError):
        below = File(path, DIGEST).path
        assert re.fullmatch(r"/srv/m/.+", str((ROOT.__class__("/srv/m") / below).resolve()))


@pytest.mark.parametrize("key", ["file.sha256", "labels.sha256", "check.sha256"])
@pytest.mark.parametrize(
    "digest", ["", DIGEST[1:], DIGEST + "0", DIGEST.upper(), DIGEST + "\n", "g" + DIGEST[1:]]
)
def test_a_digest_is_64_hexadecimal_digits(key: str, digest: str) -> None:
    assert refusal(changed(key, digest)) == f"`{key}`: expected 64 digits of 0-9a-f"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "A", "-a", "_a", ".a", "a b", "a\n", "ä", "a" * 64]
)
def test_a_bad_name_is_refused(name: str) -> None:
    assert refusal(changed("name", name)) == (
        "`name`: expected at most 63 characters of a-z0-9._- that begin with one of a-z0-9"
    )


@pytest.mark.parametrize("name", ["a", "0", "a.b_c-d", "a" * 63, "efficientnet-lite0"])
def test_a_good_name_is_taken(name: str) -> None:
    assert manifest.parse(changed("name", name), PLACE).name == name


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("version", 1, "`version`: expected a string, got an integer"),
        ("version", "", "`version`: expected a string of length >= 1"),
        ("file", [], "`file`: expected a table, got an array"),
        ("max_batch", 0, "`max_batch`: expected an integer >= 1"),
        ("max_batch", 4097, "`max_batch`: expected an integer <= 4096"),
        ("max_batch", True, "`max_batch`: expected an integer, got true or false"),
        ("image.crop", 1, "`image.crop`: expected an array, got an integer"),
        ("image.crop", [224], "`image.crop`: expected an array of length 2, got 1"),
        ("image.mean", [1, 2, "3"], "`image.mean[2]`: expected a number, got a string"),
        ("image.crop", {}, "`image.crop`: expected an array, got a table"),
        ("image.layout", "CHW", "`image.layout`: expected one of its words, got 'CHW'"),
        ("output.top_k", 0, "`output.top_k`: expected an integer >= 1"),
        ("check.expect", {}, "`check`: expected a key of the prediction in `expect`, got none"),
        (
            "check.expect",
            {"tolerance": 0.1},
            "`check`: expected a key of the prediction in `expect`, got none",
        ),
        ("check.expect.tolerance", "0.1", "`check`: expected `expect.tolerance` of 0 or more,"),
        ("check.expect.tolerance", -0.1, "`check`: expected `expect.tolerance` of 0 or more,"),
        ("check.expect.tolerance", "nan", "`check`: expected `expect.tolerance` of 0 or more,"),
        ("check.expect", [1], "`check.expect`: expected a table, got an array"),
    ],
)
def test_a_wrong_value_is_told_in_words(key: str, value: object, said: str) -> None:
    assert refusal(changed(key, value)).startswith(said)


def test_a_tolerance_that_proves_nothing_is_refused() -> None:
    text = BUNDLED.replace(b"tolerance = 0.05", b"tolerance = inf")
    assert refusal(text) == "`check`: expected `expect.tolerance` of 0 or more, got inf"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "the key `name` is missing"),
        (b"name", "expected TOML in UTF-8: Expected '=' after a key"),
        (b"name = 1\nname = 2", "expected TOML in UTF-8: Cannot overwrite a value"),
        (b"name = '\xff'", "expected TOML in UTF-8: 'utf-8' codec can't decode byte 0xff"),
        (b"\xef\xbb\xbf" + BUNDLED, "expected TOML in UTF-8: Invalid statement (at line 1"),
        (BUNDLED.decode().encode("utf-16"), "expected TOML in UTF-8: "),
        (b"a = " + b"[" * 9999, "expected TOML in UTF-8: nested too deep"),
        (b"a = " + b"{a = " * 9999, "expected TOML in UTF-8: nested too deep"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_toml_is_told(text: bytes, said: str) -> None:
    assert refusal(text).startswith(said)


@pytest.mark.parametrize("key", ["foo", "file", "check", "image"])
def test_tables_nested_without_end_are_refused(key: str) -> None:
    assert key in refusal(f"{key}.{'.'.join('a' * 3000)} = 1\n".encode() + changed(key))


@settings(max_examples=100, deadline=None, database=None)
@given(strategies.one_of(strategies.binary(), strategies.text().map(str.encode)))
@example(b"[check]\nexpect = 1e999")
def test_any_bytes_are_a_manifest_or_refused(text: bytes) -> None:
    with contextlib.suppress(ManifestError):
        read(text)


VALUES = strategies.recursive(
    strategies.one_of(
        strategies.booleans(), strategies.integers(), strategies.floats(), strategies.text()
    ),
    lambda values: strategies.lists(values) | strategies.dictionaries(strategies.text(), values),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, database=None)
@given(strategies.sampled_from([*REQUIRED, "image.crop", "max_batch", "tables"]), VALUES)
def test_any_value_of_a_key_is_taken_or_refused_by_its_name(key: str, value: object) -> None:
    try:
        read(changed(key, value))
    except ManifestError as error:
        named = key.split(".")[0]
        assert f"`{named}" in error.message  # noqa: PT017
