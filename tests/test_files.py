"""Instances that are files: base64, or objects of allowed buckets, read from a storage server."""

import base64
from collections.abc import Iterator

import pytest

from storage_server import StorageServer
from zeropoint.errors import (
    BodyTooLargeError,
    InvalidError,
    MalformedError,
    UnavailableError,
)
from zeropoint.files import Reader
from zeropoint.instances import NULL, Blob
from zeropoint.settings import Settings

# Google's client leaves answers that it retries unread, and looks its buckets up on the side.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestWarning")

DATA = bytes(range(256))
B64 = base64.b64encode(DATA).decode()


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    with StorageServer() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


@pytest.fixture
def reader() -> Reader:
    return Reader(Settings(buckets="photos, more", max_body_bytes=1000))


def test_base64_is_bytes_in_an_object_or_as_a_text(reader: Reader) -> None:
    assert reader.read([{"b64": B64}, B64, {"b64": ""}, ""]) == [
        Blob(DATA),
        Blob(DATA),
        Blob(b""),
        Blob(b""),
    ]


@pytest.mark.parametrize(
    "value", [None, 1, True, [B64], {"b64": B64, "x": 1}, {}, {"x": B64}, NULL]
)
def test_what_is_no_file_stays_as_it_is(reader: Reader, value: object) -> None:
    assert reader.read([value]) == [value]


@pytest.mark.parametrize(
    "text", ["no base64", B64[:-1], B64 + "\n", "ä", "\ud800", "AA==AA==", "A"]
)
def test_what_is_not_base64_is_told_without_its_content(reader: Reader, text: str) -> None:
    with pytest.raises(MalformedError, match=r"^expected standard base64"):
        reader.read([{"b64": text}])


def test_an_object_of_an_allowed_bucket_is_read(reader: Reader, storage: StorageServer) -> None:
    storage.put("photos", "a/ä b.png", DATA)
    storage.put("photos", "empty", b"")
    name = "gs://photos/a/ä b.png"
    assert reader.read([{"gcs": name}, name, "gs://photos/empty"]) == [
        Blob(DATA),
        Blob(DATA),
        Blob(b""),
    ]


def test_many_objects_keep_their_order(reader: Reader, storage: StorageServer) -> None:
    for number in range(30):
        storage.put("photos", str(number), str(number).encode())
    found = reader.read([{"gcs": f"gs://photos/{number}"} for number in range(30)])
    assert [blob.data for blob in found] == [str(number).encode() for number in range(30)]


def test_another_bucket_is_not_even_asked_for(reader: Reader, storage: StorageServer) -> None:
    storage.put("private", "a", DATA)
    with pytest.raises(InvalidError, match="a bucket that ZEROPOINT_BUCKETS names"):
        reader.read(["gs://private/a"])
    assert not [path for _, path in storage.requests if "private" in path]


def test_without_the_setting_no_bucket_is_read(storage: StorageServer) -> None:
    storage.put("photos", "a", DATA)
    with pytest.raises(InvalidError):
        Reader(Settings()).read(["gs://photos/a"])


def test_a_missing_object_is_the_callers_fault_and_is_numbered(
    reader: Reader, storage: StorageServer
) -> None:
    storage.put("photos", "a", DATA)
    with pytest.raises(InvalidError, match=r"^instance 2 of 2: expected an object that exists"):
        reader.read(["gs://photos/a", "gs://photos/nope"])


def test_an_object_over_the_limit_is_not_read_whole(reader: Reader, storage: StorageServer) -> None:
    storage.put("photos", "large", b"x" * 100_000)
    with pytest.raises(BodyTooLargeError, match="at most 1000 bytes"):
        reader.read(["gs://photos/large"])


def test_an_object_at_the_limit_is_read(reader: Reader, storage: StorageServer) -> None:
    storage.put("photos", "fits", b"x" * 1000)
    assert reader.read(["gs://photos/fits"]) == [Blob(b"x" * 1000)]


def test_a_storage_that_refuses_may_come_back(reader: Reader, storage: StorageServer) -> None:
    storage.put("photos", "a", DATA)
    storage.fail_next("GET /download", 403, 1)
    with pytest.raises(UnavailableError):
        reader.read(["gs://photos/a"])


@pytest.mark.parametrize(
    "uri",
    [
        "gs://",
        "gs:///a",
        "gs://photos/a\nb",
        "gs://photos/" + "x" * 1025,
        "https://example.com/a",
        "photos/a",
        1,
        None,
    ],
)
def test_what_is_no_object_name_is_refused(reader: Reader, uri: object) -> None:
    with pytest.raises(MalformedError):
        reader.read([{"gcs": uri}])
