"""Versions of a model: proven beside, switched to at once, and back; one works at every moment."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import power_cut
from faults.mounts import needs_mounts
from releases import Runner, kept, running, version_of, write_release
from servers import ROOT, environment
from storage_server import StorageServer
from tiny_models import sha256
from zeropoint import gcs, loader
from zeropoint.artifact import CURRENT, VERSIONS, Artifact, LocalRepository
from zeropoint.errors import (
    ArtifactError,
    ManifestError,
    ModelNotFoundError,
    SettingsError,
    UnavailableError,
    ZeropointError,
)
from zeropoint.settings import Settings
from zeropoint.versions import Versions
from zeropoint.versions.source import find

KILLS = int(os.environ.get("ZEROPOINT_KILLS", "50"))  # at random moments
SETTINGS = Settings(cpus=1)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with the version 1 of ``colour``; versions 2 to 4 lie beside it."""
    write_release(tmp_path / "models", "1")
    for version in "234":
        write_release(tmp_path / version, version)
    return tmp_path / "models"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with running(tmp_path / "home") as found:
        yield found


def versions(models: Path, settings: Settings = SETTINGS) -> Versions:
    return Versions(LocalRepository(models), "colour", settings)


def update(models: Path, version: str, settings: Settings = SETTINGS) -> str | None:
    """Updates ``colour`` from the release beside the repository."""
    place = str(models.parent / version)
    manifest = versions(models, settings).update(find(place, "", settings))
    return manifest.version if manifest else None


def told(models: Path) -> list[tuple[int, str, bool, bool]]:
    rows = versions(models).known()
    return [(row.number, row.version, row.current, row.before) for row in rows]


def before_of(models: Path) -> str:
    """Returns the version that a rollback goes to, if there is one."""
    return "".join(row.version for row in versions(models).known() if row.before)


def left(models: Path) -> list[str]:
    return [path.name for path in models.rglob(".part-*")]


def test_an_update_is_switched_to_and_back(models: Path) -> None:
    before = kept(models)
    assert update(models, "2") == "2"
    assert version_of(models) == "2"
    assert told(models) == [(0, "1", False, True), (1, "2", True, False)]
    assert versions(models).rollback().version == "1"
    assert version_of(models) == "1"
    assert told(models) == [(0, "1", True, False), (1, "2", False, False)]
    assert {path: data for path, data in kept(models).items() if ".versions" not in path} == before


def test_a_rollback_goes_to_what_worked_before_and_not_to_the_bad_one_between(
    models: Path,
) -> None:
    update(models, "2")
    update(models, "3")
    assert versions(models).rollback().version == "2"  # as 3 was bad
    update(models, "4")
    assert told(models) == [(0, "1", False, False), (1, "2", False, True), (3, "4", True, False)]
    assert versions(models).rollback().version == "2"
    assert version_of(models) == "2"


def test_the_current_one_and_the_one_before_it_are_kept(models: Path) -> None:
    for version in "2342":
        update(models, version)
    assert told(models) == [(0, "1", False, False), (3, "4", False, True), (4, "2", True, False)]
    assert len(list((models / "colour" / VERSIONS).iterdir())) == 2
    versions(models).rollback()
    with pytest.raises(ArtifactError, match=r"^colour: expected a version before the current one"):
        versions(models).rollback()
    assert version_of(models) == "4"


def test_what_is_current_already_is_not_copied(models: Path) -> None:
    assert update(models, "2") == "2"
    before = kept(models)
    assert update(models, "2") is None
    assert find(str(models), "", SETTINGS).text == find(str(models.parent / "2"), "", SETTINGS).text
    assert versions(models).update(find(str(models / "colour"), "colour", SETTINGS)) is None
    assert kept(models) == before


def test_a_damaged_version_is_replaced_by_the_same(models: Path) -> None:
    update(models, "2")
    os.truncate(models / "colour" / CURRENT / "model.onnx", 10)
    assert update(models, "2") == "2"
    assert version_of(models) == "2"


