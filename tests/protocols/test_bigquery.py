"""BigQuery remote functions, over HTTP, as BigQuery sends them."""

import base64
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from servers import Server
from test_app import MARK
from tiny_models import picture

# The statuses after which BigQuery sends a request again.
REPEATED = (408, 429, 500, 503, 504)


def b64(colour: str) -> str:
    return base64.b64encode(picture(colour)).decode()


def query(server: Server, calls: Any, path: str = "/bigquery", **context: str) -> requests.Response:
    document = {
        "requestId": "124ab1c",
        "caller": "//bigquery.googleapis.com/projects/p/jobs/p:US.job",
        "sessionUser": f"{MARK}@example.com",
        "userDefinedContext": context,
        "calls": calls,
    }
    return requests.post(server.url + path, json=document, timeout=30)


def refused(response: requests.Response, status: int, text: str) -> None:
    """Checks that a response ends the query with a message."""
    assert response.status_code == status, response.text[:500]
    assert response.status_code not in REPEATED
    assert response.json().keys() == {"errorMessage"}
    assert text in response.json()["errorMessage"]
    assert MARK not in response.text


def test_each_call_has_its_reply_in_order(colour_server: Server) -> None:
    response = query(colour_server, [[b64("red")], [b64("blue")], [b64("green")]])
    assert response.status_code == 200
    assert response.json().keys() == {"replies"}
    replies = response.json()["replies"]
    assert [reply["label"] for reply in replies] == ["red", "blue", "green"]


def test_null_in_is_null_out(colour_server: Server) -> None:
    replies = query(colour_server, [[None], [b64("red")], [None, None]]).json()["replies"]
    assert replies[0] is None
    assert replies[1]["label"] == "red"
    assert replies[2] is None


def test_no_calls_have_no_replies(colour_server: Server) -> None:
    assert query(colour_server, []).json() == {"replies": []}


def test_the_context_names_the_model_and_its_parameters(colour_server: Server) -> None:
    context = {"model": "colour", "parameters": '{"top_k": 3}'}
    (reply,) = query(colour_server, [[b64("red")]], **context).json()["replies"]
    assert len(reply["top"]) == 3


def test_one_url_tells_it_apart(colour_server: Server) -> None:
    (reply,) = query(colour_server, [[b64("red")]], path="/").json()["replies"]
    assert reply["label"] == "red"
    refused(query(colour_server, [["no base64"]], path="/"), 400, "malformed")


def test_a_bad_row_ends_the_query_and_is_named(colour_server: Server) -> None:
    text = base64.b64encode(MARK.encode()).decode()
    response = query(colour_server, [[None], [b64("red")], [text]])
    refused(response, 415, "unsupported_media: instance 3 of 3: expected a JPEG")


@pytest.mark.parametrize(
    ("calls", "status", "text"),
    [
        ([[MARK]], 400, "expected standard base64"),
        ([[]], 400, "at least one argument"),
        ([[1]], 422, "expected an image"),
        ([[b64("red"), 2]], 422, "expected an image"),
        ("x", 400, "malformed"),
        ([1], 400, "malformed"),
        (None, 400, "malformed"),
        ([["gs://nobody/knows.png"]], 422, "a bucket that ZEROPOINT_BUCKETS names"),
    ],
)
def test_a_wrong_call_ends_the_query(
    colour_server: Server, calls: Any, status: int, text: str
) -> None:
    refused(query(colour_server, calls), status, text)


@pytest.mark.parametrize(
    ("context", "status"),
    [
        ({"model": "nope"}, 404),
        ({"parameters": "no json"}, 400),
        ({"parameters": "[]"}, 400),
        ({"parameters": '{"top_k": 0}'}, 422),
    ],
)
def test_a_wrong_context_ends_the_query(
    colour_server: Server, context: dict[str, str], status: int
) -> None:
    refused(query(colour_server, [[b64("red")]], **context), status, ": ")


def test_another_media_type_and_method_are_refused_in_its_shape(colour_server: Server) -> None:
    url = colour_server.url + "/bigquery"
    refused(requests.post(url, data=b"x", timeout=10), 415, "unsupported_media")
    refused(requests.get(url, timeout=10), 405, "method_not_allowed")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["calls", "userDefinedContext", "requestId"]), JSON))
@hypothesis_settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_document_is_answered_or_refused_in_shape(
    colour_server: Server, document: dict[str, Any]
) -> None:
    url = colour_server.url + "/bigquery"
    try:
        response = requests.post(url, json=document, timeout=30)
    except requests.exceptions.InvalidJSONError:
        return
    if response.status_code == 200:
        assert len(response.json()["replies"]) == len(document["calls"])
    else:
        refused(response, response.status_code, "")
        assert 400 <= response.status_code < 500
