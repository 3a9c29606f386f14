"""Whatever is sent, a decoder reads it, or refuses it as the caller's fault."""

import io
import json
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz import bodies
from fuzz.budget import tries
from fuzz.damage import check_words, damaged, json_texts
from zeropoint.errors import ClientError
from zeropoint.events import Event, cloudevent, payload, pubsub
from zeropoint.protocols import (
    bigquery,
    csv_rows,
    native,
    open_inference,
    openai_chat,
    openai_completions,
    openai_embeddings,
    strict_json,
)
from zeropoint.settings import Settings
from zeropoint.wsgi import Request

SETTINGS = Settings(max_instances=8, max_body_bytes=1 << 20)
QUERIES = st.sampled_from(
    [
        *("", "top_k=1", "top_k=1&top_k=2", "a=%ff", "a=%", "=", "&&&", "a" * 9000, "a=1;b=2"),
        *("top_k=" + "9" * 5000, "top_k=" + "[" * 5000, "top_k=NaN", "a=" + '{"a":' * 2000),
    ]
)
STRUCTURED = (
    b'{"specversion":"1.0","source":"a","id":"%s","type":"%s","time":"%s","datacontenttype":"%s",'
    b'"data":"a"}'
)
LENGTHS = st.sampled_from(["", "0", "1", "40", "999999", "-1", "1e1", "\u0661", "9" * 30])


def request(body: bytes, media_type: str, query: str = "", length: str = "") -> Request:
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/predict",
        "QUERY_STRING": query,
        "CONTENT_TYPE": media_type,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_INFERENCE_HEADER_CONTENT_LENGTH": length,
        "wsgi.input": io.BytesIO(body),
    }
    return Request(environ)


@pytest.mark.parametrize(
    "protocol",
    [native, bigquery, open_inference, openai_chat, openai_completions, openai_embeddings],
    ids=lambda one: one.__name__,
)
@tries(150)
@given(bodies.SENT, QUERIES, LENGTHS)
@example(("application/json", b'{"instances":[' + b"9" * 5000 + b"]}"), "", "")
@example(("text/csv", b"a\n1\n"), "top_k=" + "[" * 5000, "")
@example(("text/csv", b"a\n1\n"), "top_k=" + "9" * 5000, "")
@example(
    (
        "application/json",
        b'{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[' + b"9" * 5000 + b"]}]}",
    ),
    "",
    "",
)
def test_any_request_is_a_call_or_refused(
    protocol: ModuleType, sent: tuple[str, bytes], query: str, length: str
) -> None:
    media_type, body = sent
    try:
        call = protocol.decode(request(body, media_type, query, length), SETTINGS)
    except ClientError as error:
        check_words(error)
        return
    assert len(call.instances) <= SETTINGS.max_instances
    assert (call.tensors is None) or not call.instances


def depth(value: Any) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def values(pairs: list[tuple[str, Any]]) -> list[Any]:
    return [value for _, value in pairs]  # of a key that is given twice, both


@tries(300)
@given(json_texts(["a", 'b\\"[', "]"]))
@example(b'{"a":' + b"[" * 70 + b"]" * 70 + b',"a":1}')
@example(b'["]","[",' + b"[" * 64 + b"]" * 64 + b"]")
@example(b'["\\\\",' + b"[" * 63 + b"]" * 63 + b"]")
@example(b'["\\"[[[[",' + b"[" * 64 + b"]" * 64 + b"]")
def test_json_is_read_as_deep_as_it_may_be(text: bytes) -> None:
    try:
        msgspec.json.decode(text)
        deep = depth(json.loads(text, object_pairs_hook=values)) > strict_json.MAX_DEPTH
    except (ValueError, RecursionError):
        deep = True
    if deep:
        with pytest.raises(ClientError):
            strict_json.decode(text, object)
    else:
        strict_json.decode(text, object)


@tries(200)
@given(bodies.EVENT_HEADERS, bodies.STRUCTURED | bodies.PUBSUB | bodies.CSV | json_texts())
@example({}, STRUCTURED % (b"\\ud800", b"own", b"", b""))
@example({}, STRUCTURED % (b"1", b"own\\ud800", b"", b""))
@example({}, STRUCTURED % (b"1", b"own", b"\\ud800", b""))
@example({}, STRUCTURED % (b"1", b"own", b"", b"\\ud800"))
def test_any_delivery_is_an_event_or_refused(headers: dict[str, str], body: bytes) -> None:
    structured = {**headers, "content-type": cloudevent.MEDIA_TYPE}
    for decode, given_ in (
        (cloudevent.decode, headers),
        (cloudevent.decode, structured),
        (pubsub.decode, headers),
        (pubsub.decode, {}),
    ):
        try:
            event = decode(given_, body)
        except ClientError as error:
            check_words(error)
            continue
        assert isinstance(event, Event)
        assert event.name.endswith(".json")
        assert len(event.fingerprint) == 64
        # Whatever came, the record of it can be written.
        strict_json.encode([event.source, event.id, event.type, event.time, event.name])


NAMES = st.sampled_from(["a.csv", "a.jsonl", "a.ndjson", "a.json", "a.jpg", "", ".csv"])
TYPES = st.sampled_from(["", "application/json", "text/csv", "a+json", "image/png"])
DATA = bodies.CSV | bodies.NATIVE | bodies.PHOTO | json_texts(["instances", "parameters"])


@tries(150)
@given(NAMES, TYPES, DATA | st.lists(json_texts(), max_size=3).map(b"\n".join))
def test_any_object_and_any_data_hold_instances_or_are_refused(
    name: str, media_type: str, data: bytes
) -> None:
    for how in ("object", "message"):
        try:
            if how == "object":
                found = payload.of_object(name, data, takes_files=False)
            else:
                found = payload.of_message(data, media_type)
        except ClientError as error:
            check_words(error)
            continue
        assert isinstance(found.parameters, dict)
        assert isinstance(found.instances, list)


@tries(200)
@given(damaged([b'a,b\r\n1,"2"\r\n', b"a\n\n1\n"], [b",", b'"', b"\n", b"\r", b"a", b"\0"]))
def test_rows_of_csv_have_the_headers_names(data: bytes) -> None:
    try:
        rows = csv_rows.decode(data, 5)
    except ClientError:
        return
    assert len(rows) <= 5
    assert len({tuple(row) for row in rows}) <= 1
    # What is written of a row is read as the same row.
    for row in rows:
        if row and all(row):
            assert csv_rows.decode(csv_rows.encode(row).encode()) == [row]
