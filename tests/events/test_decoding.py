"""CloudEvents and Pub/Sub messages as the platforms send them, and as nobody should."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zeropoint.events import (
    MESSAGE_PUBLISHED,
    OBJECT_FINALIZED,
    Event,
    EventError,
    EventTypeError,
    StoredObject,
    cloudevent,
    pubsub,
)

BUCKET = "//storage.googleapis.com/projects/_/buckets/photos"
OBJECT = {"kind": "storage#object", "bucket": "photos", "name": "a/ä.jpg", "generation": "17"}
STORED = StoredObject("photos", "a/ä.jpg", 17)
HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "7",
    "ce-source": BUCKET,
    "ce-type": OBJECT_FINALIZED,
    "ce-time": "2026-11-22T10:00:00.123456Z",
    "ce-subject": "objects/a/ä.jpg",
    "content-type": "application/json; charset=utf-8",
}
STRUCTURED = {
    "specversion": "1.0",
    "id": "7",
    "source": BUCKET,
    "type": OBJECT_FINALIZED,
    "time": "2026-11-22T10:00:00.123456Z",
    "datacontenttype": "application/json",
    "data": OBJECT,
}
CLOUD_EVENT = {"content-type": "application/cloudevents+json; charset=utf-8"}
MESSAGE = {
    "attributes": {},
    "data": base64.b64encode(b"\xff\xd8 a photo").decode(),
    "messageId": "136969346945",
    "message_id": "136969346945",
    "publishTime": "2026-11-22T10:00:00.749Z",
    "publish_time": "2026-11-22T10:00:00.749Z",
}
NOTIFICATION = {
    "eventType": "OBJECT_FINALIZE",
    "payloadFormat": "JSON_API_V1",
    "bucketId": "photos",
    "objectId": "a/ä.jpg",
    "objectGeneration": "17",
}


def envelope(**message: Any) -> bytes:
    subscription = "projects/p/subscriptions/s"
    document = {"message": {**MESSAGE, **message}, "subscription": subscription}
    return json.dumps(document).encode()


def without(document: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


@pytest.mark.parametrize(
    ("headers", "body"),
    [(HEADERS, json.dumps(OBJECT).encode()), (CLOUD_EVENT, json.dumps(STRUCTURED).encode())],
    ids=["binary", "structured"],
)
def test_an_upload_is_read(headers: dict[str, str], body: bytes) -> None:
    found = cloudevent.decode(headers, body)
    assert found == Event(
        BUCKET, "7", OBJECT_FINALIZED, "2026-11-22T10:00:00.123456Z", object=STORED
    )
    assert found.name == "photos/a/ä.jpg@17.json"


def test_eventarcs_pubsub_is_the_message_itself() -> None:
    headers = {**HEADERS, "ce-type": MESSAGE_PUBLISHED, "ce-source": "//pubsub/topics/t"}
    by_eventarc = cloudevent.decode(headers, envelope())
    assert by_eventarc == pubsub.decode({}, envelope())
    assert by_eventarc.data == b"\xff\xd8 a photo"
    assert by_eventarc.name == "pubsub/136969346945.json"


@pytest.mark.parametrize(
    ("headers", "body", "data", "media_type"),
    [
        ({**HEADERS, "content-type": "image/jpeg"}, b"\xff\xd8", b"\xff\xd8", "image/jpeg"),
        (HEADERS, b'{"b64": ""}', b'{"b64": ""}', "application/json"),
        (
            CLOUD_EVENT,
            json.dumps({**STRUCTURED, "data": {"b64": ""}}).encode(),
            b'{"b64": ""}',
            "application/json",
        ),
        (
            CLOUD_EVENT,
            json.dumps(
                {
                    **without(STRUCTURED, "data"),
                    "datacontenttype": "image/png",
                    "data_base64": base64.b64encode(b"\x89PNG").decode(),
                }
            ).encode(),
            b"\x89PNG",
            "image/png",
        ),
    ],
    ids=["binary file", "binary JSON", "structured JSON", "structured file"],
)
def test_an_event_of_another_type_holds_instances(
    headers: dict[str, str], body: bytes, data: bytes, media_type: str
) -> None:
    headers = {**headers, "ce-type": "com.example.photo"} if "ce-id" in headers else headers
    body = body.replace(OBJECT_FINALIZED.encode(), b"com.example.photo")
    found = cloudevent.decode(headers, body)
    assert (found.data, found.media_type) == (data, media_type)
    assert found.name == f"events/{BUCKET.replace('/', '+')}/7.json"


@pytest.mark.parametrize("type_", ["google.cloud.storage.object.v1.deleted", "google.x"])
def test_another_type_of_googles_is_not_served(type_: str) -> None:
    with pytest.raises(EventTypeError):
        cloudevent.decode({**HEADERS, "ce-type": type_}, b"{}")


@pytest.mark.parametrize("header", ["ce-id", "ce-source", "ce-type", "ce-specversion"])
@pytest.mark.parametrize("value", ["", None])
def test_an_attribute_that_is_missing_or_empty_is_refused(header: str, value: str | None) -> None:
    headers = without(HEADERS, header) if value is None else {**HEADERS, header: value}
    with pytest.raises(EventError):
        cloudevent.decode(headers, json.dumps(OBJECT).encode())


HOSTILE = [
    b"",
    b"str",
    b'"str"',
    b"1",
    b"[]",
    b"null",
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"specversion": "9.0"}',
    b'{"specversion": "1.0", "id": {}, "source": [], "type": 1}',
    json.dumps({**STRUCTURED, "data_base64": "no base64!"}).encode(),
    json.dumps({**STRUCTURED, "data": "text"}).encode(),
    json.dumps({**STRUCTURED, "data": without(OBJECT, "generation")}).encode(),
    json.dumps({**STRUCTURED, "data": {**OBJECT, "generation": "seventeen"}}).encode(),
    json.dumps({**STRUCTURED, "data": {**OBJECT, "bucket": None}}).encode(),
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("headers", [HEADERS, CLOUD_EVENT, {}], ids=["binary", "structured", "no"])
def test_what_is_no_event_is_refused_without_its_content(
    headers: dict[str, str], body: bytes
) -> None:
    with pytest.raises(EventError) as caught:
        cloudevent.decode(headers, body)
    assert "seventeen" not in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("kept", ["both", "messageId", "message_id"])
def test_the_old_and_the_new_spelling_of_a_message_are_read(kept: str) -> None:
    message = dict(MESSAGE)
    if kept != "both":
        message = {k: v for k, v in message.items() if k not in ("messageId", "message_id")}
        message[kept] = MESSAGE["messageId"]
    body = json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()
    found = pubsub.decode({"content-type": "application/json; charset=utf-8"}, body)
    assert found.id == "136969346945"
    assert found.source == "//pubsub.googleapis.com/projects/p/subscriptions/s"
    assert found.time == MESSAGE["publishTime"]


# As Pub/Sub's own documentation shows it, byte for byte.
DOCUMENTED = b"""{
    "message": {
        "attributes": {
            "key": "value"
        },
        "data": "SGVsbG8gQ2xvdWQgUHViL1N1YiEgSGVyZSBpcyBteSBtZXNzYWdlIQ==",
        "messageId": "2070443601311540",
        "message_id": "2070443601311540",
        "orderingKey": "key",
        "publishTime": "2021-02-26T19:13:55.749Z",
        "publish_time": "2021-02-26T19:13:55.749Z"
    },
   "subscription": "projects/myproject/subscriptions/mysubscription"
}"""


def test_the_documented_push_request_is_read() -> None:
    assert pubsub.decode({"content-type": "application/json"}, DOCUMENTED) == Event(
        source="//pubsub.googleapis.com/projects/myproject/subscriptions/mysubscription",
        id="2070443601311540",
        type=MESSAGE_PUBLISHED,
        time="2021-02-26T19:13:55.749Z",
        data=b"Hello Cloud Pub/Sub! Here is my message!",
    )


def test_an_unwrapped_message_has_its_metadata_in_headers() -> None:
    headers = {
        "x-goog-pubsub-message-id": "136969346945",
        "x-goog-pubsub-subscription-name": "projects/p/subscriptions/s",
        "x-goog-pubsub-publish-time": "2026-11-22T10:00:00.749Z",
        "content-type": "image/jpeg",
    }
    found = pubsub.decode(headers, b"\xff\xd8 a photo")
    assert found._replace(media_type="") == pubsub.decode({}, envelope())
    assert found.media_type == "image/jpeg"


def test_a_message_may_be_a_storage_notification() -> None:
    found = pubsub.decode({}, envelope(attributes=NOTIFICATION))
    assert (found.type, found.object) == (OBJECT_FINALIZED, STORED)
    assert found.name == cloudevent.decode(HEADERS, json.dumps(OBJECT).encode()).name


@pytest.mark.parametrize("type_", ["OBJECT_DELETE", "OBJECT_METADATA_UPDATE", "OBJECT_ARCHIVE"])
def test_a_notification_of_another_type_is_not_served(type_: str) -> None:
    with pytest.raises(EventTypeError):
        pubsub.decode({}, envelope(attributes={**NOTIFICATION, "eventType": type_}))


@pytest.mark.parametrize(
    "body",
    [
        *HOSTILE[:9],
        b"{}",
        b'{"message": {}}',
        b'{"message": {"messageId": ""}}',
        b'{"message": {"messageId": "1", "data": "no base64!"}}',
        b'{"message": {"messageId": "1", "data": 5}}',
        b'{"message": {"messageId": "1", "attributes": {"a": 1}}}',
        envelope(attributes=without(NOTIFICATION, "objectId")),
        envelope(attributes={**NOTIFICATION, "objectGeneration": "\u0662"}),
        envelope(attributes={**NOTIFICATION, "objectGeneration": "-1"}),
        envelope(attributes={**NOTIFICATION, "bucketId": ""}),
        envelope(attributes={**NOTIFICATION, "objectId": "x" * 1025}),
        envelope(attributes={**NOTIFICATION, "objectId": "a\nb"}),
        envelope(attributes={**NOTIFICATION, "objectId": ".."}),
    ],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(EventError):
        pubsub.decode({}, body)


def test_only_other_data_change_a_fingerprint() -> None:
    one = Event("s", "1", "t", "now", data=b"a", media_type="m")
    assert one.fingerprint == one._replace(time="later").fingerprint
    assert one.fingerprint != one._replace(data=b"b").fingerprint
    assert one.fingerprint != one._replace(media_type="n").fingerprint


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_two_events_have_one_name_only_if_they_are_one(a: str, b: str, c: str, d: str) -> None:
    same = Event(a, b, "t").name == Event(c, d, "t").name
    assert same == ((a, b) == (c, d))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@example({"data": float("nan")}, "time")
@given(st.dictionaries(st.sampled_from(list(STRUCTURED)), JSON), st.sampled_from(list(STRUCTURED)))
def test_any_document_is_an_event_or_refused(changed: dict[str, Any], dropped: str) -> None:
    body = json.dumps(without({**STRUCTURED, **changed}, dropped)).encode()
    with contextlib.suppress(EventError):
        assert isinstance(cloudevent.decode(CLOUD_EVENT, body), Event)
    with contextlib.suppress(EventError):
        assert isinstance(pubsub.decode({}, body), Event)
