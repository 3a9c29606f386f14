"""Cloud Storage as Zeropoint reads it, with Google's own client over real HTTP."""

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from servers import ROOT, environment, free_port
from storage_server import StorageServer
from zeropoint import gcs
from zeropoint.errors import UnavailableError

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    with StorageServer() as running:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running


@pytest.fixture
def failing(storage: StorageServer) -> Iterator[StorageServer]:
    """The same, for failed downloads: Google's client leaves their sockets to the collector."""
    yield storage
    gc.collect()


@settings(max_examples=50, deadline=None, database=None)
@given(strategies.from_regex(r"[^/]+", fullmatch=True), strategies.text().filter(gcs.is_name))
def test_a_uri_is_its_bucket_and_its_name(bucket: str, name: str) -> None:
    assert gcs.split(f"gs://{bucket}/{name}") == (bucket, name)
    assert gcs.split(f"gs://{bucket}") == (bucket, "")


@pytest.mark.parametrize(
    "uri",
    [
        *("", "gs:", "gs:/", "gs://", "gs:///a", "s3://a/b", "GS://a/b", " gs://a", "a/gs://b"),
        *("gs://a/.", "gs://a/..", "gs://a/b\n", "gs://a/\ud800", "gs://a/" + "ä" * 513),
    ],
)
def test_another_uri_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"^expected gs://bucket or gs://bucket/name$"):
        gcs.split(uri)


@pytest.mark.parametrize("name", ["a", "a folder/ü?#%.onnx", "a//b", "../a"])
def test_an_object_is_read_and_downloaded(
    storage: StorageServer, tmp_path: Path, name: str
) -> None:
    data = bytes(range(256)) * 1000
    storage.put("bucket", name, data)
    assert gcs.Bucket("bucket").read(name, len(data)) == data
    gcs.Bucket("bucket").download(name, tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == data


@pytest.mark.parametrize(("most", "got"), [(1, b"d"), (3, b"dat"), (4, b"data"), (5, b"data")])
def test_no_more_is_read_than_asked_for(storage: StorageServer, most: int, got: bytes) -> None:
    storage.put("bucket", "a", b"data")
    storage.put("bucket", "empty", b"")
    assert gcs.Bucket("bucket").read("a", most) == got
    assert gcs.Bucket("bucket").read("empty", most) == b""


@pytest.mark.parametrize(("most", "got"), [(1, b"d"), (4, b"data"), (5, b"data")])
def test_no_more_is_downloaded_than_asked_for(
    storage: StorageServer, tmp_path: Path, most: int, got: bytes
) -> None:
    storage.put("bucket", "a", b"data")
    storage.put("bucket", "empty", b"")
    gcs.Bucket("bucket").download("a", tmp_path / "to", most)
    assert (tmp_path / "to").read_bytes() == got
    gcs.Bucket("bucket").download("empty", tmp_path / "to", most)
    assert (tmp_path / "to").read_bytes() == b""


def test_half_an_answer_is_asked_for_again(failing: StorageServer) -> None:
    failing.put("bucket", "a", b"data" * 999)
    failing.truncate_next("GET /download")
    assert gcs.Bucket("bucket").read("a", 9999) == b"data" * 999


def test_folders_are_listed_without_what_is_in_them(storage: StorageServer) -> None:
    for name in ("x", "b/x", "a/y", "a/b/z", "c/", "p/a/x", "p/b/c/x", "pp/x"):
        storage.put("bucket", name, b"")
    bucket = gcs.Bucket("bucket")
    assert bucket.folders("") == ["a", "b", "c", "p", "pp"]
    assert bucket.folders("p/") == ["a", "b"]
    assert bucket.folders("none/") == []


def test_many_folders_come_in_pages(storage: StorageServer) -> None:
    names = [f"m{number:04}" for number in range(1005)]
    for name in names:
        storage.put("bucket", f"{name}/model.toml", b"")
    assert gcs.Bucket("bucket").folders("") == names
    assert len(storage.requests) == 2


def test_what_is_not_there_is_told_with_its_uri(storage: StorageServer, tmp_path: Path) -> None:
    storage.put("bucket", "a", b"")
    missing = {"absent": "a", "bucket": "b"}
    for bucket, name in missing.items():
        told = pytest.raises(
            gcs.ObjectNotFoundError, match=f"^gs://{bucket}/{name}: .* got no such"
        )
        with told:
            gcs.Bucket(bucket).read(name, 9)
        with pytest.raises(gcs.ObjectNotFoundError):
            gcs.Bucket(bucket).download(name, tmp_path / "to")
    assert not (tmp_path / "to").exists()
    with pytest.raises(gcs.ObjectNotFoundError, match=r"^gs://absent/p/: "):
        gcs.Bucket("absent").folders("p/")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_storage_that_stumbles_once_is_asked_again(failing: StorageServer, status: int) -> None:
    failing.put("bucket", "a", b"data")
    failing.fail_next("GET", status)
    assert gcs.Bucket("bucket").read("a", 9) == b"data"
    assert len(failing.requests) == 2


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_a_storage_that_refuses_is_unavailable(
    failing: StorageServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(gcs, "_RETRY_S", 0.05)
    failing.put("bucket", "a", b"data")
    calls: list[Callable[[gcs.Bucket], object]] = [
        lambda bucket: bucket.read("a", 9),
        lambda bucket: bucket.folders(""),
    ]
    failing.fail_next("GET", status, count=99)
    for call in calls:
        with pytest.raises(UnavailableError, match=r"^gs://bucket/") as told:
            call(gcs.Bucket("bucket"))
        assert told.value.retry_after_s == 5.0


def test_a_storage_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs, "_RETRY_S", 0.05)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UnavailableError, match=r"^gs://bucket/a: "):
        gcs.Bucket("bucket").read("a", 9)


def test_a_storage_that_never_answers_is_unavailable(
    failing: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs, "_RETRY_S", 0.05)
    monkeypatch.setattr(gcs, "_TIMEOUT_S", (5.0, 0.1))
    failing.put("bucket", "a", b"data")
    failing.stall(30)
    with pytest.raises(UnavailableError, match=r"^gs://bucket/a: "):
        gcs.Bucket("bucket").read("a", 9)


def test_no_credentials_are_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(UnavailableError, match=r"^gs://bucket: DefaultCredentialsError: "):
        gcs.Bucket("bucket").read("a", 9)


def test_the_client_is_imported_at_the_first_use_only(tmp_path: Path) -> None:
    script = "import sys; from zeropoint import gcs; gcs.Bucket('a'); print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT / "function")}),
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
    assert not {"google.cloud.storage", "google.auth", "requests"} & set(said.split())


@pytest.mark.parametrize("fault", ["stall", "hang", "fail"])
def test_patience_bounds_a_call(failing: StorageServer, fault: str) -> None:
    failing.put("bucket", "a", b"data" * 999)
    if fault == "stall":
        failing.stall(30)
    elif fault == "hang":
        failing.hang_next("GET", count=99)
    else:
        failing.fail_next("GET", 503, count=99)
    began_s = time.monotonic()
    with pytest.raises(UnavailableError):
        gcs.Bucket("bucket", patience_s=2.0).read("a", 9999)
    assert time.monotonic() - began_s < 4.0


def test_a_disk_that_cannot_be_written_is_not_the_storage_s_fault(storage: StorageServer) -> None:
    storage.put("bucket", "a", bytes(100_000))
    with pytest.raises(OSError, match="No space left on device"):
        gcs.Bucket("bucket").download("a", Path("/dev/full"))
