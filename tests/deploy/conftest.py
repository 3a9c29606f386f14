"""The fake cloud, and a server that plays a revision."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.cloud import Cloud, Revision


@pytest.fixture(scope="session")
def revision() -> Iterator[Revision]:
    """A revision that answers over HTTP, shared by the tests of one process."""
    with Revision() as running:
        yield running


@pytest.fixture
def cloud(tmp_path: Path, revision: Revision) -> Cloud:
    """A fake cloud, whose new revisions answer well."""
    return Cloud(tmp_path, f"{revision.url}/ok")
