"""Records as messages, with Google's own client over real HTTP/2."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from pubsub_server import Message, PubsubServer
from servers import free_port
from zeropoint.errors import UnavailableError
from zeropoint.sinks import pubsub
from zeropoint.sinks.pubsub import PubsubSink

TOPIC = "projects/a-project/topics/results"
URI = f"pubsub://{TOPIC}"
PASSING = ["ABORTED", "INTERNAL", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNKNOWN"]
LASTING = ["INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED"]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubsubServer]:
    with PubsubServer(TOPIC) as running:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", running.address)
        yield running


@pytest.fixture
def hasty(broker: PubsubServer, monkeypatch: pytest.MonkeyPatch) -> PubsubServer:
    """The same, for a client that gives up soon."""
    monkeypatch.setattr(pubsub, "_TIMEOUT_S", 0.5)
    return broker


def test_a_record_is_a_message(broker: PubsubServer) -> None:
    sink = PubsubSink(URI)
    attributes = {"outcome": "result", "id": "7", "topic": "t", "data": "d", "retry": "é"}
    assert sink.put("b/a@7.json", b'{"predictions": []}', attributes)
    told = {**attributes, "name": "b/a@7.json"}
    assert broker.messages == [Message(TOPIC, b'{"predictions": []}', told)]


def test_a_topic_remembers_nothing(broker: PubsubServer) -> None:
    sink = PubsubSink(URI)
    assert sink.put("a.json", b"first", {})
    assert sink.get("a.json") is None
    assert sink.put("a.json", b"second", {})
    assert [message.data for message in broker.messages] == [b"first", b"second"]
    assert not sink.owns("bucket", "a.json")


def test_what_the_broker_would_refuse_for_ever_is_cut(broker: PubsubServer) -> None:
    sink = PubsubSink(URI)
    assert sink.put("x" * 2000 + "1.json", b"1", {"id": "é" * 2000, "source": "\udc80a\0"})
    assert sink.put("x" * 2000 + "2.json", b"2", {})
    first, second = (message.attributes for message in broker.messages)
    assert first["id"] == "é" * 512
    assert first["source"] == "\\udc80a\0"
    assert first["name"] != second["name"]
    assert first["name"].startswith("xxx")
    assert first["name"].endswith(".json")


def test_a_record_as_large_as_can_be_is_published(broker: PubsubServer) -> None:
    sink = PubsubSink(URI)
    assert sink.put("a.json", b"x" * 10_000_000, {})
    with pytest.raises(UnavailableError, match=rf"^{URI}: .* at most 10000000 .* got 10000001: "):
        sink.put("a.json", b"x" * 10_000_001, {})
    assert broker.calls == 1


def test_many_threads_publish_at_once(broker: PubsubServer) -> None:
    sink = PubsubSink(URI)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda n: sink.put(f"{n}", b"%d" % n, {}), range(100)))
    assert sorted(int(message.data) for message in broker.messages) == list(range(100))


@pytest.mark.parametrize("status", PASSING)
def test_a_broker_that_stumbles_is_asked_again(broker: PubsubServer, status: str) -> None:
    broker.fail_next(grpc.StatusCode[status], count=2)
    assert PubsubSink(URI).put("a.json", b"data", {})
    assert broker.calls == 3
    assert len(broker.messages) == 1


def test_a_lost_confirmation_makes_a_second_message_of_the_same_name(broker: PubsubServer) -> None:
    broker.fail_next(grpc.StatusCode.UNAVAILABLE, kept=True)
    assert PubsubSink(URI).put("a.json", b"data", {})
    assert broker.messages == [Message(TOPIC, b"data", {"name": "a.json"})] * 2


@pytest.mark.parametrize("status", PASSING + LASTING)
def test_a_broker_that_refuses_is_unavailable(hasty: PubsubServer, status: str) -> None:
    hasty.fail_next(grpc.StatusCode[status], count=99)
    with pytest.raises(UnavailableError, match=rf"^{URI}: \w+: ") as told:
        PubsubSink(URI).put("a.json", b"data", {})
    assert told.value.retry_after_s == 5.0
    assert hasty.messages == []
    assert (hasty.calls == 1) == (status in LASTING)


def test_a_topic_that_is_not_there_is_unavailable(broker: PubsubServer) -> None:
    sink = PubsubSink("pubsub://projects/a-project/topics/absent")
    with pytest.raises(UnavailableError, match=r"topics/absent: NotFound: 404 Resource not found"):
        sink.put("a.json", b"data", {})


def test_a_broker_that_never_answers_is_unavailable_in_time(hasty: PubsubServer) -> None:
    hasty.delay(30)
    before = time.monotonic()
    with pytest.raises(UnavailableError, match=rf"^{URI}: "):
        PubsubSink(URI).put("a.json", b"data", {})
    assert time.monotonic() - before < 5


def test_a_broker_that_is_away_is_unavailable_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub, "_TIMEOUT_S", 0.5)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    before = time.monotonic()
    with pytest.raises(UnavailableError, match=rf"^{URI}: "):
        PubsubSink(URI).put("a.json", b"data", {})
    assert time.monotonic() - before < 5


def test_a_broker_that_comes_back_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub, "_TIMEOUT_S", 0.5)
    with PubsubServer(TOPIC) as first:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", first.address)
        sink = PubsubSink(URI)
        assert sink.put("a.json", b"data", {})
    with pytest.raises(UnavailableError, match=rf"^{URI}: "):
        sink.put("a.json", b"data", {})
    monkeypatch.setattr(pubsub, "_TIMEOUT_S", 20.0)
    with PubsubServer(TOPIC, port=first.port) as second:
        assert sink.put("a.json", b"data", {})
    assert len(first.messages) == len(second.messages) == 1


def test_no_credentials_are_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(UnavailableError, match=rf"^{URI}: DefaultCredentialsError: "):
        PubsubSink(URI).put("a.json", b"data", {})
