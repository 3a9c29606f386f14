"""From an event to its one record in the sink: a result, or the error that ends it."""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from zeropoint import gcs, headroom
from zeropoint.bulkhead import Bulkhead
from zeropoint.catalog import Catalog
from zeropoint.errors import (
    BodyTooLargeError,
    ClientError,
    InvalidError,
    ZeropointError,
)
from zeropoint.events import Event, EventConflictError, EventTooOldError, payload
from zeropoint.logs import log
from zeropoint.model import Answer
from zeropoint.protocols import Call, refuse_many, strict_json
from zeropoint.settings import Settings
from zeropoint.sinks import open_sink


class Receipt(msgspec.Struct, frozen=True):
    """What became of a delivery that is acknowledged, and the record that tells the rest."""

    outcome: Literal["written", "repeated", "ignored", "refused"]
    record: str = ""


class Deliveries:
    """Answers events, each once, however often and however many at once they are delivered.

    Args:
        settings: Name the sink, the buckets that may be read, and the limits.
        catalog: Has the default model, which answers.
        answer: Answers a call with it.
    """

    def __init__(
        self, settings: Settings, catalog: Catalog, answer: Callable[[Call], Answer]
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._answer_call = answer
        self._sink = open_sink(settings)
        self._buckets = gcs.allowed(settings.buckets, settings.timeout_s)
        self._waiting = Bulkhead(settings.max_queue)
        where = self._sink.location
        if where.startswith(gcs.SCHEME) and gcs.split(where)[0] in self._buckets:
            log.warning(
                "results go to %s, a bucket that is also read: an upload trigger on it calls for"
                " each result; these calls are acknowledged and ignored, but not free",
                where,
            )

    def accept(self, event: Event) -> Receipt:
        """Answers an event and writes its record; returns only if it need not come again.

        Raises:
            ZeropointError: one that is retryable, as the storage, the sink or the model is away:
                the event has to come again.
        """
        if event.object and self._sink.owns(event.object.bucket, event.object.name):
            return Receipt("ignored")
        if written := self._get(event.name):
            return self._repeated(event, written)
        try:
            self._refuse_old(event)
            answer = self._answer(event)
        except ClientError as error:
            return self.refuse(error, event.name, event)
        told = {**_of_event(event), **answer.record(), "written": _now()}
        record = strict_json.encode(told)
        attributes = {"source": event.source, "id": event.id, "outcome": "result"}
        if self._put(event.name, record, attributes):
            return Receipt("written", event.name)
        written = self._get(event.name)
        return self._repeated(event, written) if written else Receipt("repeated", event.name)

    def refuse(self, error: ZeropointError, name: str, event: Event | None = None) -> Receipt:
        """Records an error, under a name of its own, and so ends what it is about.

        Raises:
            UnavailableError: the sink is away: it has to come again.
        """
        told = {"code": error.code, "message": error.message}
        record = {**(_of_event(event) if event else {}), "error": told, "written": _now()}
        attributes = {"outcome": "error", "code": error.code}
        if event:
            attributes |= {"source": event.source, "id": event.id}
        name = f"errors/{name}"
        self._put(name, strict_json.encode(record), attributes)
        log.warning("event refused: %s (%s)", error.message, error.code)
        return Receipt("refused", name)

    def refuse_body(self, error: ZeropointError, body: bytes) -> Receipt:
        """Records the error of a delivery that holds no event; raises as `refuse` does."""
        return self.refuse(error, f"unread/{hashlib.sha256(body).hexdigest()}.json")

    def _get(self, name: str) -> bytes | None:
        with self._waiting.enter():
            return self._sink.get(name)

    def _put(self, name: str, record: bytes, attributes: dict[str, str]) -> bool:
        with self._waiting.enter():
            return self._sink.put(name, record, attributes)

    def _repeated(self, event: Event, written: bytes) -> Receipt:
        try:
            earlier = msgspec.json.decode(written)["event"]["fingerprint"]
        except (msgspec.DecodeError, KeyError, TypeError):
            earlier = ""  # not a record of ours, which it must not become
        if earlier == event.fingerprint:
            return Receipt("repeated", event.name)
        conflict = EventConflictError(
            "expected the data that came under this source and id before, got others"
        )
        return self.refuse(conflict, f"{event.fingerprint[:16]}/{event.name}", event)

    def _refuse_old(self, event: Event) -> None:
        try:
            time = datetime.fromisoformat(event.time)
            age = datetime.now(UTC) - time
        except (ValueError, TypeError):  # no time, or one without a zone: its age is unknown
            return
        if age > timedelta(seconds=self._settings.event_max_age_s):
            raise EventTooOldError(
                f"expected an event of at most {self._settings.event_max_age_s:g} s, got an older"
            )

    def _answer(self, event: Event) -> Answer:
        with self._catalog.use("", time.monotonic() + self._settings.timeout_s) as model:
            takes_files = model.takes_files
        if event.object is None:
            found = payload.of_message(event.data, event.media_type)
        else:
            found = payload.of_object(event.object.name, self._read(event), takes_files)
        refuse_many(found.instances, self._settings)
        return self._answer_call(Call(found.instances, found.parameters))

    def _read(self, event: Event) -> bytes:
        """Returns the bytes of an event's object, its size known before it is read."""
        bucket, name, generation = event.object or ("", "", 0)
        if bucket not in self._buckets:
            raise InvalidError("expected an object of a bucket that ZEROPOINT_BUCKETS names")
        limit = self._settings.max_body_bytes
        try:
            with self._waiting.enter():
                size = self._buckets[bucket].size(name, generation)
                if size > limit:
                    raise BodyTooLargeError(
                        f"expected an object of at most {limit} bytes, got {size}"
                    )
                with headroom.reserve(2 * size):  # the client joins what came
                    return self._buckets[bucket].read(name, limit, generation)
        except gcs.ObjectNotFoundError:
            raise InvalidError(
                "expected an object that is still there at this generation, got none"
            ) from None


def _of_event(event: Event) -> dict[str, Any]:
    """Returns what a record tells of its event."""
    told: dict[str, Any] = {
        "event": {
            "source": event.source,
            "id": event.id,
            "type": event.type,
            "time": event.time,
            "fingerprint": event.fingerprint,
        }
    }
    if event.object:
        told["object"] = event.object._asdict()
    return told


def _now() -> str:
    return datetime.now(UTC).isoformat()
