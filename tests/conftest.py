"""Fixtures that many tests share."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import built_models
from servers import FRAMEWORK, ROOT, SERVE, Server
from tiny_models import write_colour_model
from zeropoint.settings import Settings

# A machine that does something else meanwhile is no fault of a property.
hypothesis.settings.register_profile("zeropoint", deadline=None)
hypothesis.settings.load_profile("zeropoint")

CAT = ROOT / "model_artifacts" / "efficientnet-lite0" / "check" / "cat.jpg"


@pytest.fixture
def colour_repository(tmp_path: Path) -> Path:
    """A repository with the one model ``colour``."""
    write_colour_model(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def settings(colour_repository: Path) -> Settings:
    """Settings that name the repository of the model ``colour``."""
    return Settings(models=str(colour_repository))


@pytest.fixture(scope="session")
def built_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of every model: those committed, and those that `make models` builds."""
    return built_models.link_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server of the bundled repository, shared by the tests of one process."""
    with Server() as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session", params=[SERVE, FRAMEWORK], ids=["serve", "framework"])
def colour_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of the model ``colour``, shared by the tests of one process; each kind of server."""
    repository = tmp_path_factory.mktemp("repository")
    write_colour_model(repository)
    with Server({"ZEROPOINT_MODELS": str(repository)}, command=request.param) as running:
        running.wait_until_ready()
        yield running