@pytest.mark.parametrize("target", [f"{VERSIONS}/7-{'a' * 12}", None])
def test_a_version_that_is_gone_is_replaced(models: Path, target: str | None) -> None:
    update(models, "2")
    if target:
        (models / "colour" / CURRENT).unlink()
        (models / "colour" / CURRENT).symlink_to(target)
    else:
        shutil.rmtree((models / "colour" / CURRENT).resolve())
    with pytest.raises(ModelNotFoundError):
        LocalRepository(models).manifest("colour")
    assert update(models, "3") == "3"
    assert versions(models).rollback().version == "1"


def test_a_damaged_version_is_not_gone_back_to(models: Path) -> None:
    update(models, "2")
    (models / "colour" / "model.onnx").write_bytes(b"damaged")
    before = kept(models)
    with pytest.raises(ArtifactError, match=r"^colour/model\.onnx: expected sha256"):
        versions(models).rollback()
    assert kept(models) == before
    assert version_of(models) == "2"


def test_without_an_update_there_is_nothing_to_go_back_to(models: Path) -> None:
    with pytest.raises(ArtifactError, match=r"got none$"):
        versions(models).rollback()
    for call in (
        Versions(LocalRepository(models), "absent", SETTINGS).rollback,
        Versions(LocalRepository(models), "absent", SETTINGS).known,
    ):
        with pytest.raises(ModelNotFoundError, match="expected a model absent, got none"):
            call()
    with pytest.raises(ModelNotFoundError, match="expected a model's name"):
        Versions(LocalRepository(models), "../2/colour", SETTINGS)


@pytest.mark.parametrize("said", ["", "..", "../../x", "9-000000000000", "\udcff"])
def test_a_version_that_does_not_tell_what_it_replaced_is_stayed_with(
    models: Path, said: str
) -> None:
    update(models, "2")
    path = models / "colour" / CURRENT / ".from"
    path.write_bytes(said.encode(errors="surrogateescape"))
    with pytest.raises(ArtifactError, match=r"got none$"):
        versions(models).rollback()


def test_a_model_that_is_not_there_is_added(models: Path) -> None:
    shutil.rmtree(models / "colour")
    assert update(models, "2") == "2"
    assert version_of(models) == "2"
    assert kept(models) == kept(models.parent / "2")
    assert update(models, "3") == "3"
    assert versions(models).rollback().version == "2"


def test_a_folder_that_is_no_model_is_left_alone(models: Path) -> None:
    (models / "colour" / "model.toml").unlink()
    before = kept(models)
    with pytest.raises(ArtifactError, match=r"expected a model or nothing, got no model\.toml$"):
        update(models, "2")
    assert kept(models) == before


def test_a_repository_that_is_one_model_is_updated_too(models: Path) -> None:
    alone = LocalRepository(models / "colour")
    Versions(alone, "colour", SETTINGS).update(find(str(models.parent / "2"), "", SETTINGS))
    assert alone.names() == ["colour"]
    assert alone.manifest("colour").version == "2"
    assert version_of(models) == "2"
    with pytest.raises(ModelNotFoundError, match="expected the model colour, got other"):
        Versions(alone, "other", SETTINGS)
    (models / "colour" / CURRENT / "model.toml").write_text("")
    with pytest.raises(ManifestError, match=rf"^colour/{VERSIONS}/1-\w+/model\.toml: "):
        alone.names()
    assert Versions(alone, "colour", SETTINGS).rollback().version == "1"
    assert alone.names() == ["colour"]


def test_a_model_behind_a_link_is_updated_where_it_lies(models: Path, tmp_path: Path) -> None:
    (models / "colour").rename(tmp_path / "elsewhere")
    (models / "colour").symlink_to(tmp_path / "elsewhere")
    assert update(models, "2") == "2"
    assert version_of(models) == "2"
    assert (tmp_path / "elsewhere" / CURRENT).is_symlink()


def test_an_artifact_stays_with_the_version_that_it_began_with(models: Path) -> None:
    began = Artifact(LocalRepository(models), "colour")
    update(models, "2")
    now = Artifact(LocalRepository(models), "colour")
    for artifact, version in ((began, "1"), (now, "2")):
        assert artifact.manifest.version == version
        labels = artifact.manifest.tables["labels"]
        folder = artifact.fetch(artifact.manifest.file).parent
        assert sha256(folder / "labels.txt") == labels["sha256"]


