"""Records while their sink is away: kept, durable, found again, and the sink left alone."""

import gc
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.api_core.exceptions import BadRequest, Forbidden, InvalidArgument

from pubsub_server import PubsubServer
from servers import free_port, zeropoint
from storage_server import StorageServer
from zeropoint.errors import SettingsError, UnavailableError
from zeropoint.settings import Settings
from zeropoint.sinks import Sink, deferred, open_outbox, open_sink, outbox, refusals
from zeropoint.sinks.bucket import BucketSink
from zeropoint.sinks.deferred import DeferredSink
from zeropoint.sinks.outbox import DamagedEnvelopeError, Outbox
from zeropoint.sinks.pubsub import PubsubSink

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

RECORD = b'{"event":{"fingerprint":"f"},"predictions":[{"label":"caf\xc3\xa9"}]}'
TOPIC = "projects/a-project/topics/results"


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    with StorageServer() as running:
        running.put("bucket", "other", b"")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running
    gc.collect()  # Google's client leaves the sockets of failed calls to the collector


@pytest.fixture
def sink(storage: StorageServer, tmp_path: Path) -> DeferredSink:
    """A bucket's, whose client gives up soon."""
    return DeferredSink(BucketSink("gs://bucket", 0.4), Outbox(tmp_path / "outbox"))


def kept(folder: Path) -> int:
    return len(Outbox(folder / "outbox").waiting())


# The folder


def test_a_record_is_kept_once_with_what_its_sink_has_to_know(tmp_path: Path) -> None:
    found = Outbox(tmp_path / "new" / "outbox")
    assert (found.waiting(), found.get("a/b.json")) == ([], None)
    assert found.put("a/b.json", RECORD, {"id": "é"})
    assert not found.put("a/b.json", b"{}", {})
    assert found.get("a/b.json") == RECORD
    (file,) = found.waiting()
    envelope = found.read(file)
    assert (envelope.name, envelope.attributes) == ("a/b.json", {"id": "é"})
    assert bytes(envelope.record) == RECORD
    found.remove(file)
    assert (found.waiting(), found.get("a/b.json")) == ([], None)


@pytest.mark.parametrize("name", ["", "..", "/etc/passwd", "a\0b", "\udc80", "x" * 9999, "a/" * 99])
def test_any_name_is_a_file_of_the_folder(tmp_path: Path, name: str) -> None:
    found = Outbox(tmp_path / "outbox")
    assert found.put(name, b"{}", {"source": name})
    assert found.get(name) == b"{}"
    (file,) = found.waiting()
    assert found.read(file).name == name.encode(errors="backslashreplace").decode()
    assert [path.name for path in tmp_path.iterdir()] == ["outbox"]


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    found = Outbox(tmp_path)
    for number in range(20):
        found.put(f"{number}.json", b"{}", {})
    files = found.waiting()
    assert files != sorted(files)  # their names tell nothing
    for number, file in enumerate(files):
        os.utime(tmp_path / "waiting" / file, (1000.0 - number, 1000.0 - number))
    assert found.waiting() == files[::-1]


