"""Artifacts in a folder and in a bucket: found, verified, and cached."""

import gc
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers import ROOT
from storage_server import StorageServer
from tiny_models import write_colour_model
from zeropoint import artifact, gcs
from zeropoint.artifact import (
    Artifact,
    BucketRepository,
    LocalRepository,
    Repository,
    open_repository,
)
from zeropoint.errors import (
    ArtifactError,
    ManifestError,
    ModelNotFoundError,
    SettingsError,
    UnavailableError,
)
from zeropoint.manifest import File
from zeropoint.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

DATA = b"weights " * 50_000
HOSTILE = ["../colour", "", "Colour", "..", ".", "/", "/etc", "a/b", "colour/", "colour\n", "a\0b"]
OBJECT = "models/colour/model.onnx"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file(data: bytes = DATA, path: str = "model.onnx") -> File:
    return File(path, digest(data))


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    monkeypatch.setattr(gcs, "_RETRY_S", 3.0)
    with StorageServer() as running:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running


@pytest.fixture
def failing(storage: StorageServer) -> Iterator[StorageServer]:
    """The same, for failed downloads: Google's client leaves their sockets to the collector."""
    yield storage
    gc.collect()


@pytest.fixture
def local(tmp_path: Path) -> LocalRepository:
    write_colour_model(tmp_path / "models")
    return LocalRepository(tmp_path / "models")


@pytest.fixture
def bucket(storage: StorageServer, tmp_path: Path) -> BucketRepository:
    """A repository in a bucket with the model ``colour``, and a cache that is not there yet."""
    for path in write_colour_model(tmp_path / "made").iterdir():
        storage.put("bucket", f"models/colour/{path.name}", path.read_bytes())
    storage.put("bucket", OBJECT, DATA)
    return BucketRepository("gs://bucket/models", tmp_path / "cache" / "below")


@pytest.fixture(params=["local", "bucket"])
def repository(request: pytest.FixtureRequest) -> Repository:
    """Either."""
    found: Repository = request.getfixturevalue(request.param)
    return found


