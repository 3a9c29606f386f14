"""Records as objects, with Google's own client over real HTTP."""

import gc
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, strategies
from hypothesis import settings as hypothesis_settings

from servers import free_port
from storage_server import StorageServer
from zeropoint import gcs
from zeropoint.errors import UnavailableError
from zeropoint.sinks.bucket import BucketSink

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

SMALL = b'{"predictions": []}'
LARGE = b"[" + b"0," * (5 << 20) + b"0]"  # over 8 MiB the client uploads in another way
NAMES = strategies.one_of(
    strategies.text(),
    strategies.text("./%_2Ejson\0\r\n", max_size=20),
    strategies.builds(
        lambda text, times: text * times, strategies.text("./a%é\0"), strategies.integers(1, 2000)
    ),
)
HOSTILE = [
    *("", "/", ".", "..", "../a", "a//b", "a\nb", "a\rb", "a\0b", "%", "%0A", "\udc80", "\ufffe"),
    *("é", "e\u0301", "x" * 2000, "é" * 2000, "x" * 2000 + ".json", "x" * 1999, "a/" * 999),
    *(".well-known/acme-challenge/a", "a#b?c[d]*", "a", "a/b", "a.json", "a.json/b", "\u2028"),
]


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    with StorageServer() as running:
        running.put("bucket", "other", b"")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running
    gc.collect()  # Google's client leaves the sockets of failed calls to the collector


@pytest.fixture
def hasty(storage: StorageServer, monkeypatch: pytest.MonkeyPatch) -> StorageServer:
    """The same, for a client that gives up soon."""
    monkeypatch.setattr(gcs, "_RETRY_S", 0.05)
    return storage


@pytest.mark.parametrize("data", [SMALL, LARGE, b""], ids=["small", "large", "empty"])
def test_a_record_is_written_once(storage: StorageServer, data: bytes) -> None:
    sink = BucketSink("gs://bucket/some/results/")
    assert sink.get("b/a folder/ü.jpg@7.json") is None
    assert sink.put("b/a folder/ü.jpg@7.json", data, {"outcome": "result"})
    assert not sink.put("b/a folder/ü.jpg@7.json", b"another", {})
    assert sink.get("b/a folder/ü.jpg@7.json") == data
    written = {"other": b"", "some/results/b/a folder/ü.jpg@7.json": data}
    assert storage.objects("bucket") == written


def test_a_record_is_json(storage: StorageServer) -> None:
    BucketSink("gs://bucket").put("a.json", SMALL, {})
    client = gcs.Bucket("bucket")._connected()
    assert client.bucket("bucket").get_blob("a.json").content_type == "application/json"


def test_of_many_writers_one_writes(storage: StorageServer) -> None:
    barrier = threading.Barrier(8)

    def write(number: int) -> bool:
        sink = BucketSink("gs://bucket/results")
        barrier.wait()
        return sink.put("a.json", b"%d" % number, {})

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert won.count(True) == 1
    assert storage.objects("bucket")["results/a.json"] == b"%d" % won.index(True)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_lost_answer_is_not_another_s_record(storage: StorageServer, data: bytes) -> None:
    """The upload was carried out, the client did not hear of it and tries again: 412."""
    storage.truncate_next("POST /upload" if data is SMALL else "PUT /upload")
    assert BucketSink("gs://bucket").put("a.json", data, {})
    assert storage.objects("bucket")["a.json"] == data
    uploads = [path for method, path in storage.requests if path.startswith("/upload")]
    assert len(uploads) > (1 if data is SMALL else 2)


def test_a_lost_answer_about_another_s_record_is_told_so(storage: StorageServer) -> None:
    storage.put("bucket", "a.json", b"another")
    storage.truncate_next("POST /upload")
    assert not BucketSink("gs://bucket").put("a.json", SMALL, {})
    assert storage.objects("bucket")["a.json"] == b"another"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_storage_that_stumbles_once_is_asked_again(storage: StorageServer, status: int) -> None:
    storage.fail_next("POST /upload", status)
    sink = BucketSink("gs://bucket")
    assert sink.put("a.json", SMALL, {})
    assert sink.get("a.json") == SMALL


@pytest.mark.parametrize("status", [400, 401, 403, 429, 503])
def test_a_storage_that_refuses_is_unavailable(hasty: StorageServer, status: int) -> None:
    sink = BucketSink("gs://bucket")
    hasty.fail_next("", status, count=99)
    for call in (lambda: sink.put("a.json", SMALL, {}), lambda: sink.get("a.json")):
        with pytest.raises(UnavailableError, match=r"^gs://bucket/a.json: ") as told:
            call()
        assert told.value.retry_after_s == 5.0
        assert "bucket/" not in told.value.message  # the caller need not know which
    assert "a.json" not in hasty.objects("bucket")