def test_what_was_refused_is_found_but_waits_no_more(tmp_path: Path) -> None:
    found = Outbox(tmp_path)
    found.put("a.json", RECORD, {})
    found.put("b.json", RECORD, {})
    found.refuse(found.waiting()[0])
    found.refuse(found.waiting()[0])
    assert (found.waiting(), found.refused()) == ([], 2)
    assert found.get("a.json") == RECORD


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"name": "a"}', b"\xff", b'{"name": "\xff'])
def test_a_damaged_file_is_told_and_is_no_record(tmp_path: Path, data: bytes) -> None:
    found = Outbox(tmp_path)
    found.put("a.json", b"{}", {})
    (file,) = found.waiting()
    (tmp_path / "waiting" / file).write_bytes(data)
    assert found.get("a.json") is None
    with pytest.raises(DamagedEnvelopeError):
        found.read(file)
    assert found.put("a.json", RECORD, {})  # as its event comes again
    assert found.get("a.json") == RECORD
    assert (len(found.waiting()), found.refused()) == (1, 1)


def test_only_one_sends_at_a_time(tmp_path: Path) -> None:
    Outbox(tmp_path).put("a.json", b"{}", {})
    again = Outbox(tmp_path)
    with Outbox(tmp_path).alone():
        with pytest.raises(UnavailableError, match="another zeropoint sync"), again.alone():
            pass
        assert Outbox(tmp_path).put("b.json", b"{}", {})  # who keeps is never kept waiting
    with Outbox(tmp_path).alone():
        pass


def test_an_outbox_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    found = Outbox(tmp_path / "file")
    for call in (
        lambda: found.put("a", b"{}", {}),
        lambda: found.get("a"),
        found.waiting,
        found.alone().__enter__,
    ):
        with pytest.raises(UnavailableError, match=r"file: expected a folder .*Not a directory"):
            call()


def test_parts_of_killed_processes_go_and_those_of_others_stay(tmp_path: Path) -> None:
    found = Outbox(tmp_path)
    found.sweep()  # also where there is nothing yet
    found.put("a.json", b"{}", {})
    old, new = (tmp_path / "waiting" / f".zeropoint-{n}-0.part" for n in (1, 2))
    for path in (old, new):
        path.write_bytes(b"{")
    os.utime(old, (0, 0))
    found.sweep()
    assert (old.exists(), new.exists(), len(found.waiting())) == (False, True, 1)


# A sink and its outbox


def test_a_sink_that_is_there_gets_its_records(
    sink: DeferredSink, storage: StorageServer, tmp_path: Path
) -> None:
    assert sink.get("a.json") is None
    assert sink.put("a.json", RECORD, {})
    assert not sink.put("a.json", b"{}", {})
    assert sink.get("a.json") == RECORD == storage.objects("bucket")["a.json"]
    assert sink.owns("bucket", "a.json")
    assert sink.location == "gs://bucket"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
def test_a_sink_that_is_away_or_refuses_changes_nothing_for_its_events(
    sink: DeferredSink, storage: StorageServer, tmp_path: Path, status: int
) -> None:
    storage.fail_next("", status, count=999)
    for number in range(3):
        name = f"{number}.json"
        assert sink.get(name) is None
        assert sink.put(name, RECORD, {})
        assert sink.get(name) == RECORD  # as a redelivery asks
        assert not sink.put(name, b"{}", {})
    assert kept(tmp_path) == 3
    assert set(storage.objects("bucket")) == {"other"}


def test_a_sink_that_stalls_is_waited_for_once_in_a_while(
    sink: DeferredSink, storage: StorageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.stall(60.0)
    assert sink.get("0.json") is None
    asked = len(storage.requests)
    began_s = time.monotonic()
    for number in range(20):
        assert sink.get(f"{number}.json") is None
        assert sink.put(f"{number}.json", RECORD, {})
    assert len(storage.requests) == asked >= 1
    assert time.monotonic() - began_s < 5
    assert kept(tmp_path) == 20
    monkeypatch.setattr(sink, "_next_try_s", 0.0)  # as after a while
    assert sink.get("new.json") is None
    assert len(storage.requests) > asked


def test_of_many_at_once_one_finds_out_that_the_sink_is_back(
    storage: StorageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = DeferredSink(BucketSink("gs://bucket", 20.0), Outbox(tmp_path / "outbox"))
    storage.fail_next("", 403, count=1)
    sink.get("a.json")
    monkeypatch.setattr(sink, "_next_try_s", 0.0)
    asked = len(storage.requests)
    storage.stall(0.5)
    together = threading.Barrier(8)

    def look(number: int) -> None:
        together.wait(10)
        sink.get(f"{number}.json")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(8)))
    assert len(storage.requests) == asked + 1
    storage.stall(0.0)
    assert sink.put("a.json", RECORD, {})
    assert "a.json" in storage.objects("bucket")
    assert kept(tmp_path) == 0


def test_an_absence_is_told_once_and_so_is_its_end(
    sink: DeferredSink,
    storage: StorageServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("zeropoint.logs.log.propagate", True)
    monkeypatch.setattr(deferred, "_PAUSE_S", 0.0)
    caplog.set_level("INFO", "zeropoint")
    storage.fail_next("POST /upload", 403, count=3)
    for number in range(5):  # a look succeeds meanwhile, which is no end
        sink.get(f"{number}.json")
        sink.put(f"{number}.json", RECORD, {})
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("the sink is away: results wait in ")
    assert "403" in first
    assert second.startswith("the sink is back; zeropoint sync sends what waits in ")


def test_a_record_that_is_refused_for_ever_is_kept_and_others_go_on(
    sink: DeferredSink, storage: StorageServer, tmp_path: Path
) -> None:
    storage.fail_next("POST /upload", 400)
    assert sink.put("a.json", RECORD, {})
    assert sink.put("b.json", RECORD, {})
    assert kept(tmp_path) == 1
    assert "b.json" in storage.objects("bucket")


def test_an_outbox_that_is_full_too_leaves_the_event_to_come_again(
    storage: StorageServer, tmp_path: Path
) -> None:
    (tmp_path / "outbox").write_bytes(b"in the way")
    storage.fail_next("POST /upload", 503, count=999)
    full = DeferredSink(BucketSink("gs://bucket", 0.2), Outbox(tmp_path / "outbox"))
    with pytest.raises(UnavailableError, match="outbox"):
        full.put("a.json", RECORD, {})


def test_a_topic_that_is_away_is_tried_by_one_and_gets_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A topic answers a look without being asked, so a look tells nothing."""
    with PubsubServer(TOPIC) as broker:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", broker.address)
        far = PubsubSink(f"pubsub://{TOPIC}", 0.5)
        topic = DeferredSink(far, Outbox(tmp_path / "outbox"))
        broker.fail_next(grpc.StatusCode.PERMISSION_DENIED)
        for number in range(3):
            assert topic.get(f"{number}.json") is None
            assert topic.put(f"{number}.json", RECORD, {"id": "7"})
        assert (broker.calls, kept(tmp_path)) == (1, 3)
        monkeypatch.setattr(topic, "_next_try_s", 0.0)
        assert topic.get("3.json") is None
        assert topic.put("3.json", RECORD, {})
        assert topic.put("4.json", RECORD, {})
        assert [message.attributes["name"] for message in broker.messages] == ["3.json", "4.json"]
        assert topic.put("large.json", b'"%s"' % (b"x" * 10_000_000), {})
        assert (broker.calls, kept(tmp_path)) == (3, 4)


def test_a_broker_that_is_away_is_given_up_within_the_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    began_s = time.monotonic()
    with pytest.raises(UnavailableError):
        PubsubSink(f"pubsub://{TOPIC}", 0.3).put("a.json", b"{}", {})
    assert time.monotonic() - began_s < 10  # of 20 without


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (BadRequest, True),
        (InvalidArgument, True),
        (Forbidden, False),
        (OSError, False),
    ],
)
def test_which_refusals_last(cause: type[Exception], expected: bool) -> None:
    error = UnavailableError("x")
    assert not refusals.lasts(error)
    error.__cause__ = cause("x")
    assert refusals.lasts(error) is expected
    assert refusals.lasts(refusals.RecordRefusedError("x"))


@pytest.mark.parametrize(
    ("record", "expected"),
    [(RECORD, "f"), (b"{}", ""), (b"no json", ""), (b'{"event": 1}', ""), (b"\xff", "")],
)
def test_a_record_tells_the_data_of_its_event(record: bytes, expected: str) -> None:
    assert outbox.fingerprint(record) == expected


# The setting


@pytest.mark.parametrize("results", ["gs://bucket/p", f"pubsub://{TOPIC}"])
def test_the_outbox_stands_behind_a_sink_in_the_network(tmp_path: Path, results: str) -> None:
    chosen = Settings(results=results, outbox=str(tmp_path / "outbox"))
    sink: Sink = open_sink(chosen)
    assert isinstance(sink, DeferredSink)
    assert sink.location == results
    assert open_outbox(chosen)[1].location == str(tmp_path / "outbox")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("results", ["", "file:///tmp/results"])
def test_an_outbox_for_no_network_is_a_wrong_setting(tmp_path: Path, results: str) -> None:
    with pytest.raises(SettingsError, match=r"^ZEROPOINT_OUTBOX .* gs:// or pubsub://"):
        open_sink(Settings(results=results, outbox=str(tmp_path)))


def test_a_server_with_an_outbox_for_no_network_does_not_start(tmp_path: Path) -> None:
    settings = {"ZEROPOINT_OUTBOX": str(tmp_path), "ZEROPOINT_RESULTS": "file:///tmp/results"}
    done = zeropoint(tmp_path, "serve", settings=settings)
    assert done.returncode == 78
    assert "ZEROPOINT_OUTBOX keeps what a sink in the network" in done.stdout


def test_an_outbox_is_an_absolute_path() -> None:
    with pytest.raises(SettingsError, match=r"^ZEROPOINT_OUTBOX: .* got 'outbox'$"):
        open_sink(Settings(results="gs://bucket", outbox="outbox"))
    with pytest.raises(SettingsError, match=r"^ZEROPOINT_OUTBOX: .* got none$"):
        open_outbox(Settings(results="gs://bucket"))


def test_what_is_behind_an_outbox_is_told_as_any_sink() -> None:
    with pytest.raises(SettingsError, match=r"^ZEROPOINT_RESULTS is 'gs://B'"):
        open_sink(Settings(results="gs://B", outbox="/tmp/outbox"))  # noqa: S108 - not used
