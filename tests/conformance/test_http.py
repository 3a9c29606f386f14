"""Case 17: what is no HTTP, or hardly, is refused or left unanswered, and never our fault."""

import random

import pytest

from conformance.wire import (
    LIBTIFF,
    PHOTO,
    connected,
    photo_is_answered,
    received,
    refused,
)
from servers import Server

HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "a line break": b"\r\n\r\n",
    "nothing but breaks": b"\n" * 100,
    "a word": b"hello\r\n\r\n",
    "no version": b"GET /livez\r\n\r\n",
    "another protocol": b"GET /livez FTP/1.0\r\n\r\n",
    "a version of none": b"GET /livez HTTP/x.y\r\n\r\n",
    "version 0.9": b"GET /livez HTTP/0.9\r\n\r\n",
    "version 9.9": b"GET /livez HTTP/9.9\r\nHost: a\r\n\r\n",
    "no method": b" /livez HTTP/1.1\r\n\r\n",
    "a method in lower case": b"get /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method of signs": b"<G>E/T /livez HTTP/1.1\r\n\r\n",
    "a long method": b"G" * 10_000 + b" /livez HTTP/1.1\r\n\r\n",
    "no path": b"GET HTTP/1.1\r\n\r\n",
    "two spaces": b"GET  /livez  HTTP/1.1\r\n\r\n",
    "a tab": b"GET\t/livez\tHTTP/1.1\r\n\r\n",
    "more words": b"GET /livez and more HTTP/1.1\r\n\r\n",
    "a path of a star": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path of an authority": b"CONNECT example.com:443 HTTP/1.1\r\n\r\n",
    "a whole address": b"GET http://example.com/nope HTTP/1.1\r\nHost: a\r\n\r\n",
    "an address that is none": b"GET http://[::1/nope HTTP/1.1\r\nHost: a\r\n\r\n",
    "an address with a port that is none": b"GET http://a:b:c/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path without a slash": b"GET nope HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path of bytes": b"GET /\xff\xfe\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path with a null": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "broken percents": b"GET /%zz%2%u0041% HTTP/1.1\r\nHost: a\r\n\r\n",
    "percents of no text": b"GET /%ff%00%0d%0a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a way up": b"GET /../../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    "a query of bytes": b"GET /predict?\xff=%ff&&=&%=;? HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": b"GET /nope#a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long path": b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path longer than a head may be": b"GET /" + b"a" * 400_000 + b" HTTP/1.1\r\n\r\n",
    "a header without a colon": HEAD + b"hello\r\n\r\n",
    "a header without a name": HEAD + b": x\r\n\r\n",
    "a header with a space in its name": HEAD + b"a b: x\r\n\r\n",
    "a header with a space after its name": HEAD + b"a : x\r\n\r\n",
    "a header that goes on": HEAD + b"a: x\r\n y\r\n\r\n",
    "a first header that goes on": b"GET /nope HTTP/1.1\r\n a: x\r\n\r\n",
    "a header of signs": HEAD + b"(a): x\r\n\r\n",
    "a header with a null": HEAD + b"a: x\0y\r\n\r\n",
    "a header of bytes": HEAD + b"a: \xff\xfe\r\nContent-Length: 1\r\n\r\nx",
    "a header with a lone return": HEAD + b"a: x\ry: z\r\n\r\n",
    "lines that end with a newline alone": b"GET /nope HTTP/1.1\nHost: a\n\n",
    "many headers": HEAD + b"".join(b"a%d: x\r\n" % n for n in range(20_000)) + b"\r\n",
    "a long header": HEAD + b"a: " + b"x" * 400_000 + b"\r\n\r\n",
    "no host": b"GET /nope HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /nope HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a length of text": HEAD + b"Content-Length: x\r\n\r\n",
    "a length below nothing": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "a length of half": HEAD + b"Content-Length: 5.5\r\n\r\nhello",
    "a length in hexadecimal": HEAD + b"Content-Length: 0x5\r\n\r\nhello",
    "a length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\nhello",
    "a length in other digits": HEAD + b"Content-Length: \xd9\xa5\r\n\r\nhello",
    "a length of many digits": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "no length": HEAD + b"Content-Length:\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "a length and chunks": HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    "two codings": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in chunks": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks but not at the end": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunks with a sign before": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": b"POST /predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of text": CHUNKED + b"hello\r\n",
    "a chunk below nothing": CHUNKED + b"-1\r\nx\r\n0\r\n\r\n",
    "a chunk with a sign": CHUNKED + b"+1\r\nx\r\n0\r\n\r\n",
    "a chunk of 0x": CHUNKED + b"0x1\r\nx\r\n0\r\n\r\n",
    "a chunk with an underscore": CHUNKED + b"1_0\r\nx\r\n0\r\n\r\n",
    "a chunk of spaces": CHUNKED + b" 1 \r\nx\r\n0\r\n\r\n",
    "a chunk of nothing": CHUNKED + b"\r\nx\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": CHUNKED + b"f" * 17 + b"\r\nx\r\n",
    "a chunk of many digits": CHUNKED + b"f" * 5000 + b"\r\nx\r\n",
    "a chunk longer than it says": CHUNKED + b"1\r\nhello\r\n0\r\n\r\n",
    "a chunk's extension that is none": CHUNKED + b"1;\0\r\nx\r\n0\r\n\r\n",
    "a long extension": CHUNKED + b"1;" + b"a" * 100_000 + b"\r\nx\r\n0\r\n\r\n",
    "a trailer that is none": CHUNKED + b"0\r\nhello\r\n\r\n",
    "a trailer of a length": CHUNKED + b"1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n",
    "an expectation that is none": HEAD + b"Expect: the-unexpected\r\nContent-Length: 1\r\n\r\nx",
    "an upgrade": HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n",
    "a proxy's line": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /nope HTTP/1.1\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "bytes": bytes(range(256)) * 4 + b"\r\n\r\n",
}


