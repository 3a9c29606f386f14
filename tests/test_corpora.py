"""Tests of the pictures that the other tests use, and of how they are fetched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import corpora


def test_imagenet_photos_are_twenty_labelled_pictures() -> None:
    photos = corpora.imagenet_photos()
    assert len(photos) == 20
    assert all(0 <= item.index <= 999 for item in photos)
    assert photos[0].index == 243
    for item in photos:
        with Image.open(item.path) as image:
            image.load()
            assert min(image.size) > 100


def test_cifar_thumbnails_are_forty_small_pictures() -> None:
    thumbnails = corpora.cifar_thumbnails()
    assert len(thumbnails) == 40
    for path in thumbnails:
        with Image.open(path) as image:
            assert image.size == (32, 32)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("chelsea.png", (451, 300)),
        ("coffee.png", (600, 400)),
        ("astronaut.png", (512, 512)),
        ("camera.png", (512, 512)),
        ("rocket.jpg", (640, 427)),
    ],
)
def test_photo_opens(name: str, size: tuple[int, int]) -> None:
    with Image.open(corpora.photo(name)) as image:
        image.load()
        assert image.size == size


def test_unknown_photo_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match=r"no_such\.png"):
        corpora.photo("no_such.png")


def test_pillow_images_have_the_hostile_ones() -> None:
    images = corpora.pillow_images()
    assert len(images) > 500
    assert images == sorted(images)
    names = {path.name for path in images}
    assert {"decompression_bomb.gif", "truncated_jpeg.jpg", "pil_sample_cmyk.jpg"} <= names
    assert any(path.parent.name == "apng" for path in images)


def test_two_processes_download_once(tmp_path: Path) -> None:
    corpora.imagenet_photos()  # Skips this test where nothing can be downloaded.
    script = (
        "import logging, corpora; logging.basicConfig(level='INFO');"
        "print(len(corpora.imagenet_photos()))"
    )
    environment = os.environ | {
        "ZEROPOINT_TEST_CACHE": str(tmp_path),
        "PYTHONPATH": str(Path(corpora.__file__).parent),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [out.strip() for out, _ in outputs] == ["20", "20"]
    assert sum(err.count("downloading foolbox") for _, err in outputs) == 1
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert len(list(folder.iterdir())) == 60


@pytest.mark.parametrize(("ci", "outcome"), [("", "skip"), ("true", "fail")])
def test_no_registry_skips_but_fails_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: str
) -> None:
    monkeypatch.setenv("ZEROPOINT_TEST_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("CI", ci)
    expected = {"skip": pytest.skip.Exception, "fail": pytest.fail.Exception}[outcome]
    for _ in range(2):  # The second time it answers from memory.
        with pytest.raises(expected, match="foolbox could not be downloaded"):
            corpora.imagenet_photos()
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_wrong_hash_fails_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpora.imagenet_photos()  # Skips this test where nothing can be downloaded.
    forged = tmp_path / "forged.txt"
    forged.write_text(f"foolbox==3.3.4 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    monkeypatch.setattr(corpora, "_REQUIREMENTS", forged)
    monkeypatch.setenv("ZEROPOINT_TEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.fail.Exception, match=r"not what forged\.txt pins"):
        corpora.imagenet_photos()
    assert not any(path.is_dir() for path in (tmp_path / "cache").iterdir())
