"""Drafts [[features]]: the columns of a table, by the graph, a row that was given, or a number."""

import json
from typing import Any

import msgspec

from zeropoint.drafting.draft import Asked, Draft, Tables
from zeropoint.drafting.graph import Graph
from zeropoint.errors import ClientError, ManifestError
from zeropoint.events import payload
from zeropoint.instances import Blob
from zeropoint.tensors import TensorSpec

TYPES = {"f": "number", "i": "integer", "u": "integer", "b": "boolean", "O": "category"}
_NAMES = "names and types of the columns, in the order of training."
_BOUNDS = (
    "minimum and maximum of numbers, default of what may be missing (else it is refused),"
    " type category or boolean where a number stands for one, description."
)


def draft(graph: Graph, asked: Asked) -> Draft:
    """Drafts the columns and a row of them.

    Raises:
        ManifestError: the graph does not tell how many columns there are, or which texts it takes;
            or the given row is none of its columns.
    """
    drafted = Draft()
    given = _given(asked)
    names, specs = _columns(graph, given, asked, drafted)
    taken = asked.like_table("features")
    if asked.like and isinstance(taken, list) and len(taken) == len(names):
        drafted.tables["features"] = taken
        drafted.notes["features"] = f"As {asked.like.manifest.name} has them."
        drafted.undecided.pop("features", None)
    else:
        row = given if isinstance(given, dict) else dict(zip(names, given or [], strict=False))
        features = [
            _feature(graph, place, name, spec, row.get(name), drafted)
            for place, (name, spec) in enumerate(zip(names, specs, strict=True))
        ]
        drafted.tables["features"] = features
        drafted.undecided["features"] = f"{drafted.undecided.get('features', '')} {_BOUNDS}".strip()
    example = {one["name"]: _neutral(one) for one in drafted.tables["features"]}
    told = example if given is None else given
    drafted.add_example("check/row.json", (json.dumps(told) + "\n").encode(), None)
    drafted.made_up = given is None
    return drafted


def _columns(
    graph: Graph, given: Any, asked: Asked, drafted: Draft
) -> tuple[list[str], list[TensorSpec]]:
    """Returns the name and the input of each column."""
    if len(graph.inputs) > 1:
        wanted = len(graph.inputs)
        if isinstance(given, list) and len(given) != wanted:
            raise ManifestError(f"--input: expected {wanted} values, got {len(given)}")
        return [spec.name for spec in graph.inputs], graph.inputs
    (spec,) = graph.inputs
    like = asked.like_table("features")
    count = spec.shape[1] or (len(given) if given else len(like) if like else None)
    if count is None:
        raise ManifestError(
            f"{graph.path.name}: the graph does not tell how many columns {spec} has: give a row"
            " with --input"
        )
    if given and len(given) != count:
        raise ManifestError(f"--input: expected {count} values, as {spec} has, got {len(given)}")
    if isinstance(given, dict):
        return list(given), [spec] * count
    if count > 1 or spec.shape[1] is None:
        drafted.undecided["features"] = _NAMES
    return [f"f{place}" for place in range(1, count + 1)], [spec] * count


def _feature(
    graph: Graph, place: int, name: str, spec: TensorSpec, value: Any, drafted: Draft
) -> Tables:
    hint = spec.name if len(graph.inputs) > 1 else f"{spec.name}[{place}]"
    categories = list(graph.hints.categories.get(hint, ()))
    if not categories and spec.dtype.kind != "O":
        return {"name": name, "type": TYPES[spec.dtype.kind]}
    if not categories:
        if not isinstance(value, str):
            raise ManifestError(
                f"{graph.path.name}: the graph does not tell which texts {spec} takes: give a row"
                " with --input (and install zeropoint[optimize], which finds those of encoders)"
            )
        categories = [value]
        drafted.undecided[f"features.{place}.categories"] = "all others beside that of --input."
    return {"name": name, "type": "category", "categories": categories}


def _neutral(feature: Tables) -> Any:
    if feature["type"] == "category":
        return feature["categories"][0]
    if feature["type"] == "boolean":
        return False
    value = max(0, feature.get("minimum", 0))
    return min(value, feature.get("maximum", value))


def _given(asked: Asked) -> Any:
    """Returns the row of --input, an object or a list, or None."""
    if not asked.example:
        return None
    try:
        held = payload.of_object(asked.example.name, asked.example.read_bytes(), takes_files=False)
        (row,) = held.instances
        row = msgspec.json.decode(row.data) if isinstance(row, Blob) else row
    except ClientError as error:
        raise ManifestError(f"--input: {error.message}") from None
    except ValueError:
        row = None
    if not isinstance(row, dict | list):
        raise ManifestError("--input: expected one row, as a JSON object or list, or as CSV")
    return row