@pytest.mark.parametrize(
    ("name", "target"),
    [("link", "../2/colour"), ("link", "/etc"), ("link", f"{VERSIONS}/../../2"), ("folder", "")],
)
def test_a_current_that_is_none_of_ours_is_told(models: Path, name: str, target: str) -> None:
    path = models / "colour" / CURRENT
    if name == "link":
        path.symlink_to(target)
    else:
        shutil.copytree(models.parent / "2" / "colour", path)
    for call in (
        lambda: LocalRepository(models).manifest("colour"),
        lambda: Artifact(LocalRepository(models), "colour"),
        lambda: update(models, "3"),
        lambda: versions(models).known(),
    ):
        with pytest.raises(ManifestError, match=r"^colour/\.current: expected a link"):
            call()


# What is refused


def other_digest(folder: Path) -> None:
    (folder / "labels.txt").write_text("a\nb\nc\n")


def other_answer(folder: Path) -> None:
    text = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(text.replace('label = "red-2"', 'label = "blue-2"'))


def other_name(folder: Path) -> None:
    text = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(text.replace('name = "colour"', 'name = "other"'))


def large(folder: Path) -> None:
    (folder / "notes.txt").write_bytes(bytes(20_000))


def within_dots(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / ".model.onnx")
    text = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(text.replace('"model.onnx"', '".model.onnx"'))


REFUSED: list[tuple[Callable[[Path], object], str]] = [
    (other_digest, r"^colour/labels\.txt: expected sha256 "),
    (other_answer, r"^red\.png: expected the known answer .* got label 'red-2'$"),
    (other_name, r": expected the model colour, got other$"),
    (large, r"^notes\.txt: expected at most 10000 bytes, got more \(ZEROPOINT_MAX_MODEL_BYTES\)$"),
    (within_dots, r"^colour/\.model\.onnx: expected a file of sha256 "),
    (lambda folder: (folder / "model.onnx").unlink(), r"^colour/model\.onnx: expected a file"),
    (lambda folder: (folder / "model.toml").write_text("a = "), r"model\.toml: expected TOML"),
    (
        lambda folder: (folder / "model.toml").write_text("#" * (1 << 20) + "#"),
        r"^colour: expected at most 1048576 bytes, got more$",
    ),
    (
        lambda folder: (folder / "a").symlink_to("/etc/hostname"),
        r"^a: expected a file in the model's folder, got a link out$",
    ),
    (lambda folder: (folder / "a").symlink_to("a"), r"^a: expected a file, got a link to nothing$"),
    (lambda folder: (folder / "a").symlink_to("."), r"^a: expected a file or a folder, got n"),
    (lambda folder: os.mkfifo(folder / "a"), r"^a: expected a file or a folder, got neither$"),
    (lambda folder: shutil.rmtree(folder), r"/2: expected a model colour, got none$"),
    (lambda folder: (folder / "model.toml").unlink(), r"/2: expected a model colour, got none$"),
]


