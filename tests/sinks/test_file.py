"""Records as files: once, whole, durable, in their folder, whatever their names."""

import hashlib
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import example, given, strategies
from hypothesis import settings as hypothesis_settings

from servers import ROOT, environment
from zeropoint.errors import UnavailableError
from zeropoint.sinks.file import FileSink, folder

HOSTILE = [
    *("", "/", "//", ".", "..", "../a", "a/../..", "/etc/passwd", "a/./b", "a/", "a//b", ".hidden"),
    *("\0", "a\nb", "a\rb", "\x7f", "a\\b", "%", "%2E", "%_", "a%2Fb", "\udc80", "é", "e\u0301"),
    *("x" * 300, "é" * 300, "x" * 300 + ".json", "a/" * 3000, "x" * 100_000, "CON", "a:b", " "),
    *("a", "a/b", "a.json", "a.json/b", "a%.json", "a%2Ejson/b", "a%2Ejson", "a.json/b.json"),
]
# Few characters that matter, many of them: what a random text would hardly hit.
NAMES = strategies.one_of(
    strategies.text(),
    strategies.text("./%_2Ejson\0\n", max_size=20),
    strategies.builds(
        lambda text, times: text * times, strategies.text("./a%é\0"), strategies.integers(1, 3000)
    ),
)
RACER = """
import sys
from pathlib import Path
from zeropoint.sinks.file import FileSink
sink = FileSink(Path(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    print(sink.put(line.strip(), sys.argv[2].encode() * 1000, {}), flush=True)
"""
WRITER = """
import hashlib, os, sys
from pathlib import Path
from zeropoint.sinks.file import FileSink
sink = FileSink(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(100_000):
    data = os.urandom(1 << 20)
    sink.put(f"{os.getpid()}/{number}.json", hashlib.sha256(data).digest() + data, {})
"""
FULL = """
import resource, sys
from pathlib import Path
from zeropoint.errors import UnavailableError
from zeropoint.sinks.file import FileSink
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    FileSink(Path(sys.argv[1])).put("a/b.json", b"x" * 100_000, {})
except UnavailableError as error:
    print(error)
"""


def start(script: str, tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "records"), *arguments],
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT / "function")}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def parts_left(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.startswith(".")]


def test_a_record_is_written_once(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "new" / "folder")
    assert sink.get("bucket/a folder/photo.jpg@7.json") is None
    assert sink.put("bucket/a folder/photo.jpg@7.json", b"first", {"outcome": "result"})
    assert not sink.put("bucket/a folder/photo.jpg@7.json", b"second", {})
    assert sink.get("bucket/a folder/photo.jpg@7.json") == b"first"
    place = tmp_path / "new" / "folder" / "bucket" / "a%20folder" / "photo.jpg@7.json"
    assert place.read_bytes() == b"first"
    assert parts_left(tmp_path) == []
    assert not sink.owns("bucket", "a")


def test_another_process_s_sink_sees_it(tmp_path: Path) -> None:
    assert FileSink(tmp_path).put("a.json", b"first", {})
    assert not FileSink(tmp_path).put("a.json", b"second", {})
    assert FileSink(tmp_path).get("a.json") == b"first"


def test_a_record_can_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    FileSink(tmp_path).put("a.json", b"", {})
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o666 & ~mask


def test_no_name_is_in_another_s_way(tmp_path: Path) -> None:
    """Whatever there is already: a file named as the folder of another, a longer path."""
    sink = FileSink(tmp_path / "in")
    for name in HOSTILE:
        assert sink.put(name, name.encode(errors="surrogatepass"), {}), name
    for name in HOSTILE:
        assert sink.get(name) == name.encode(errors="surrogatepass")
        assert not sink.put(name, b"", {})
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    files = [path for path in (tmp_path / "in").rglob("*") if path.is_file()]
    assert len(files) == len(HOSTILE)


@hypothesis_settings(max_examples=500, deadline=None, database=None)
@given(NAMES)
@example("../../etc/passwd")
def test_every_name_stays_in_the_folder_as_parts_any_file_system_takes(name: str) -> None:
    place = FileSink(Path("/srv/folder"))._path(name)
    below = place.relative_to("/srv/folder")
    assert os.path.normpath(place) == str(place)
    assert len(str(below)) <= 2048
    for part in below.parts:
        assert re.fullmatch(r"[A-Za-z0-9_~@=+,%-][A-Za-z0-9_.~@=+,%-]*", part)
        assert len(part) <= 200
    assert below.name.endswith(".json")
    assert not any(part.endswith(".json") for part in below.parts[:-1])


@hypothesis_settings(max_examples=500, deadline=None, database=None)
@given(strategies.lists(NAMES, min_size=2, max_size=8, unique=True))
@example(HOSTILE)
def test_no_two_names_have_one_place(names: list[str]) -> None:
    places = [FileSink(Path("/root"))._path(name) for name in names]
    # Nor has one that was made to look like another's place.
    looks = {place.relative_to("/root").as_posix() for place in places} - set(names)
    places += [FileSink(Path("/root"))._path(name) for name in looks]
    assert len(set(places)) == len(names) + len(looks)
    assert not any(one in other.parents for one in places for other in places)


