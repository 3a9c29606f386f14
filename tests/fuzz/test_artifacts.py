"""Model files are input like any other: damaged manifests and ONNX files are told as such."""

import importlib
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx
from hypothesis import given
from onnx import TensorProto, helper, numpy_helper

from fuzz.budget import tries
from fuzz.damage import check_words, damaged
from servers import ROOT
from tiny_models import colour_graph
from zeropoint import external_data, manifest, protobuf, tasks
from zeropoint.errors import ArtifactError, ManifestError

MANIFESTS = [path.read_bytes() for path in sorted((ROOT / "model_artifacts").glob("*/model.toml"))]
TOML = [
    *(b"[", b"]", b"[[", b"]]", b"=", b'"', b"'", b'"""', b"\n", b".", b",", b"{", b"}", b"#"),
    *(b"inf", b"-inf", b"nan", b"1e999", b"9" * 30, b"9" * 5000, b"-1", b"0", b"0x7f", b"true"),
    *(b"1979-05-27", b"07:32:00", b"[]", b"{}", b"[0.0, 0.0, 0.0]", b'""', b'"../x"', b'"/etc"'),
    *(b"name", b"version", b"task", b"license", b"path", b"sha256", b"file", b"check", b"variant"),
    *(b"\\u0000", b"\xff", b"\\ud800", b"a." * 2000, b"[" * 5000, b'"tensor"', b"max_batch = 0\n"),
]


def model(external: bool) -> bytes:
    """Returns a model with a weight in another file, or inside."""
    found = colour_graph(weights=True)
    weight = numpy_helper.from_array(numpy_helper.to_array(found.graph.initializer[0]), "constant")
    if external:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="/etc/passwd")
    found.graph.node.append(helper.make_node("Constant", [], ["constant"], value=weight))
    found.graph.doc_string = "location"  # so that the file is walked either way
    helper.set_model_props(found, {"key": "value"})
    data: bytes = found.SerializeToString()
    return data


MODELS = [model(False), model(True)]
PROTOBUF = [
    *(
        b"location",
        b"\x3a",
        b"\x2a",
        b"\x6a",
        b"\x0a",
        b"\x82\1",
        b"\xf2\1",
        b"\xff" * 9,
        b"\x80" * 11,
    ),
    *(b"\x0b", b"\x0c", b"\x0d", b"\x09", b"\xa2\1", b"\x72\0"),
]


@tries(200)
@given(damaged(MANIFESTS, TOML))
def test_a_damaged_manifest_is_read_or_refused_in_words(text: bytes) -> None:
    try:
        found = manifest.parse(text, "model.toml")
        if found.task in tasks.TASKS:
            manifest.read_tables(found, importlib.import_module(tasks.TASKS[found.task]).Tables)
    except ManifestError as error:
        check_words(error, most=20_000)
        return
    assert tomllib.loads(text.decode())["name"] == found.name


def outside(message: Any) -> bool:
    """Tells whether a message is a tensor with external data, or one below it is."""
    if isinstance(message, TensorProto) and message.external_data:
        return True
    return any(
        outside(inner)
        for field, value in message.ListFields()
        if field.message_type
        for inner in (value if isinstance(value, Iterable) else [value])
    )


@tries(300)
@given(damaged(MODELS, PROTOBUF))
def test_no_damage_hides_a_weight_in_another_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        told = protobuf.metadata(path)
        refused = False
        try:
            external_data.refuse(path)
        except ArtifactError as error:
            refused = True
            check_words(error, "model.onnx: expected ")
    assert all(isinstance(text, str) for pair in told.items() for text in pair)
    try:
        read = onnx.ModelProto.FromString(data)
    except Exception:  # protobuf's own, which has no types
        return
    assert refused or not outside(read)
