"""Tests of the tests' own storage server, with Google's client and with plain HTTP."""

from __future__ import annotations

import gc
import io
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import google.api_core.exceptions as errors
import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from storage_server import StorageServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    with StorageServer() as running:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running


@contextmanager
def connect() -> Iterator[Any]:
    before = set(threading.enumerate())
    client = storage.Client(project="test", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    yield client
    # The client asks for a bucket's metadata in threads of its own, and doesn't wait for them.
    for thread in set(threading.enumerate()) - before:
        if thread.daemon:
            thread.join(10)
    client.close()


@pytest.fixture
def client(server: StorageServer) -> Iterator[Any]:
    with connect() as connected:
        yield connected


@pytest.fixture
def bucket(client: Any) -> Any:
    return client.create_bucket("models")


def test_buckets_are_created_got_and_listed(client: Any, bucket: Any) -> None:
    client.create_bucket("another")
    assert client.get_bucket("models").name == "models"
    assert [each.name for each in client.list_buckets()] == ["another", "models"]
    assert not client.bucket("absent").exists()
    with pytest.raises(errors.Conflict):
        client.create_bucket("models")
    with pytest.raises(errors.NotFound, match="bucket does not exist"):
        client.get_bucket("absent")


@pytest.mark.parametrize("data", [b"", b"x", b"--\r\n\r\n--" * 50_000], ids=len)
def test_what_is_uploaded_is_downloaded(server: StorageServer, bucket: Any, data: bytes) -> None:
    blob = bucket.blob("a folder/ü?#%.onnx")
    blob.metadata = {"k": "v"}
    blob.upload_from_string(data, content_type="text/x-odd", checksum="md5")
    assert blob.download_as_bytes() == data
    found = bucket.get_blob(blob.name)
    assert found.download_as_bytes(checksum="crc32c") == data
    assert (found.size, found.content_type) == (len(data), "text/x-odd")
    assert found.metadata == {"k": "v"}
    assert found.md5_hash == blob.md5_hash
    assert found.crc32c == blob.crc32c
    assert found.updated == found.time_created is not None
    assert server.objects("models") == {blob.name: data}


def test_put_serves_an_object(server: StorageServer, client: Any) -> None:
    generation = server.put("labels", "labels.txt", b"cat\ndog\n", content_type="text/plain")
    blob = client.bucket("labels").get_blob("labels.txt")
    assert (blob.generation, blob.content_type) == (generation, "text/plain")
    assert server.put("labels", "labels.txt", b"") > generation
    assert server.objects("absent") == {}


@pytest.mark.parametrize("size", [0, 700_000, 2 * 262_144])
@pytest.mark.parametrize("known", [True, False])
def test_resumable_upload_in_chunks(
    server: StorageServer, bucket: Any, size: int, known: bool
) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    blob = bucket.blob("big.onnx", chunk_size=262_144)
    blob.upload_from_file(io.BytesIO(data[:size]), size=size if known else None)
    assert server.objects("models") == {"big.onnx": data[:size]}
    assert blob.size == size


def test_resumable_upload_in_one_piece(server: StorageServer, bucket: Any) -> None:
    path = "/upload/storage/v1/b/models/o"
    parameters = {"uploadType": "resumable", "name": "one.bin", "ifGenerationMatch": "0"}
    headers = {"X-Upload-Content-Type": "text/x-one"}
    started = requests.post(server.url + path, params=parameters, headers=headers, timeout=5)
    session = started.headers["Location"]
    asked = requests.put(session, headers={"Content-Range": "bytes */3"}, timeout=5)
    assert asked.status_code == 308
    assert "Range" not in asked.headers
    beyond = requests.put(session, b"c", headers={"Content-Range": "bytes 2-2/3"}, timeout=5)
    assert beyond.status_code == 400
    for _ in range(2):  # A finished upload answers again what it answered.
        done = requests.put(session, b"one", timeout=5)
        assert (done.status_code, done.json()["contentType"]) == (200, "text/x-one")
    assert server.objects("models") == {"one.bin": b"one"}
    assert requests.put(session + "0", b"one", timeout=5).status_code == 404


def test_media_upload_over_plain_http(server: StorageServer, bucket: Any) -> None:
    answer = requests.post(
        f"{server.url}/upload/storage/v1/b/models/o?uploadType=media&name=a%2Fb",
        b"plain",
        headers={"Content-Type": "text/plain"},
        timeout=5,
    )
    assert answer.json()["size"] == "5"
    media = requests.get(f"{server.url}/storage/v1/b/models/o/a%2Fb?alt=media", timeout=5)
    assert (media.content, media.headers["Content-Type"]) == (b"plain", "text/plain")


def test_upload_with_a_wrong_checksum_is_refused(server: StorageServer, bucket: Any) -> None:
    blob = bucket.blob("x")
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(errors.BadRequest, match="md5Hash"):
        blob.upload_from_string(b"data", checksum=None)
    assert server.objects("models") == {}


def test_ranges(server: StorageServer, bucket: Any) -> None:
    server.put("models", "x", b"0123456789")
    blob = bucket.blob("x")
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=7, end=99) == b"789"
    assert blob.download_as_bytes(start=-3) == b"789"
    with pytest.raises(errors.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)
    url = f"{server.url}/download/storage/v1/b/models/o/x?alt=media"
    part = requests.get(url, headers={"Range": "bytes=1-2"}, timeout=5)
    assert (part.status_code, part.headers["Content-Range"]) == (206, "bytes 1-2/10")
    blob.chunk_size = 262_144
    assert blob.download_as_bytes() == b"0123456789"
    with blob.open("rb") as stream:
        stream.seek(5)
        assert stream.read() == b"56789"


