"""Requests and responses over WSGI."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeropoint.errors import MalformedError
from zeropoint.wsgi import Request, Response


def request(body: bytes = b"", **environ: Any) -> Request:
    return Request({"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(body), **environ})


def test_a_path_is_text_with_one_slash_before_it() -> None:
    assert request(PATH_INFO="//mod\xc3\xa8le").path == "/modèle"
    assert request(PATH_INFO="/\xff").path == "/\N{REPLACEMENT CHARACTER}"
    assert request().path == "/"


def test_a_media_type_is_told_from_its_parameters() -> None:
    found = request(CONTENT_TYPE=" Text/CSV ; charset=utf-8")
    assert (found.media_type, found.content_type) == ("text/csv", " Text/CSV ; charset=utf-8")
    assert request().media_type == ""


def test_headers_have_their_names_in_lower_case() -> None:
    found = request(HTTP_CE_ID="1", HTTP_X_A="b", CONTENT_TYPE="a/b", CONTENT_LENGTH="0")
    assert found.headers() == {
        "ce-id": "1",
        "x-a": "b",
        "content-type": "a/b",
        "content-length": "0",
    }
    assert (found.header("ce-id"), found.header("ce-type"), found.header("x", "y")) == (
        "1",
        "",
        "y",
    )


def test_a_query_keeps_its_order_and_its_empty_values() -> None:
    found = request(QUERY_STRING="b=1&a=%7B%7D&b=&c+d=%C3%A8&e=%FF")
    replaced = "\N{REPLACEMENT CHARACTER}"
    assert found.query() == [("b", "1"), ("a", "{}"), ("b", ""), ("c d", "è"), ("e", replaced)]


class Trickling(io.BytesIO):
    """A body that comes byte by byte."""

    def read(self, size: int | None = -1) -> bytes:  # noqa: D102
        return super().read(min(1, 1 if size is None else size))


@given(st.binary(max_size=40), st.integers(0, 50), st.booleans())
def test_a_body_is_read_to_the_limit(body: bytes, limit: int, trickling: bool) -> None:
    stream = Trickling(body) if trickling else io.BytesIO(body)
    found = Request(
        {"REQUEST_METHOD": "POST", "wsgi.input": stream, "CONTENT_LENGTH": str(len(body))}
    )
    assert found.body(limit) == body[:limit]
    assert found.body(limit) == body[:limit]  # read once, kept


def test_a_body_in_chunks_has_no_length_but_an_end() -> None:
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert request(b"abc", **chunked).content_length is None
    assert request(b"abc", **chunked).body(9) == b"abc"
    assert request(b"abc").body(9) == b""  # neither: it may never end


@pytest.mark.parametrize("text", ["-1", "1_0", "\u0661", "x"])
def test_a_length_that_is_none_is_not_believed(text: str) -> None:
    assert request(b"abc", CONTENT_LENGTH=text).content_length is None


def test_less_than_the_caller_said_is_refused() -> None:
    with pytest.raises(MalformedError, match="a whole HTTP request"):
        request(b"abc", CONTENT_LENGTH="4").body(9)


class Broken(io.BytesIO):
    """A stream whose server finds a chunk that is none."""

    def read(self, size: int | None = -1) -> bytes:  # noqa: D102
        raise OSError("an invalid chunk with a caller's bytes")


def test_a_broken_stream_is_refused_without_its_bytes() -> None:
    environ = {"REQUEST_METHOD": "POST", "wsgi.input": Broken(), "CONTENT_LENGTH": "4"}
    with pytest.raises(MalformedError) as refused:
        Request(environ).body(9)
    assert "bytes" not in refused.value.message


def test_head_has_the_headers_without_the_body() -> None:
    response = Response(404, {"Content-Length": "3"}, b"abc").having("X-A", "b")
    told: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
        told.append((status, headers))

    assert list(response.send("HEAD", start)) == []
    assert list(response.send("GET", start)) == [b"abc"]
    assert told == [("404 Not Found", [("Content-Length", "3"), ("X-A", "b")])] * 2