def test_a_record_that_cannot_be_read_back_may_come_again(hasty: StorageServer) -> None:
    """Whose it is stays unknown, so that nothing is claimed."""
    hasty.put("bucket", "a.json", b"another")
    hasty.fail_next("GET", 503, count=99)
    with pytest.raises(UnavailableError):
        BucketSink("gs://bucket").put("a.json", SMALL, {})


def test_a_record_deleted_meanwhile_may_come_again(storage: StorageServer) -> None:
    storage.fail_next("POST /upload", 412)
    with pytest.raises(UnavailableError, match=r"^gs://bucket/a.json: "):
        BucketSink("gs://bucket").put("a.json", SMALL, {})


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_bucket_that_is_not_there_is_unavailable(storage: StorageServer, data: bytes) -> None:
    sink = BucketSink("gs://absent/p")
    with pytest.raises(UnavailableError, match=r"^gs://absent/p/a.json: .* no such bucket"):
        sink.put("a.json", data, {})
    assert sink.get("a.json") is None


def test_a_storage_that_never_answers_is_unavailable(
    hasty: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs, "_TIMEOUT_S", (5.0, 0.1))
    hasty.stall(30)
    sink = BucketSink("gs://bucket")
    for call in (lambda: sink.put("a.json", SMALL, {}), lambda: sink.get("a.json")):
        with pytest.raises(UnavailableError, match=r"^gs://bucket/a.json: "):
            call()


def test_a_storage_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs, "_RETRY_S", 0.05)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UnavailableError, match=r"^gs://bucket/a.json: "):
        BucketSink("gs://bucket").put("a.json", SMALL, {})


@pytest.mark.parametrize(
    ("uri", "bucket", "name", "owned"),
    [
        ("gs://bucket", "bucket", "", True),
        ("gs://bucket", "bucket", "any/thing", True),
        ("gs://bucket/", "bucket", "any/thing", True),
        ("gs://bucket", "bucket2", "any/thing", False),
        ("gs://bucket/a", "bucket", "a/x", True),
        ("gs://bucket/a/", "bucket", "a/x", True),
        ("gs://bucket/a", "bucket", "a/", True),
        ("gs://bucket/a", "bucket", "a", False),
        ("gs://bucket/a", "bucket", "ab/x", False),
        ("gs://bucket/a", "bucket", "b/a/x", False),
        ("gs://bucket/a", "bucket", "", False),
        ("gs://bucket/a", "other", "a/x", False),
        ("gs://bucket/a/b", "bucket", "a/x", False),
    ],
)
def test_a_sink_owns_what_is_below_its_prefix(
    uri: str, bucket: str, name: str, owned: bool
) -> None:
    assert BucketSink(uri).owns(bucket, name) is owned


def test_hostile_names_are_objects_of_their_own(storage: StorageServer) -> None:
    sink = BucketSink("gs://bucket/p")
    for name in HOSTILE:
        assert sink.put(name, name.encode(errors="surrogatepass"), {}), name
    for name in HOSTILE:
        assert sink.get(name) == name.encode(errors="surrogatepass")
        assert not sink.put(name, b"-", {})
    assert len(storage.objects("bucket")) == len(HOSTILE) + 1


@pytest.mark.parametrize("uri", ["gs://bucket", "gs://bucket/p", f"gs://bucket/{'é' * 256}"])
@hypothesis_settings(max_examples=300, deadline=None, database=None)
@given(strategies.lists(NAMES, min_size=1, max_size=8, unique=True))
@example(HOSTILE)
def test_every_name_is_one_that_the_store_takes_and_no_two_are_one(
    uri: str, names: list[str]
) -> None:
    sink = BucketSink(uri)
    objects = [sink._object(name) for name in names]
    looks = {name.removeprefix(sink._prefix) for name in objects} - set(names)
    objects += [sink._object(name) for name in looks]
    assert len(set(objects)) == len(names) + len(looks)
    for name in objects:
        assert 0 < len(name.encode()) <= 1024
        assert not re.search(r"[\r\n\0]", name)
        assert not {".", "..", ""} & set(name.split("/"))
        assert not name.startswith(".well-known/")
        assert sink.owns("bucket", name)


def test_an_object_is_read_at_its_generation(storage: StorageServer) -> None:
    first = storage.put("bucket", "a", b"first")
    bucket = gcs.Bucket("bucket")
    assert bucket.size("a", first) == bucket.size("a") == 5
    assert bucket.read("a", 3, first) == b"fir"
    second = storage.put("bucket", "a", b"the second")
    assert bucket.size("a", second) == 10
    for call in (lambda: bucket.size("a", first), lambda: bucket.read("a", 9, first)):
        with pytest.raises(gcs.ObjectNotFoundError, match=r"^gs://bucket/a: "):
            call()


def test_the_allowed_buckets_are_those_between_the_commas() -> None:
    assert gcs.allowed("") == {}
    found = gcs.allowed(" a, b,,c ,")
    assert {name: bucket.name for name, bucket in found.items()} == {"a": "a", "b": "b", "c": "c"}