def test_listing_by_prefix_and_delimiter(server: StorageServer, client: Any, bucket: Any) -> None:
    for name in ("b/1", "a", "b/2", "b/c/3", "b.", "c"):
        server.put("models", name, name.encode())
    everything = [blob.name for blob in client.list_blobs("models")]
    assert everything == ["a", "b.", "b/1", "b/2", "b/c/3", "c"]
    found = bucket.list_blobs(prefix="b/", delimiter="/")
    assert [blob.name for blob in found] == ["b/1", "b/2"]
    assert found.prefixes == {"b/c/"}
    assert list(client.list_blobs("models", prefix="nothing")) == []
    with pytest.raises(errors.NotFound):
        list(client.list_blobs("absent"))


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 8])
def test_listing_by_pages(server: StorageServer, client: Any, bucket: Any, page_size: int) -> None:
    for number in range(5):
        server.put("models", f"{number}", b"")
        server.put("models", f"dir/{number}", b"")
    pages = client.list_blobs("models", page_size=page_size, delimiter="/")
    assert [blob.name for blob in pages] == ["0", "1", "2", "3", "4"]
    assert pages.prefixes == {"dir/"}
    counted = server.requests.count(("GET", "/storage/v1/b/models/o"))
    assert counted == -(-6 // page_size)
    assert len(list(client.list_blobs("models", max_results=3))) == 3


def test_generations_grow_and_only_the_current_one_exists(
    server: StorageServer, bucket: Any
) -> None:
    blob = bucket.blob("x")
    generations = []
    for number in range(20):
        blob = bucket.blob("x")
        blob.upload_from_string(str(number))
        generations.append(blob.generation)
    assert generations == sorted(set(generations))
    assert bucket.blob("x", generation=generations[-1]).download_as_bytes() == b"19"
    assert bucket.get_blob("x", generation=generations[0]) is None
    with pytest.raises(errors.NotFound):
        bucket.blob("x", generation=generations[0]).download_as_bytes()
    with pytest.raises(errors.NotFound):
        bucket.blob("x", generation=generations[0]).delete()
    assert server.objects("models") == {"x": b"19"}


def test_preconditions_of_writes(server: StorageServer, bucket: Any) -> None:
    blob = bucket.blob("x")
    blob.upload_from_string(b"first", if_generation_match=0)
    first = blob.generation
    with pytest.raises(errors.PreconditionFailed) as caught:
        bucket.blob("x").upload_from_string(b"late", if_generation_match=0)
    error = caught.value.response.json()["error"]
    assert error["code"] == 412
    assert error["errors"][0]["reason"] == "conditionNotMet"
    with pytest.raises(errors.PreconditionFailed):
        bucket.blob("x").upload_from_string(b"late", if_generation_not_match=first)
    with pytest.raises(errors.PreconditionFailed):
        bucket.blob("absent").upload_from_string(b"late", if_generation_match=first)
    big = bucket.blob("x", chunk_size=262_144)
    with pytest.raises(errors.PreconditionFailed):
        big.upload_from_file(io.BytesIO(bytes(300_000)), if_generation_match=0)
    assert server.objects("models") == {"x": b"first"}
    bucket.blob("x").upload_from_string(b"second", if_generation_match=first)
    with pytest.raises(errors.PreconditionFailed):
        bucket.blob("x").delete(if_generation_match=first)
    assert server.objects("models") == {"x": b"second"}


def test_resumable_upload_checks_again_when_it_ends(server: StorageServer, bucket: Any) -> None:
    url = f"{server.url}/upload/storage/v1/b/models/o?uploadType=resumable&name=x"
    session = requests.post(f"{url}&ifGenerationMatch=0", timeout=5).headers["Location"]
    server.put("models", "x", b"meanwhile")
    assert requests.put(session, b"late", timeout=5).status_code == 412
    assert server.objects("models") == {"x": b"meanwhile"}


def test_preconditions_of_reads(server: StorageServer, bucket: Any) -> None:
    generation = server.put("models", "x", b"data")
    blob = bucket.blob("x")
    assert blob.download_as_bytes(if_generation_match=generation) == b"data"
    with pytest.raises(errors.PreconditionFailed):
        blob.download_as_bytes(if_generation_match=generation - 1)
    with pytest.raises(errors.NotModified):
        blob.download_as_bytes(if_generation_not_match=generation)
    with pytest.raises(errors.NotModified):
        blob.reload(if_generation_not_match=generation)
    blob.reload(if_generation_not_match=generation - 1)


def test_of_two_writers_at_once_one_wins(server: StorageServer, bucket: Any) -> None:
    together = threading.Barrier(2)

    def write(client: Any, name: str) -> int:
        blob = client.bucket("models").blob(name)
        together.wait(timeout=10)
        try:
            blob.upload_from_string(b"", if_generation_match=0)
        except errors.PreconditionFailed:
            return 412
        return 200

    with connect() as one, connect() as other, ThreadPoolExecutor(2) as pool:
        for number in range(20):
            results = pool.map(write, (one, other), [f"race-{number}"] * 2)
            assert sorted(results) == [200, 412]
    assert len(server.objects("models")) == 20


def test_delete_and_not_found(server: StorageServer, bucket: Any) -> None:
    server.put("models", "x", b"")
    blob = bucket.get_blob("x")
    blob.delete()
    assert not blob.exists()
    assert bucket.get_blob("x") is None
    for gone in (blob.delete, blob.download_as_bytes, blob.reload):
        with pytest.raises(errors.NotFound):
            gone()
    assert server.requests.count(("DELETE", "/storage/v1/b/models/o/x")) == 2


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/storage/v1/b/models/o?matchGlob=*", 501),
        ("GET", "/storage/v1/b/models/o?maxResults=many", 400),
        ("GET", "/storage/v1/b/models/o?pageToken=x", 400),
        ("POST", "/storage/v1/b", 400),
        ("POST", "/upload/storage/v1/b/models/o?uploadType=media", 400),
        ("POST", "/upload/storage/v1/b/models/o?uploadType=multipart", 400),
        ("POST", "/upload/storage/v1/b/models/o", 501),
        ("DELETE", "/storage/v1/b/models", 501),
        ("PATCH", "/storage/v1/b/models/o/x", 501),
    ],
)
def test_what_it_does_not_do_it_refuses(
    server: StorageServer, bucket: Any, method: str, target: str, status: int
) -> None:
    assert requests.request(method, server.url + target, timeout=5).status_code == status