@hypothesis_settings(max_examples=200, deadline=None, database=None)
@given(strategies.lists(strategies.text("a./\0é%Z ", min_size=1, max_size=20)))
def test_a_name_can_be_told_from_its_place(parts: list[str]) -> None:
    name = "/".join([part.strip("/").replace("//", "/") or "x" for part in parts] + ["a.json"])
    place = FileSink(Path("/root"))._path(name).relative_to("/root").as_posix()
    if "%_" not in place and "//" not in name:
        assert unquote(place) == name


def test_of_eight_processes_one_writes(tmp_path: Path) -> None:
    racers = [start(RACER, tmp_path, str(number)) for number in range(8)]
    try:
        assert {said(racer) for racer in racers} == {"ready"}
        for turn in range(20):
            for racer in racers:
                assert racer.stdin
                racer.stdin.write(f"folder{turn}/a.json\n")
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda racer: racer.stdin.flush(), racers))
            won = [said(racer) == "True" for racer in racers]
            assert won.count(True) == 1
            written = FileSink(tmp_path / "records").get(f"folder{turn}/a.json")
            assert written == str(won.index(True)).encode() * 1000
    finally:
        for racer in racers:
            racer.communicate(timeout=10)
    assert parts_left(tmp_path) == []


def test_a_killed_process_leaves_whole_records_or_none(tmp_path: Path) -> None:
    records = tmp_path / "records"
    chance = random.Random(0)  # noqa: S311
    for _ in range(20):
        writer = start(WRITER, tmp_path)
        try:
            assert said(writer) == "ready"
            time.sleep(0.01 + chance.random() / 30)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.communicate(timeout=10)
    written = [path for path in records.rglob("*") if path.is_file()]
    left = parts_left(records)
    whole = [path for path in written if path not in left]
    assert whole
    for path in whole:
        data = path.read_bytes()
        assert data[:32] == hashlib.sha256(data[32:]).digest()
    for path in left:
        assert re.fullmatch(r"\.zeropoint-\d+-[0-9a-f]{16}\.part", path.name)
    shutil.rmtree(records)  # a hundred megabytes, which pytest would keep


def test_many_threads_share_a_sink(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: sink.put(f"{n // 8}/a.json", b"x", {}), range(80)))
    assert sum(won) == 10


def test_a_full_disk_is_unavailable_and_keeps_nothing(tmp_path: Path) -> None:
    process = start(FULL, tmp_path)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert re.fullmatch(r".*/records: expected a folder that can be .*, got File too large\n", out)
    assert [path.name for path in (tmp_path / "records").rglob("*")] == ["a"]


@pytest.mark.parametrize("root", ["/proc/zeropoint", "/proc/self/status", "/dev/null/a"])
def test_a_folder_that_cannot_be_written_is_unavailable(root: str) -> None:
    with pytest.raises(UnavailableError, match=rf"^{root}: expected a folder .*, got \w+"):
        FileSink(Path(root)).put("a", b"", {})


def test_a_folder_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match="Not a directory"):
        FileSink(tmp_path / "file").get("a")
    (tmp_path / "a.json").symlink_to("a.json")
    with pytest.raises(UnavailableError, match="symbolic links"):
        FileSink(tmp_path).get("a.json")


def test_no_open_file_to_be_had_is_unavailable(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    calls: list[Callable[[], object]] = [
        lambda: sink.get("a.json"),
        lambda: sink.put("b.json", b"", {}),
    ]
    sink.put("a.json", b"", {})
    for call in calls:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(UnavailableError, match="Too many open files"):
                call()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_private_folder_is_this_user_s_alone(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "private", private=True)
    assert sink.get("a/b.json") is None
    assert sink.put("a/b.json", b"data", {})
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o700
    assert sink.get("a/b.json") == b"data"


@pytest.mark.parametrize("kind", ["link", "open", "file", "theirs"])
def test_a_private_folder_that_somebody_else_made_is_not_used(tmp_path: Path, kind: str) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "private"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "a.json").write_bytes(b"forged")
    if kind == "link":
        root.symlink_to(elsewhere)
    elif kind == "file":
        root.write_bytes(b"")
    elif kind == "theirs":
        if os.geteuid():
            pytest.skip("only root can give a folder away")
        root.mkdir(mode=0o700)
        os.chown(root, 65534, -1)
    else:
        root.mkdir()
        root.chmod(0o755)
    sink = FileSink(root, private=True)
    for call in (lambda: sink.put("b/c.json", b"", {}), lambda: sink.get("a.json")):
        with pytest.raises(UnavailableError, match=r"only this user can open.* \(ZEROPOINT_RES"):
            call()
    assert [path.name for path in elsewhere.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("uri", "path"),
    [("file:///a", "/a"), ("file:///a/b%20c/", "/a/b c"), ("file:///a b", "/a b")],
)
def test_a_uri_names_a_folder(uri: str, path: str) -> None:
    assert folder(uri) == Path(path)


@pytest.mark.parametrize(
    "uri",
    ["file://relative", "file:/a", "file:", "/a", "file://", "file:///", "file:////", "file://./a"],
)
def test_another_uri_names_none(uri: str) -> None:
    with pytest.raises(ValueError, match=r"^expected file:///folder, an absolute path$"):
        folder(uri)
    with pytest.raises(ValueError, match="zero byte"):
        folder("file:///a%00b")
