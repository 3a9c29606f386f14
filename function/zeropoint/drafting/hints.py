"""What a model tells beyond its inputs and outputs; most of it by the package onnx, if there."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from zeropoint import protobuf

if TYPE_CHECKING:
    import onnx

# They change a column, but not whose it is.
_PASS = {"Cast", "Identity", "Imputer", "Reshape", "StringNormalizer", "Flatten", "Squeeze"}
_PICK = {"Gather", "ArrayFeatureExtractor"}  # of several columns some
_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
_CATEGORIES = ("cats_strings", "cats_int64s", "keys_strings", "keys_int64s")
_KEYS = ("names", "labels", "classes", "class_names", "id2label")

Category = str | int


class Hints(NamedTuple):
    """What is known of a model; without the package, what its metadata tell.

    Attributes:
        read: Whether there was the package to read them.
        operators: The types of the nodes.
        labels: Of the classes, in the order of the scores.
        categories: Of inputs and of columns, by the input's name or ``name[column]``.
        metadata: As the exporter wrote them.
        foreign: Domains of operators that the model does not define itself.
    """

    read: bool = False
    operators: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()
    categories: Mapping[str, tuple[Category, ...]] = MappingProxyType({})
    metadata: Mapping[str, str] = MappingProxyType({})
    foreign: frozenset[str] = frozenset()


def read(path: Path) -> Hints:
    """Reads a model's hints; none of what is no ONNX file."""
    metadata = protobuf.metadata(path)
    named = Hints(labels=_named(metadata), metadata=metadata)
    try:
        import onnx
    except ImportError:
        return named
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # protobuf's own class, which is imported nowhere else
        return named
    nodes = model.graph.node
    own = {function.domain for function in model.functions}
    return Hints(
        read=True,
        operators=frozenset(node.op_type for node in nodes),
        labels=_class_labels(model) or named.labels,
        categories=dict(_categories(model)),
        metadata=metadata,
        foreign=frozenset(node.domain for node in nodes) - own,
    )


def _attributes(node: "onnx.NodeProto") -> dict[str, Any]:
    import onnx

    found = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    return {
        name: tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value)
        for name, value in found.items()
        if isinstance(value, list)
    }


def _class_labels(model: "onnx.ModelProto") -> tuple[str, ...]:
    """Returns the classes that the last classifier or ZipMap names, as converters write them."""
    for node in reversed(model.graph.node):
        attributes = _attributes(node)
        for name in _LABELS:
            if attributes.get(name):
                # A ZipMap's columns come in the order of its keys: see `zeropoint.session`.
                values = attributes[name]
                return tuple(map(str, sorted(values) if node.op_type == "ZipMap" else values))
    return ()


def _named(metadata: dict[str, str]) -> tuple[str, ...]:
    """Returns the classes that an exporter wrote into the metadata: a list, or a map by index."""
    for key in _KEYS:
        try:
            found = ast.literal_eval(metadata.get(key, ""))
            if isinstance(found, dict):
                found = [found[index] for index in sorted(found, key=int)]
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list | tuple) and len(found) > 1:
            return tuple(" ".join(str(one).split()) for one in found)
    return ()


def _categories(model: "onnx.ModelProto") -> Iterator[tuple[str, tuple[Category, ...]]]:
    """Yields the categories of columns that go to an encoder, by following them through."""
    from onnx import numpy_helper

    graph = model.graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    columns: dict[str, list[str]] = {}
    for given in graph.input:
        dims = given.type.tensor_type.shape.dim
        width = dims[1].dim_value if len(dims) == 2 else 0
        many = [f"{given.name}[{column}]" for column in range(width)]
        columns[given.name] = many if width > 1 else [given.name]
    for node in graph.node:
        held = [column for name in node.input for column in columns.get(name, [])]
        if node.op_type in _PICK and len(node.input) == 2 and node.input[1] in constants:
            picked = constants[node.input[1]].ravel().tolist()
            held = [held[place] for place in picked if -len(held) <= place < len(held)]
        elif node.op_type in ("OneHotEncoder", "LabelEncoder") and len(held) == 1:
            attributes = _attributes(node)
            for name in _CATEGORIES:
                if attributes.get(name):
                    yield held[0], attributes[name]
        if node.op_type in {*_PASS, *_PICK, "Concat"}:
            columns[node.output[0]] = held