def test_fail_next_fails_so_often_and_stores_nothing(server: StorageServer, bucket: Any) -> None:
    server.fail_next("POST /upload", 503, count=2)
    for _ in range(2):
        with pytest.raises(errors.ServiceUnavailable):
            bucket.blob("x").upload_from_string(b"data", retry=None)
        assert server.objects("models") == {}
    bucket.blob("x").upload_from_string(b"data", retry=None)
    server.fail_next("/storage/v1/b/models/o/x", 403)
    assert bucket.blob("x").download_as_bytes() == b"data"  # Under /download: not that path.
    with pytest.raises(errors.Forbidden):
        bucket.get_blob("x", retry=None)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_client_retries_a_failure_of_the_server(server: StorageServer, bucket: Any) -> None:
    server.put("models", "x", b"data")
    server.fail_next("GET", 503)
    assert bucket.blob("x").download_as_bytes() == b"data"
    assert server.requests.count(("GET", "/download/storage/v1/b/models/o/x")) == 2
    gc.collect()  # The client neither reads nor closes the download that failed: do it here.


def test_stall_outlasts_the_clients_patience(server: StorageServer, bucket: Any) -> None:
    server.put("models", "x", b"data")
    server.stall(0.5)
    with pytest.raises(requests.exceptions.ReadTimeout):
        bucket.blob("x").download_as_bytes(timeout=0.1, retry=None)
    server.stall(0)
    assert bucket.blob("x").download_as_bytes(timeout=5, retry=None) == b"data"