@pytest.mark.parametrize(("damage", "said"), REFUSED)
def test_a_version_that_is_not_what_it_says_changes_nothing(
    models: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(models.parent / "2" / "colour")
    settings = Settings(cpus=1, max_model_bytes=10_000)
    for _ in range(2):
        before = kept(models)
        with pytest.raises(ZeropointError, match=said):
            versions(models, settings).update(find(str(models.parent / "2"), "colour", settings))
        assert kept(models) == before
        assert version_of(models) in "13"
        update(models, "3")


def test_what_counts_is_copied_and_the_rest_is_not(models: Path) -> None:
    folder = models.parent / "2" / "colour"
    (folder / "check").mkdir()
    (folder / "red.png").rename(folder / "check" / "real.png")
    (folder / "red.png").symlink_to("check/real.png")
    for hidden in (".git", ".versions", "check/.cache"):
        (folder / hidden).mkdir()
        (folder / hidden / "a").touch()
    (folder / ".from").write_text("9-000000000000")
    os.umask(0o077)
    try:
        (models / "colour").chmod(0o755)
        update(models, "2")
    finally:
        os.umask(0o022)
    found = (models / "colour" / CURRENT).resolve()
    assert sorted(str(path.relative_to(found)) for path in found.rglob("*")) == [
        *(".from", "check", "check/real.png", "labels.txt", "model.onnx", "model.toml", "red.png")
    ]
    assert not (found / "red.png").is_symlink()
    assert (found / ".from").read_text() == "0"
    modes = {path: path.stat().st_mode & 0o777 for path in (found.parent, *found.parent.rglob("*"))}
    assert all(mode == (0o755 if path.is_dir() else 0o644) for path, mode in modes.items()), modes


def test_of_several_models_one_is_named(models: Path) -> None:
    place = models.parent / "2"
    shutil.copytree(place / "colour", place / "other")
    with pytest.raises(SettingsError, match=r"expected --name with one of colour, other$"):
        find(str(place), "", SETTINGS)
    assert find(str(place), "colour", SETTINGS).name == "colour"
    with pytest.raises(ModelNotFoundError, match="expected a model absent, got none"):
        find(str(place), "absent", SETTINGS)


# From a bucket


@pytest.fixture
def storage(models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    """A bucket with the version 2 of ``colour``, and another model's folder."""
    monkeypatch.setattr(gcs, "_RETRY_S", 1.0)
    with StorageServer() as running_server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running_server.url)
        for path in (models.parent / "2" / "colour").iterdir():
            running_server.put("bucket", f"models/colour/{path.name}", path.read_bytes())
        running_server.put("bucket", "models/colour/.hidden/a", b"")
        running_server.put("bucket", "models/colour/empty/", b"")
        running_server.put("bucket", "models/colour/empty.txt", b"")
        running_server.put("bucket", "models/colours/model.toml", b"")
        running_server.put("bucket", "plain/colour/a", b"")
        yield running_server


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(
    ("place", "name"), [("gs://bucket/models/colour/", ""), ("gs://bucket/models", "colour")]
)
def test_a_bucket_has_updates_too(
    models: Path, storage: StorageServer, place: str, name: str
) -> None:
    manifest = versions(models).update(find(place, name, SETTINGS))
    assert manifest
    assert version_of(models) == manifest.version == "2"
    found = sorted(path.name for path in (models / "colour" / CURRENT).iterdir())
    assert found == [".from", "empty.txt", "labels.txt", "model.onnx", "model.toml", "red.png"]
    assert versions(models).update(find(place, name, SETTINGS)) is None


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(
    ("place", "error", "said"),
    [
        ("gs://bucket/models", SettingsError, "expected --name with one of colour, colours"),
        ("gs://bucket/none", ModelNotFoundError, "expected a model, got none"),
        ("gs://bucket/plain", ModelNotFoundError, "plain/colour/model.toml: expected it to exist"),
        ("gs://bucket/models/colours", ManifestError, "is missing$"),
        ("gs:///a", SettingsError, "^expected gs://bucket or gs://bucket/name, got 'gs:///a'$"),
    ],
)
def test_a_place_in_a_bucket_that_is_none_is_told(
    storage: StorageServer, place: str, error: type[ZeropointError], said: str
) -> None:
    with pytest.raises(error, match=said):
        find(place, "", SETTINGS)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_bucket_that_has_too_much_or_is_away_changes_nothing(
    models: Path, storage: StorageServer
) -> None:
    before = kept(models)
    source = find("gs://bucket/models/colour", "", SETTINGS)
    storage.put("bucket", "models/colour/large", bytes(20_000))
    settings = Settings(cpus=1, max_model_bytes=10_000)
    with pytest.raises(ArtifactError, match=r"^large: expected at most 10000 bytes, got more"):
        versions(models, settings).update(source)
    storage.put("bucket", "models/colour/large", b"")
    storage.put("bucket", "models/colour/model.toml", b"another")
    with pytest.raises(ArtifactError, match="it was changed while it was copied"):
        versions(models).update(source)
    storage.put("bucket", "models/colour//a", b"")
    with pytest.raises(ArtifactError, match="expected an object whose name is a path"):
        versions(models).update(source)
    storage.stumble(1.0)
    with pytest.raises(UnavailableError):
        versions(models).update(source)
    storage.mend()
    assert kept(models) == before


# At any moment


def test_two_updates_at_once_go_one_after_the_other(models: Path) -> None:
    waited = threading.Event()

    def one(version: str) -> None:
        source = find(str(models.parent / version), "", SETTINGS)
        Versions(LocalRepository(models), "colour", SETTINGS, waited.set).update(source)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, "234"))
    assert waited.is_set()
    rows = versions(models).known()
    assert [row.number for row in rows] == [0, 2, 3]
    assert [row.current for row in rows] == [False, False, True]
    assert version_of(models) == rows[-1].version


