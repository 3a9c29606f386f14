"""What arrives by itself: an event names an object, or carries instances.

    delivery → CloudEvent or Pub/Sub message → **event** → instances → predictions → **result**

An event is delivered at least once, and its result is written once, under a name made from the
event. What can never succeed is recorded as an error and acknowledged; what may succeed later is
not acknowledged, and comes again.
"""

import hashlib
from typing import NamedTuple
from urllib.parse import quote

from zeropoint import gcs
from zeropoint.errors import ClientError


class EventError(ClientError):
    """An event that cannot be answered, however often it is delivered."""

    code = "event_malformed"


class EventTypeError(EventError):
    """An event of a type that is not served."""

    code = "event_type_not_served"


class EventTooOldError(EventError):
    """An event older than ``ZEROPOINT_EVENT_MAX_AGE_S``."""

    code = "event_too_old"


class EventConflictError(EventError):
    """Another event came under the same source and id before."""

    code = "event_conflict"


class StoredObject(NamedTuple):
    """An object of Cloud Storage, at one generation of it."""

    bucket: str
    name: str
    generation: int


def stored(bucket: str, name: str, generation: str) -> StoredObject:
    """Returns the object that an event names.

    Raises:
        EventError: there can be no such object.
    """
    counted = generation.isascii() and generation.isdigit() and len(generation) < 20
    if not bucket or not gcs.is_name(name) or not counted:
        raise EventError("expected the bucket, name and generation of an object, got others")
    return StoredObject(bucket, name, int(generation))


class Event(NamedTuple):
    """What was delivered; ``time`` is as it came, in RFC 3339."""

    source: str
    id: str
    type: str
    time: str = ""
    object: StoredObject | None = None
    data: bytes = b""
    media_type: str = ""

    @property
    def name(self) -> str:
        """The name of the event's result: the same at every delivery of it."""
        if self.object:
            return "{}/{}@{}.json".format(*self.object)
        if self.type == MESSAGE_PUBLISHED:
            return f"pubsub/{_part(self.id)}.json"
        return f"events/{_part(self.source)}/{_part(self.id)}.json"

    @property
    def fingerprint(self) -> str:
        """The sha256 of what is to be answered: it tells another event of the same name."""
        if self.object:
            return hashlib.sha256(repr(self.object).encode()).hexdigest()
        return hashlib.sha256(self.media_type.encode() + b"\0" + self.data).hexdigest()


def _part(text: str) -> str:
    """Returns a text as one part of a name, a slash as +; no two texts have the same."""
    return quote(text, safe=":@", errors="surrogatepass").replace("%2F", "+")


OBJECT_FINALIZED = "google.cloud.storage.object.v1.finalized"
MESSAGE_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
