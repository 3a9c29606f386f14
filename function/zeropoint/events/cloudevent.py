"""CloudEvents 1.0 over HTTP, binary and structured, read by the SDK; and what Eventarc sends."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from zeropoint.events import (
    MESSAGE_PUBLISHED,
    OBJECT_FINALIZED,
    Event,
    EventError,
    EventTypeError,
    StoredObject,
    pubsub,
    stored,
)
from zeropoint.protocols import strict_json

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

MEDIA_TYPE = "application/cloudevents+json"  # of a structured one


class _Object(msgspec.Struct):
    """The data of a storage event, as far as it is used."""

    bucket: str
    name: str
    generation: int | str


def is_event(headers: Mapping[str, str], media_type: str) -> bool:
    """Tells whether a request is a CloudEvent, by its headers."""
    return "ce-specversion" in headers or media_type == MEDIA_TYPE


def decode(headers: Mapping[str, str], body: bytes) -> Event:
    """Reads a CloudEvent from a request.

    Raises:
        EventError: the request holds none, or its data are not what its type says.
        EventTypeError: its type is one of Google's that is not served.
    """
    from cloudevents.http import from_http  # not on the way to a photo's answer

    try:
        # Kept as they are: what the data mean depends on the type.
        found = from_http(dict(headers), body, data_unmarshaller=lambda data: data)
    except Exception as error:
        # The SDK raises its own classes, but on odd documents also TypeError, ValueError,
        # RecursionError, … and its messages hold the request's content.
        raise EventError("expected a CloudEvent 1.0, got another request") from error
    return of_sdk(found)


def of_sdk(found: "CloudEvent") -> Event:
    """Returns the event that the SDK has read; raises as `decode` does."""
    source, id_, type_ = (str(found.get(key) or "") for key in ("source", "id", "type"))
    if not (source and id_ and type_):
        raise EventError("expected a CloudEvent with source, id and type, got an empty one")
    time, media_type = (str(found.get(key) or "") for key in ("time", "datacontenttype"))
    try:
        "".join((source, id_, type_, time, media_type)).encode()
    except UnicodeEncodeError:  # JSON can write half of a surrogate pair, and no record can hold it
        raise EventError("expected a CloudEvent whose attributes are Unicode texts") from None
    data = found.get_data()
    if type_ == OBJECT_FINALIZED:
        return Event(source, id_, type_, time, object=stored_object(data))
    if type_ == MESSAGE_PUBLISHED:
        return pubsub.of_envelope(data, source)
    if type_.startswith("google."):
        raise EventTypeError(
            f"expected {OBJECT_FINALIZED} or {MESSAGE_PUBLISHED}, got another type"
        )
    media_type = media_type.partition(";")[0].strip().lower()
    if isinstance(data, str):  # JSON, as the SDK hands over the data of a structured event
        try:
            value = msgspec.json.decode(data)
        except (ValueError, RecursionError):  # the SDK lets NaN pass, which is not JSON
            raise EventError("expected JSON as a CloudEvent's data, got another text") from None
        if isinstance(value, str) and media_type and not strict_json.is_json(media_type):
            data = value.encode()
        else:
            data, media_type = data.encode(), "application/json"
    return Event(source, id_, type_, time, data=bytes(data or b""), media_type=media_type)


def stored_object(data: Any) -> StoredObject:
    """Returns the object that a storage notification names.

    Args:
        data: JSON, as bytes or read.

    Raises:
        EventError: it names none.
    """
    try:
        if isinstance(data, bytes | bytearray | str):
            found = msgspec.json.decode(data, type=_Object)
        else:
            found = msgspec.convert(data, _Object)
    except (ValueError, RecursionError):
        raise EventError(
            "expected the data of a storage event, with bucket, name and generation"
        ) from None
    return stored(found.bucket, found.name, str(found.generation))