def answered(server: Server, data: bytes, wait_s: float) -> int:
    """Sends bytes and returns the status that came back, its refusal checked; 0: none did."""
    with connected(server, data, timeout_s=wait_s) as connection:
        answer = received(connection)
    if answer is None:
        return 0
    assert answer.status < 500, (data[:200], answer)
    if answer.status >= 400 and answer.body:
        refused(answer, "/predict")
    return answer.status


@pytest.mark.parametrize("name", MALFORMED)
def test_17_malformed_http_is_never_our_fault(server: Server, name: str) -> None:
    before = len(server.records())
    answered(server, MALFORMED[name], wait_s=0.3)
    assert [one for one in server.records()[before:] if one["severity"] == "ERROR"] == []


def test_17_most_of_it_is_refused_and_not_left_waiting(server: Server) -> None:
    statuses = [answered(server, data, wait_s=0.2) for data in MALFORMED.values()]
    assert len(MALFORMED) > 80
    assert sum(400 <= status < 500 for status in statuses) > 0.8 * len(statuses)


def test_17_a_request_with_random_damage_is_never_our_fault(server: Server) -> None:
    chance = random.Random(20261123)  # noqa: S311 - the same damage at each run
    body = PHOTO[:2000]
    whole = (
        HEAD
        + b"Content-Type: image/jpeg\r\nX-Request-Id: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    head_length = len(whole)
    for _ in range(250):
        data = bytearray(whole + body)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(head_length)
            match chance.randrange(3):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at]
                case _:
                    data.insert(at, chance.choice(b"\r\n \0:;,%\xff09"))
        answered(server, bytes(data), wait_s=0.02)


def test_17_a_body_that_ends_early_is_no_request(server: Server) -> None:
    before = len(server.records())
    for kept in (0, 1, len(PHOTO) // 2, len(PHOTO) - 1):
        head = HEAD + b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(PHOTO)
        with connected(server, head + PHOTO[:kept]):
            pass
        with connected(server, CHUNKED + b"%x\r\n" % len(PHOTO) + PHOTO[:kept]):
            pass
    photo_is_answered(server)  # after them
    assert [one for one in server.records()[before:] if one["severity"] == "ERROR"] == []
    told = [line for line in server.stderr().splitlines() if not line.startswith(LIBTIFF)]
    assert len(told) == 1  # that it serves