def test_truncate_next_sends_half_a_body(server: StorageServer, bucket: Any) -> None:
    server.put("models", "x", bytes(100_000))
    server.truncate_next("GET /download")
    bucket.get_blob("x")  # Another request, which stays whole.
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        bucket.blob("x").download_as_bytes(retry=None)
    assert bucket.blob("x").download_as_bytes(retry=None) == bytes(100_000)
    server.truncate_next()
    assert bucket.blob("x").download_as_bytes() == bytes(100_000)  # The client tries again.
    server.truncate_next()
    with pytest.raises(requests.exceptions.RequestException):
        requests.delete(f"{server.url}/storage/v1/b/models/o/absent", timeout=5)


def test_hang_next_sends_half_a_body_and_then_nothing(server: StorageServer, bucket: Any) -> None:
    server.put("models", "x", bytes(100_000))
    server.hang_next("GET /download")
    with pytest.raises(requests.exceptions.RequestException):
        bucket.blob("x").download_as_bytes(timeout=0.2, retry=None)
    assert bucket.blob("x").download_as_bytes(timeout=0.2, retry=None) == bytes(100_000)


def test_stumble_fails_a_share_in_two_ways_until_it_is_mended(server: StorageServer) -> None:
    server.put("models", "x", b"data")
    url = f"{server.url}/storage/v1/b/models/o/x"

    def ask() -> int:
        try:
            return requests.get(url, timeout=5).status_code
        except requests.exceptions.RequestException:
            return 0

    server.stumble(0.5, seed=1)
    found = [ask() for _ in range(100)]
    assert min(found.count(status) for status in (0, 200, 503)) >= 10
    server.stall(30.0, "POST")
    server.fail_next("GET", 500, count=9)
    server.mend()
    assert [ask() for _ in range(20)] == [200] * 20


def test_stall_may_be_of_some_requests(server: StorageServer, bucket: Any) -> None:
    server.put("models", "x", b"data")
    server.stall(30.0, "POST")
    assert bucket.blob("x").download_as_bytes(timeout=5, retry=None) == b"data"
    with pytest.raises(requests.exceptions.ReadTimeout):
        bucket.blob("y").upload_from_string(b"data", timeout=0.1, retry=None)


def test_connections_are_kept_alive(server: StorageServer, bucket: Any) -> None:
    for _ in range(20):
        assert bucket.exists()
    assert len(server._http.connections) == 1


def test_closing_frees_the_port_and_ends_every_thread() -> None:
    before = set(threading.enumerate())
    with StorageServer() as server, requests.Session() as session:
        port = int(server.url.rpartition(":")[2])
        server.put("models", "x", b"data")
        session.get(f"{server.url}/storage/v1/b/models/o/x", timeout=5)
        idle = socket.create_connection(("127.0.0.1", port))
        server.stall(60)
        stalled = threading.Thread(target=_ask_in_vain, args=(f"{server.url}/storage/v1/b",))
        stalled.start()
        while ("GET", "/storage/v1/b") not in server.requests:
            stalled.join(0.01)
        assert set(threading.enumerate()) > before
    stalled.join(10)
    idle.close()
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def _ask_in_vain(url: str) -> None:
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url, timeout=30)
