"""Which files of a folder are answered, and when one is another than it was."""

import os
import time
from pathlib import Path

import pytest

from zeropoint.watching.changes import Changes
from zeropoint.watching.folder import File, Folder


def names(folder: Folder, since_ns: int = 0) -> list[str]:
    return [file.name for file in folder.files(since_ns)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / ".cache").mkdir()
    for name in ("b.jpg", "a.png", ".part.jpg", "sub/c.jpg", "sub/deep/d.JPG", ".cache/e.jpg"):
        (root / name).write_bytes(b"x")
    (tmp_path / "elsewhere.jpg").write_bytes(b"x")
    (root / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (root / "folder-link").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.jpg")
    return root


def test_regular_files_at_any_depth_and_no_other(root: Path) -> None:
    assert names(Folder(root)) == ["a.png", "b.jpg", "sub/c.jpg", "sub/deep/d.JPG"]


def test_patterns_choose_by_name(root: Path) -> None:
    assert names(Folder(root, ("*.jpg", "*.JPG"))) == ["b.jpg", "sub/c.jpg", "sub/deep/d.JPG"]


def test_only_what_came_since(root: Path) -> None:
    time.sleep(0.05)
    began_ns = time.time_ns() - 10_000_000  # as the file system's clock ticks
    (root / "new.jpg").write_bytes(b"x")
    (root / "b.jpg").rename(root / "moved.jpg")  # its time of writing stays
    assert names(Folder(root), began_ns) == ["moved.jpg", "new.jpg"]


def look(folder: Folder, name: str) -> File:
    file = folder.look(folder.root / name)
    assert file is not None
    return file


def test_a_file_that_was_written_again_is_another(root: Path) -> None:
    folder = Folder(root)
    file = look(folder, "b.jpg")
    assert folder.read(file, 10) == b"x"
    assert folder.read(file, 0) == b""
    os.utime(file.path, ns=(0, file.modified_ns + 1))
    assert folder.read(file, 10) is None
    assert look(folder, "b.jpg").record == f"b.jpg@{file.modified_ns + 1}.json"
    file.path.unlink()
    assert folder.read(file, 10) is None
    assert folder.look(file.path) is None


def test_a_link_in_a_files_place_is_not_followed(root: Path) -> None:
    folder = Folder(root)
    file = look(folder, "b.jpg")
    file.path.unlink()
    file.path.symlink_to(root.parent / "elsewhere.jpg")
    with pytest.raises(OSError, match="symbolic links"):
        folder.read(file, 10)


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        names(Folder(tmp_path / "none"))


class Told:
    """An event as watchdog gives it."""

    def __init__(self, kind: str, path: str, to: str = "", is_directory: bool = False) -> None:
        self.event_type, self.src_path, self.dest_path = kind, path, to
        self.is_directory = is_directory


def test_changes_are_told_once_and_in_order() -> None:
    changes = Changes()
    changes.dispatch(Told("created", "/in/a"))  # type: ignore[arg-type]
    changes.dispatch(Told("created", "/in/b"))  # type: ignore[arg-type]
    changes.dispatch(Told("modified", "/in/a"))  # type: ignore[arg-type]
    changes.dispatch(Told("closed", "/in/a"))  # type: ignore[arg-type]
    changes.dispatch(Told("moved", "/in/.c", "/in/c"))  # type: ignore[arg-type]
    found = changes.wait(5.0)
    assert found == {Path("/in/a"): True, Path("/in/b"): False, Path("/in/c"): True}
    assert not changes.missed
    assert changes.wait(0.0) == {}


def test_far_too_many_changes_ask_for_a_look_at_the_folder() -> None:
    changes = Changes()
    for number in range(10_001):
        changes.dispatch(Told("closed", f"/in/{number}"))  # type: ignore[arg-type]
    assert changes.missed
    assert len(changes.wait(0.0)) == 10_000


def test_a_folder_that_comes_asks_for_a_look_at_it() -> None:
    changes = Changes()
    changes.dispatch(Told("deleted", "/in/sub", is_directory=True))  # type: ignore[arg-type]
    assert not changes.missed
    changes.dispatch(Told("created", "/in/sub", is_directory=True))  # type: ignore[arg-type]
    assert changes.missed
