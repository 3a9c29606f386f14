"""Requests of every protocol: their documents with odd values in them, and damaged whole ones."""

import base64
import struct

from hypothesis import strategies as st

from fuzz.damage import damaged, documents, json_texts, lists, one_of
from tiny_models import picture

_PHOTO = picture("red", size=(4, 3))
_B64 = b'{"b64":"%s"}' % base64.b64encode(_PHOTO)
_INSTANCE = json_texts(["b64", "gcs", "a", "b", "x"]) | one_of(
    _B64, b'{"a":1,"b":2}', b"[1,2]", b"[[1.5,2]]", b'"good"', b'"[[1]]"', b'{"x":[[1]]}'
)
_DIMS = lists(one_of(b"0", b"1", b"2", b"4294967296", b"9223372036854775807"))
_INPUT = documents(
    {
        "name": one_of(b'"x"', b'"input"', b'"instances"'),
        "datatype": one_of(b'"FP32"', b'"BYTES"', b'"INT64"', b'"BOOL"', b'"UINT8"', b'"FP16"'),
        "shape": _DIMS,
        "data": json_texts() | one_of(b"[1,2]", b"[[1.5]]", b'["good"]', b"[true]", b"[]"),
        "parameters": documents({"binary_data_size": one_of(b"0", b"4", b"8", b"5")}),
    }
)
_EVENT = {
    "specversion": one_of(b'"1.0"', b'"0.3"'),
    "id": one_of(b'"1"', b'"a/../b"', b'"%s"' % (b"x" * 300)),
    "source": one_of(b'"//test"', b'"/"'),
    "type": one_of(
        b'"google.cloud.storage.object.v1.finalized"',
        b'"google.cloud.pubsub.topic.v1.messagePublished"',
        b'"own"',
    ),
    "time": one_of(b'"2026-11-22T10:00:00Z"', b'"0001-01-01T00:00:00+23:59"', b'"2026-11-22"'),
    "datacontenttype": one_of(b'"application/json"', b'"text/csv"', b'"image/png"'),
}
_OBJECT = documents(
    {
        "bucket": one_of(b'"photos"'),
        "name": one_of(b'"a.jpg"', b'"a.csv"', b'"../a"'),
        "generation": one_of(b'"1"', b"1", b'"-1"'),
    }
)
_MESSAGE = documents(
    {
        "data": one_of(b'""', b'"eyJhIjoxfQ=="', b'"W10="', b'"!"'),
        "attributes": documents(
            {
                "content-type": one_of(b'"text/csv"', b'"application/json"'),
                "eventType": one_of(b'"OBJECT_FINALIZE"', b'"OBJECT_DELETE"'),
                "bucketId": one_of(b'"photos"'),
                "objectId": one_of(b'"a.jpg"'),
                "objectGeneration": one_of(b'"1"'),
            }
        ),
        "messageId": one_of(b'"1"', b'"a"'),
        "publishTime": one_of(b'"2026-11-22T10:00:00Z"'),
    }
)

NATIVE = documents(
    {
        "instances": lists(_INSTANCE),
        "parameters": documents({"top_k": one_of(b"1", b"0", b"-1", b"2.0", b"9" * 30)}),
    }
)
BIGQUERY = documents(
    {
        "calls": lists(lists(_INSTANCE, 2)),
        "userDefinedContext": documents(
            {
                "model": one_of(b'"table"', b'"colour"', b'"../colour"'),
                "parameters": one_of(b'"{}"', b'"{\\"top_k\\": 1}"', b'"[]"', b'"\\ud83d\\ude00"'),
            }
        ),
    }
)
INFERENCE = documents(
    {
        "inputs": lists(_INPUT, 2),
        "id": one_of(b'"1"', b"null"),
        "parameters": documents({"binary_data_output": one_of(b"true", b"false")}),
        "outputs": lists(documents({"name": one_of(b'"y"', b'"predictions"')})),
    }
)
_SAID = documents(
    {
        "role": one_of(b'"user"', b'"system"', b'"tool"'),
        "content": one_of(b'"a"', b'[{"type":"text","text":"a"}]', b'[{"type":"image_url"}]'),
    }
)
OPENAI = documents(
    {
        "messages": lists(_SAID),
        "prompt": one_of(b'"a"', b'["a","b"]', b"[1,2]", b"[]"),
        "input": one_of(b'"a"', b'["a","b"]', b"[[1]]"),
        "model": one_of(b'"tiny"', b'"judge"', b'"../tiny"', b"null"),
        "max_tokens": one_of(b"1", b"0", b"-1", b"9" * 30),
        "temperature": one_of(b"1", b"1e308", b"true"),
        "stop": one_of(b'"a"', b'["b",""]', b"[]"),
        "seed": one_of(b"1", b"9223372036854775808"),
        "n": one_of(b"1", b"2", b"1.0", b"true"),
        "tools": one_of(b"[]", b"[{}]", b"{}"),
        "stream": one_of(b"true", b"false"),
        "stream_options": documents({"include_usage": one_of(b"true", b"1")}),
        "encoding_format": one_of(b'"base64"', b'"float"', b'"a"'),
    }
)
STRUCTURED = documents({**_EVENT, "data": json_texts() | _OBJECT | _MESSAGE | NATIVE})
PUBSUB = documents({"message": _MESSAGE, "subscription": one_of(b'"projects/p/subscriptions/s"')})
FORM = damaged(
    [
        b'--b\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + _PHOTO + b"\r\n--b--\r\n"
    ],
    [b"--b", b"--b--", b"\r\n", b"\r\n\r\n", b";", b'"', b"filename*=utf-8''%ff", b"charset=x"],
)
CSV = damaged(
    [b"a,b\r\n1,2\r\n", b'a,b\n"x,""y",true\n,1e5\n'],
    [b",", b'"', b'""', b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"9" * 5000],
)
PHOTO = damaged([_PHOTO, picture("blue", format="JPEG"), picture("green", format="GIF")])
BINARY = damaged([struct.pack("<I", 4) + b"good", struct.pack("<2f", 1, 2), bytes(8)])
# What is sent under which content type; any of them may come under any other's.
BODIES: dict[str, st.SearchStrategy[bytes]] = {
    "application/json": NATIVE | BIGQUERY | INFERENCE | OPENAI | PUBSUB | json_texts(),
    "application/cloudevents+json": STRUCTURED,
    "multipart/form-data; boundary=b": FORM,
    "text/csv": CSV,
    "image/png": PHOTO,
    "application/octet-stream": PHOTO | NATIVE | st.tuples(INFERENCE, BINARY).map(b"".join),
    "text/plain": PHOTO | CSV | json_texts(),
}
SENT = st.sampled_from(list(BODIES)).flatmap(
    lambda media_type: st.tuples(st.just(media_type), BODIES[media_type])
)
EVENT_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "ce-specversion": st.sampled_from(["1.0", "0.3", "x", ""]),
        "ce-id": st.sampled_from(["1", "", "\xff", "a/b"]),
        "ce-source": st.sampled_from(["//test", "", "\xff"]),
        "ce-type": st.sampled_from(
            [
                "google.cloud.storage.object.v1.finalized",
                "google.cloud.pubsub.topic.v1.messagePublished",
                "own",
            ]
        ),
        "ce-time": st.sampled_from(["2026-11-22T10:00:00Z", "0001-01-01T00:00:00-23:59", "x"]),
        "x-goog-pubsub-message-id": st.sampled_from(["1", "", "\xff"]),
        "content-type": st.sampled_from(["application/json", "text/csv", "image/png", ""]),
    },
)
