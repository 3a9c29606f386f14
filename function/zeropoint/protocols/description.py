"""What a protocol tells of itself for the OpenAPI document, in OpenAPI 3.1's words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from zeropoint.errors import ServerError, ZeropointError
from zeropoint.protocols import strict_json
from zeropoint.tasks import Schema

DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
Media = Mapping[str, dict[str, Any]]  # media type → Media Type Object


class Served(NamedTuple):
    """A model as its callers meet it, without loading it."""

    name: str
    schema: Schema
    parameters: dict[str, Any]  # JSON Schema
    task: str


class Offer(NamedTuple):
    """What a protocol describes itself for."""

    models: Sequence[Served]  # which the route serves: all, or the default
    all_models: Sequence[Served]  # which a document may name
    max_instances: int


class Description(NamedTuple):
    """What a protocol's ``decode`` takes, and what its ``encode`` and ``refuse`` give."""

    request: Media
    answer: Media
    refusal: dict[str, Any]  # JSON Schema of an application/json body
    parameters: Sequence[dict[str, Any]] = ()  # Parameter Objects, none of the path
    names_model: bool = False  # whether a document may name the model


def any_of(schemas: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns a schema of what one of several takes, each of them told once."""
    different = list({strict_json.encode(schema): schema for schema in schemas}.values())
    return different[0] if len(different) == 1 else {"anyOf": different} if different else {}


def object_of(**properties: Any) -> dict[str, Any]:
    """Returns the schema of an object that has all these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def inline(type_: Any) -> dict[str, Any]:
    """Returns a type's JSON Schema without references."""
    (schema,), components = msgspec.json.schema_components((type_,))

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return resolved(components[value["$ref"].rpartition("/")[2]])
            return {key: resolved(one) for key, one in value.items()}
        return [resolved(one) for one in value] if isinstance(value, list) else value

    found: dict[str, Any] = resolved(schema)
    return found


def joined(all_: Iterable[Description | None]) -> Description | None:
    """Returns what a route takes and gives that tells several protocols apart."""
    known = [one for one in all_ if one]
    if not known:
        return None
    # A parameter of one protocol is nothing to another, which lets it have any value.
    parameters = {
        (one["in"], one["name"]): {**one, "schema": {}} for each in known for one in each.parameters
    }
    return Description(
        _media([one.request for one in known]),
        _media([one.answer for one in known]),
        any_of(one.refusal for one in known),
        list(parameters.values()),
        any(one.names_model for one in known),
    )


def _media(all_: Sequence[Media]) -> Media:
    found: dict[str, dict[str, Any]] = {}
    for media_type in dict.fromkeys(name for content in all_ for name in content):
        given = [content[media_type] for content in all_ if media_type in content]
        examples: dict[str, Any] = {}
        for media in given:
            for name, example in media.get("examples", {}).items():
                examples[name if name not in examples else f"{name} {len(examples)}"] = example
        found[media_type] = {"schema": any_of(media.get("schema", {}) for media in given)}
        if examples:
            found[media_type]["examples"] = examples
    return found


def told() -> list[type[ZeropointError]]:
    """Returns the errors that a caller may be told; those of our own are told as one."""
    found: list[type[ZeropointError]] = [ZeropointError]
    for class_ in found:  # which grows meanwhile
        found += class_.__subclasses__()
    codes = {class_.code: class_ for class_ in reversed(found) if class_.status != 500}
    return sorted([*codes.values(), ServerError], key=lambda class_: (class_.status, class_.code))