def test_who_loads_meanwhile_gets_one_version_whole(models: Path, runner: Runner) -> None:
    ended = threading.Event()

    def load() -> set[str]:
        found = set()
        while not ended.is_set():
            found.add(version_of(models))
        return found

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load)
        for version in ("2", "3", "4", "2"):
            runner.run(models, "update", str(models.parent / version))
        ended.set()
    assert len(loading.result()) > 1


def test_a_kill_at_any_moment_leaves_a_version_that_works(models: Path, runner: Runner) -> None:
    """Of an update and of a rollback; and the next one goes through."""
    chance = random.Random(5)  # noqa: S311 - the same moments at each run, as far as they can be
    took_s = min(seconds(runner, models, version) for version in "2342")
    killed = [0, 0]  # with the version that was there, with the wanted one
    turn = 0
    while sum(killed) < KILLS:
        turn += 1
        assert turn < 20 * KILLS
        now, before = version_of(models), before_of(models)
        wanted = before if turn % 3 == 2 and before else "34"[now == "3"]
        back = wanted == before
        arguments = ["rollback", "colour"] if back else ["update", str(models.parent / wanted)]
        pid = runner.start(models, arguments)
        time.sleep(chance.random() * took_s)
        os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(runner.end())
        found = version_of(models)
        if status == -signal.SIGKILL:
            killed[found == wanted] += 1
            assert found in (now, wanted)
        else:
            assert (status, found) == (0, wanted)
    print(f"\n{killed} of {turn} killed; an update takes {took_s:.3f} s")
    assert update(models, "2" if version_of(models) != "2" else "3")
    assert left(models) == []
    assert len(list((models / "colour" / VERSIONS).iterdir())) <= 2


def seconds(runner: Runner, models: Path, version: str) -> float:
    """Returns how long an update takes."""
    began_s = time.monotonic()
    runner.run(models, "update", str(models.parent / version))
    return time.monotonic() - began_s


def prepared(models: Path, command: str) -> list[str]:
    """Brings a repository to where a command has most to do, and returns its arguments."""
    for version in "23":
        update(models, version)
    if command == "add":
        shutil.rmtree(models / "colour")
    return ["rollback", "colour"] if command == "rollback" else ["update", f"{models.parent}/4"]


@pytest.mark.parametrize("command", ["update", "rollback", "add"])
def test_a_stop_before_any_step_leaves_a_version_that_works(
    models: Path, runner: Runner, tmp_path: Path, command: str
) -> None:
    arguments = prepared(models, command)
    shutil.copytree(models, tmp_path / "before", symlinks=True)
    before = "" if command == "add" else version_of(models)
    steps = runner.run(models, *arguments)
    after = version_of(models)
    assert len(steps) >= (5 if command == "rollback" else 15)
    found = []
    for stop in range(1, len(steps) + 1):
        place = tmp_path / f"stopped-{stop}" / "models"
        shutil.copytree(tmp_path / "before", place, symlinks=True)
        assert runner.run(place, *arguments, stop=stop) == []
        there = (place / "colour").exists() or command != "add"
        found.append(version_of(place) if there else "")
        shutil.copytree(models.parent / "2", place.parent / "2")
        update(place, "2")  # which clears up
        assert version_of(place) == "2"
        assert left(place) == []
    switched = found.index(after)
    assert found == [before] * switched + [after] * (len(steps) - switched)


