"""Pub/Sub push: a message in its envelope, or unwrapped with its metadata in headers.

A message is a storage notification (``JSON_API_V1``) or its data are instances.
"""

import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from zeropoint.events import (
    MESSAGE_PUBLISHED,
    OBJECT_FINALIZED,
    Event,
    EventError,
    EventTypeError,
    stored,
)

_MESSAGE_ID = "x-goog-pubsub-message-id"


class _Message(msgspec.Struct, rename="camel"):
    """A message, with the older spelling of its keys that push envelopes have beside the new."""

    data: str = ""
    attributes: dict[str, str] | None = None
    message_id: str | UnsetType = UNSET
    publish_time: str = ""
    old_message_id: str | UnsetType = msgspec.field(name="message_id", default=UNSET)
    old_publish_time: str = msgspec.field(name="publish_time", default="")


class _Envelope(msgspec.Struct):
    """What a push request holds."""

    message: _Message
    subscription: str = ""


def is_unwrapped(headers: Mapping[str, str]) -> bool:
    """Tells whether a request is an unwrapped message, by its headers."""
    return _MESSAGE_ID in headers


def decode(headers: Mapping[str, str], body: bytes) -> Event:
    """Reads a message from a push request.

    Raises:
        EventError: the request holds none.
        EventTypeError: it is a storage notification of another type than OBJECT_FINALIZE.
    """
    if not is_unwrapped(headers):
        return of_envelope(body, "")
    source = "//pubsub.googleapis.com/" + headers.get("x-goog-pubsub-subscription-name", "")
    time = headers.get("x-goog-pubsub-publish-time", "")
    return _event(source, headers[_MESSAGE_ID], time, headers, body)


def of_envelope(data: Any, source: str) -> Event:
    """Reads an envelope, ``{"message": …, "subscription": …}``; raises as `decode` does.

    Args:
        data: JSON, as bytes or read.
        source: Where it comes from, where the envelope's subscription does not say.
    """
    try:
        if isinstance(data, bytes | bytearray | str):
            envelope = msgspec.json.decode(data, type=_Envelope)
        else:
            envelope = msgspec.convert(data, _Envelope)
        message = envelope.message
        payload = binascii.a2b_base64(message.data.encode("ascii"), strict_mode=True)
    except (ValueError, RecursionError):
        raise EventError("expected a Pub/Sub push envelope with a message of base64") from None
    id_ = message.message_id or message.old_message_id
    if not id_:
        raise EventError("expected a Pub/Sub message with a messageId, got none")
    if envelope.subscription:
        source = "//pubsub.googleapis.com/" + envelope.subscription
    time = message.publish_time or message.old_publish_time
    return _event(source, str(id_), time, message.attributes or {}, payload)


def _event(
    source: str, id_: str, time: str, attributes: Mapping[str, str], payload: bytes
) -> Event:
    type_ = attributes.get("eventType", "")
    if "bucketId" in attributes and type_:
        if type_ != "OBJECT_FINALIZE":
            raise EventTypeError("expected a storage notification OBJECT_FINALIZE, got another")
        found = stored(
            attributes["bucketId"],
            attributes.get("objectId", ""),
            attributes.get("objectGeneration", ""),
        )
        return Event(source, id_, OBJECT_FINALIZED, time, object=found)
    media_type = attributes.get("content-type", "").partition(";")[0].strip().lower()
    return Event(source, id_, MESSAGE_PUBLISHED, time, data=payload, media_type=media_type)
