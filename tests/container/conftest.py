"""The image, built once, and its files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from container import images


@pytest.fixture(scope="session")
def tag() -> str:
    """The tag of the image of this tree."""
    images.need_buildah()
    return images.build_image()


@pytest.fixture(scope="session")
def root(tag: str) -> Iterator[Path]:
    """The image's files."""
    made = images.buildah("from", tag).stdout.strip()
    try:
        yield Path(images.buildah("mount", made).stdout.strip())
    finally:
        images.buildah("rm", made)