@pytest.mark.parametrize("command", ["update", "rollback", "add"])
def test_a_power_cut_after_any_step_leaves_a_version_that_works(
    models: Path, runner: Runner, tmp_path: Path, command: str
) -> None:
    """Whatever of the steps the disk has not been told to keep is there or not."""
    arguments = prepared(models, command)
    shutil.copytree(models, tmp_path / "before", symlinks=True)
    before = state_of(models)
    steps = runner.run(models, *arguments)
    after = state_of(models)
    assert after != before
    known: dict[str, tuple[str, str]] = {}
    moments = []
    for states in power_cut.after(tmp_path / "before", steps):
        found = set()
        for state in states:
            key = repr(state)
            if key not in known:
                place = tmp_path / f"cut-{len(known)}"
                power_cut.write(state, place)
                known[key] = state_of(place)
                shutil.rmtree(place)
            found.add(known[key])
        moments.append(found)
    print(f"\n{len(steps)} steps, {len(known)} states")
    assert len(known) >= (3 if command == "rollback" else 5)
    assert all(found <= {before, after} for found in moments)
    assert moments[0] == {before}
    assert moments[-1] == {after}  # what was told to be done outlasts the power cut


def state_of(models: Path) -> tuple[str, str]:
    """Returns the version that answers, and that before it; all that have a name are whole."""
    if not (models / "colour").exists():
        return "", ""
    for folder in (models / "colour" / VERSIONS).glob("[0-9]*"):
        loader.load(LocalRepository(folder, held=folder), "colour", SETTINGS)
    return version_of(models), before_of(models)


# When the disk refuses

FULL = """
import shutil, subprocess, sys
from pathlib import Path
from releases import kept, version_of
from zeropoint.artifact import LocalRepository
from zeropoint.errors import ArtifactError
from zeropoint.settings import Settings
from zeropoint.versions import Versions
from zeropoint.versions.source import find

made, models, settings = Path(sys.argv[1]), Path(sys.argv[2]) / "models", Settings(cpus=1)
shutil.copytree(made / "models", models)
filler = models.parent / "filler"
for pages in range(9):
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, file.tell() // 4096 - pages) * 4096)
    before = kept(models)
    try:
        source = find(f"{made}/2", "", settings)
        Versions(LocalRepository(models), "colour", settings).update(source)
    except ArtifactError as error:
        print(f"{pages}: {error}")
        assert kept(models) == before
        assert version_of(models) == "1"
    else:
        print("updated")
        assert version_of(models) == "2"
        break
filler.unlink()
subprocess.run(["mount", "-o", "remount,ro", sys.argv[2]], check=True)
for call in (
    lambda: Versions(LocalRepository(models), "colour", settings).rollback(),
    lambda: Versions(LocalRepository(models), "colour", settings).update(
        find(f"{made}/3", "", settings)
    ),
):
    try:
        call()
    except ArtifactError as error:
        print(error)
same = find(f"{made}/2", "", settings)
assert Versions(LocalRepository(models), "colour", settings).update(same) is None
assert version_of(models) == "2"
"""
MOUNTED = 'mount -t tmpfs -o size=128k tmpfs "$2" && exec "$0" -c "$3" "$1" "$2"'


@needs_mounts
def test_a_full_or_read_only_disk_is_told_and_loses_nothing(models: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTED]
    path = os.pathsep.join([str(ROOT / "function"), str(ROOT / "tests")])
    done = subprocess.run(
        [*command, sys.executable, str(tmp_path), str(tmp_path / "disk"), FULL],
        env=environment(tmp_path, {"PYTHONPATH": path}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *full, updated, back, on = done.stdout.splitlines()
    assert updated == "updated"
    assert len(full) > 2
    place = tmp_path / "disk" / "models" / "colour"
    said = f"{place}: expected a folder that can be written, with room for a version more, got "
    for number, line in enumerate(full):
        assert line == f"{number}: {said}No space left on device"
    assert back == on == f"{said}Read-only file system"