def cached(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "cache" / "below"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def downloads(storage: StorageServer) -> int:
    return sum(path.endswith(f"/o/{OBJECT}") for _, path in storage.requests)


# In both


def test_a_model_is_found_and_read(repository: Repository) -> None:
    assert repository.names() == ["colour"]
    assert repository.manifest("colour").name == "colour"


def test_an_artifact_fetches_its_files(repository: Repository) -> None:
    found = Artifact(repository, "colour")
    path = found.fetch(found.manifest.check.file)
    assert digest(path.read_bytes()) == found.manifest.check.sha256
    assert path.suffix == ".png"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_no_model(repository: Repository, name: str) -> None:
    with pytest.raises(ModelNotFoundError):
        repository.manifest(name)


def test_a_model_that_is_not_there_is_told(repository: Repository) -> None:
    with pytest.raises(ModelNotFoundError, match="absent"):
        Artifact(repository, "absent")


def test_a_missing_file_is_told(repository: Repository) -> None:
    with pytest.raises(ArtifactError, match=r"colour/absent\.onnx: expected "):
        repository.fetch("colour", file(path="absent.onnx"))


def test_a_wrong_digest_is_told_with_both(repository: Repository) -> None:
    wrong = File("red.png", "0" * 64)
    with pytest.raises(ArtifactError) as told:
        repository.fetch("colour", wrong)
    right = repository.manifest("colour").check.sha256
    assert told.value.message == f"colour/red.png: expected sha256 {'0' * 64}, got {right}"


# In a folder


def test_names_are_sorted_and_only_of_models(local: LocalRepository, tmp_path: Path) -> None:
    for name in ("b-2", "b-10", "a.b", ".hidden", "Upper", "a b", "-a", "x" * 64, "x" * 63):
        (tmp_path / "models" / name).mkdir()
        (tmp_path / "models" / name / "model.toml").touch()
    (tmp_path / "models" / "empty").mkdir()
    (tmp_path / "models" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "models" / "deep" / "er" / "model.toml").touch()
    assert local.names() == ["a.b", "b-10", "b-2", "colour", "x" * 63]


def test_a_root_may_be_the_one_artifact(local: LocalRepository, tmp_path: Path) -> None:
    alone = LocalRepository(tmp_path / "models" / "colour")
    assert alone.names() == ["colour"]
    assert alone.manifest("colour") == local.manifest("colour")
    model = alone.manifest("colour").file
    assert alone.fetch("colour", model) == tmp_path / "models" / "colour" / "model.onnx"
    with pytest.raises(ManifestError, match="expected the folder's name"):
        alone.manifest("other")


def test_a_prefix_may_be_the_one_artifact(
    storage: StorageServer, bucket: BucketRepository, tmp_path: Path
) -> None:
    alone = BucketRepository("gs://bucket/models/colour", tmp_path / "alone")
    assert alone.names() == ["colour"]
    assert alone.manifest("colour") == bucket.manifest("colour")
    assert alone.fetch("colour", file()).read_bytes() == DATA


@pytest.mark.parametrize("root", ["absent", "models/colour/model.toml"])
def test_a_root_that_is_no_folder_has_no_models(
    local: LocalRepository, tmp_path: Path, root: str
) -> None:
    found = LocalRepository(tmp_path / root)
    assert found.names() == []
    with pytest.raises(ModelNotFoundError):
        found.manifest("colour")


def test_a_folder_without_a_manifest_is_no_model(local: LocalRepository, tmp_path: Path) -> None:
    (tmp_path / "models" / "colour" / "model.toml").unlink()
    with pytest.raises(ModelNotFoundError):
        local.manifest("colour")
    (tmp_path / "models" / "colour" / "model.toml").mkdir()
    with pytest.raises(ModelNotFoundError):
        local.manifest("colour")


def test_a_folder_has_its_models_name(local: LocalRepository, tmp_path: Path) -> None:
    (tmp_path / "models" / "colour").rename(tmp_path / "models" / "other")
    said = "^other/model.toml: expected the folder's name, got name = 'colour'$"
    with pytest.raises(ManifestError, match=said):
        local.manifest("other")


def test_a_manifest_without_end_is_refused(local: LocalRepository, tmp_path: Path) -> None:
    with (tmp_path / "models" / "colour" / "model.toml").open("a") as manifest:
        manifest.write("#" * artifact.MAX_MANIFEST_BYTES)
    with pytest.raises(ManifestError, match=r"^colour/model\.toml: expected at most \d+ bytes"):
        local.manifest("colour")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: os.truncate(path, len(DATA) - 1),
        lambda path: os.truncate(path, 0),
        lambda path: path.write_bytes(DATA + b"\n"),
        lambda path: path.write_bytes(b"W" + DATA[1:]),
    ],
)
def test_a_damaged_file_is_refused(
    local: LocalRepository, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    path = tmp_path / "models" / "colour" / "model.onnx"
    path.write_bytes(DATA)
    assert local.fetch("colour", file()) == path
    damage(path)
    with pytest.raises(ArtifactError, match=r"^colour/model\.onnx: expected sha256 "):
        local.fetch("colour", file())


@pytest.mark.parametrize("target", ["../../secret", "../other/model.onnx", "{tmp_path}/secret"])
def test_a_link_out_of_the_folder_is_refused(
    local: LocalRepository, tmp_path: Path, target: str
) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    (tmp_path / "models" / "other").mkdir()
    (tmp_path / "models" / "other" / "model.onnx").write_bytes(DATA)
    link = tmp_path / "models" / "colour" / "link.onnx"
    link.symlink_to(target.format(tmp_path=tmp_path))
    assert link.read_bytes() == DATA
    with pytest.raises(ArtifactError, match=r"^colour/link\.onnx: .* got a link out$"):
        local.fetch("colour", file(path="link.onnx"))


def test_a_folder_below_that_leads_out_is_refused(local: LocalRepository, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    (tmp_path / "models" / "colour" / "below").symlink_to(tmp_path)
    with pytest.raises(ArtifactError, match="got a link out"):
        local.fetch("colour", file(path="below/secret"))


def test_a_link_within_the_folder_is_followed(local: LocalRepository, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "colour"
    (folder / "real.onnx").write_bytes(DATA)
    (folder / "below").mkdir()
    (folder / "below" / "link.onnx").symlink_to("../real.onnx")
    found = local.fetch("colour", file(path="below/link.onnx"))
    assert found.read_bytes() == DATA


def test_a_model_may_lie_behind_a_link(local: LocalRepository, tmp_path: Path) -> None:
    (tmp_path / "models" / "colour").rename(tmp_path / "elsewhere")
    (tmp_path / "models" / "colour").symlink_to(tmp_path / "elsewhere")
    assert local.names() == ["colour"]
    found = Artifact(local, "colour")
    assert found.fetch(found.manifest.file).is_file()


@pytest.mark.parametrize("path", ["link", "folder", "x" * 300])
def test_what_cannot_be_opened_is_told(local: LocalRepository, tmp_path: Path, path: str) -> None:
    (tmp_path / "models" / "colour" / "link").symlink_to("link")
    (tmp_path / "models" / "colour" / "folder").mkdir()
    with pytest.raises(ArtifactError, match=f"^colour/{path}: expected a file"):
        local.fetch("colour", file(path=path))


def test_a_manifest_that_cannot_be_read_is_told(local: LocalRepository, tmp_path: Path) -> None:
    manifest = tmp_path / "models" / "colour" / "model.toml"
    manifest.unlink()
    manifest.symlink_to("/proc/self/mem")  # of which the first bytes cannot be read
    said = r"^colour/model.toml: expected a file that can be read, got Input/output error$"
    with pytest.raises(ManifestError, match=said):
        local.manifest("colour")


# In a bucket


@pytest.mark.parametrize(
    "uri", ["gs://bucket", "gs://bucket/", "gs://bucket/a/b", "gs://bucket/a/b/"]
)
def test_models_are_found_below_a_prefix_or_without(
    storage: StorageServer, tmp_path: Path, uri: str
) -> None:
    prefix = "a/b/" if "b/" in uri.removeprefix("gs://bucket/") + "/" else ""
    toml = (write_colour_model(tmp_path) / "model.toml").read_bytes()
    for name in ("zebra", "colour", "Upper", "colour/deeper"):
        storage.put("bucket", f"{prefix}{name}/model.toml", toml)
    storage.put("bucket", f"{prefix}file", b"")
    found = BucketRepository(uri, tmp_path / "cache")
    assert found.names()[-2:] == ["colour", "zebra"]
    assert found.manifest("colour").name == "colour"
    assert not (tmp_path / "cache").exists()


def test_a_bucket_that_is_not_there_has_no_model(storage: StorageServer, tmp_path: Path) -> None:
    absent = BucketRepository("gs://absent/models", tmp_path / "cache")
    with pytest.raises(ModelNotFoundError, match=r"^gs://absent/models/colour/model\.toml: "):
        absent.manifest("colour")
    with pytest.raises(ArtifactError, match=r"^gs://absent/models/colour/model\.onnx: "):
        absent.fetch("colour", file())
    with pytest.raises(gcs.ObjectNotFoundError, match=r"^gs://absent/models/: "):
        absent.names()


def test_a_manifest_without_end_is_refused_from_a_bucket(
    storage: StorageServer, bucket: BucketRepository
) -> None:
    storage.put("bucket", "models/colour/model.toml", b"#" * (artifact.MAX_MANIFEST_BYTES + 1))
    with pytest.raises(ManifestError, match=r"^models/colour/model\.toml: expected at most \d+"):
        bucket.manifest("colour")


def test_a_file_is_fetched_once(
    storage: StorageServer, bucket: BucketRepository, tmp_path: Path
) -> None:
    path = bucket.fetch("colour", file())
    assert cached(tmp_path) == {f"{digest(DATA)}.onnx": DATA}
    assert path.read_bytes() == DATA
    assert path.parent.stat().st_mode & 0o777 == 0o700
    asked = len(storage.requests)
    assert bucket.fetch("colour", file()) == path
    assert len(storage.requests) == asked


def test_a_cached_file_outlives_its_object_and_the_storage(
    failing: StorageServer, bucket: BucketRepository, tmp_path: Path
) -> None:
    path = bucket.fetch("colour", file())
    failing.put("bucket", OBJECT, b"another model")
    failing.fail_next("", 503, count=9)
    another = BucketRepository("gs://bucket/elsewhere", tmp_path / "cache" / "below")
    assert another.fetch("other", file(path="name.onnx")) == path


@pytest.mark.parametrize("damaged", [b"", DATA[:-1], b"W" + DATA[1:]])
def test_a_damaged_cached_file_is_fetched_again(
    storage: StorageServer, bucket: BucketRepository, tmp_path: Path, damaged: bytes
) -> None:
    bucket.fetch("colour", file()).write_bytes(damaged)
    assert bucket.fetch("colour", file()).read_bytes() == DATA
    assert cached(tmp_path) == {f"{digest(DATA)}.onnx": DATA}
    assert downloads(storage) == 2


def test_a_wrong_digest_leaves_nothing_in_the_cache(
    storage: StorageServer, bucket: BucketRepository, tmp_path: Path
) -> None:
    said = f"^colour/model.onnx: expected sha256 {digest(b'x')}, got {digest(DATA)}$"
    with pytest.raises(ArtifactError, match=said):
        bucket.fetch("colour", file(b"x"))
    assert cached(tmp_path) == {}


def test_eight_threads_leave_one_file(
    storage: StorageServer, bucket: BucketRepository, tmp_path: Path
) -> None:
    together = threading.Barrier(8)

    def fetch(_: int) -> bytes:
        together.wait(30)
        return bucket.fetch("colour", file()).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fetch, range(8))) == [DATA] * 8
    assert cached(tmp_path) == {f"{digest(DATA)}.onnx": DATA}


def test_half_a_download_is_never_used(
    failing: StorageServer, bucket: BucketRepository, tmp_path: Path
) -> None:
    failing.truncate_next("GET /download")
    assert bucket.fetch("colour", file()).read_bytes() == DATA
    assert cached(tmp_path) == {f"{digest(DATA)}.onnx": DATA}


def test_a_download_that_always_breaks_leaves_nothing(
    failing: StorageServer,
    bucket: BucketRepository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gcs, "_RETRY_S", 0.05)
    for _ in range(20):
        failing.truncate_next("GET /download")
    with pytest.raises(UnavailableError, match=r"^gs://bucket/models/colour/model\.onnx: "):
        bucket.fetch("colour", file())
    assert cached(tmp_path) == {}


def test_a_storage_that_fails_is_unavailable(
    failing: StorageServer,
    bucket: BucketRepository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gcs, "_RETRY_S", 0.05)
    failing.fail_next("", 503, count=99)
    calls: list[Callable[[], object]] = [
        bucket.names,
        lambda: bucket.manifest("colour"),
        lambda: bucket.fetch("colour", file()),
    ]
    for call in calls:
        with pytest.raises(UnavailableError) as told:
            call()
        assert told.value.retry_after_s == 5.0
    assert cached(tmp_path) == {}


def test_a_cache_that_cannot_be_written_is_told(bucket: BucketRepository, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ArtifactError, match=r"^colour/model\.onnx: .* cache .*ZEROPOINT_CACHE"):
        bucket.fetch("colour", file())


# Which one


def test_the_settings_name_the_repository(tmp_path: Path) -> None:
    assert open_repository(Settings(models=str(tmp_path))).location == str(tmp_path)
    assert open_repository(Settings(models="gs://bucket/a")).location == "gs://bucket/a"
    bundled = open_repository(Settings())
    assert bundled.location == str(ROOT / "model_artifacts")
    assert "efficientnet-lite0" in bundled.names()


@pytest.mark.parametrize("models", ["gs://", "gs:///a"])
def test_a_location_that_cannot_be_one_is_refused(models: str) -> None:
    with pytest.raises(SettingsError, match=f"^ZEROPOINT_MODELS is {re.escape(repr(models))}: "):
        open_repository(Settings(models=models))


@pytest.mark.parametrize(
    ("variables", "cache", "folder"),
    [
        ({}, "named", "named"),
        ({"XDG_CACHE_HOME": "xdg"}, "", "xdg/zeropoint"),
        ({"XDG_CACHE_HOME": ""}, "", "home/.cache/zeropoint"),
    ],
)
def test_the_cache_is_named_or_the_users(
    storage: StorageServer,
    bucket: BucketRepository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    cache: str,
    folder: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value and str(tmp_path / value))
    settings = Settings(models="gs://bucket/models", cache=cache and str(tmp_path / cache))
    path = open_repository(settings).fetch("colour", file())
    assert path == tmp_path / folder / f"{digest(DATA)}.onnx"
