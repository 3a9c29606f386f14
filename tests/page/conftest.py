"""A browser, a server with a model of each task, and tabs that are watched."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from page.browser import Tab, chromium
from servers import ROOT, Server
from tiny_decoders import write_decoder
from tiny_detectors import red_graph, write_detector
from tiny_models import write_identity_model
from tiny_tables import weighed_graph, write_table_model
from tiny_texts import write_embedding_model, write_judge_model

COMMITTED = ("efficientnet-lite0", "phishing", "shuttle")
# Each kind of feature; the model adds them all up.
HOUSE: list[dict[str, Any]] = [
    {"name": "rooms", "type": "integer", "minimum": 1, "default": 2},
    {"name": "area_of_the_garden", "type": "number", "minimum": 0, "description": "In m²"},
    {"name": "heating", "type": "category", "categories": ["gas", "heat pump"]},
    {"name": "cellar", "type": "boolean"},
    {"name": "floors", "type": "number", "default": 1.5},
]


@pytest.fixture(scope="module")  # no longer: Playwright keeps an event loop running meanwhile
def browser() -> Iterator[Any]:
    """The browser of a file of tests."""
    with chromium() as running:
        yield running


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Opens tabs, each of its own session; at the end all are checked."""
    opened: list[Tab] = []

    def of(server: Server, **options: Any) -> Tab:
        opened.append(Tab(browser, server.url, **options))
        return opened[-1]

    yield of
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of each task: those that are committed, and tiny ones."""
    folder = tmp_path_factory.mktemp("models")
    for name in COMMITTED:
        (folder / name).symlink_to(ROOT / "model_artifacts" / name)
    write_detector(folder, red_graph())
    write_judge_model(folder)
    write_embedding_model(folder)
    write_identity_model(folder, "FLOAT")
    manifest = write_decoder(folder, name="letters") / "model.toml"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if "chat_template" not in line))
    row = {"rooms": 3, "area_of_the_garden": 10.5, "heating": "heat pump", "cellar": True}
    write_table_model(
        folder,
        weighed_graph([[1.0]] * len(HOUSE)),
        HOUSE,
        {"unit": "k€"},
        row,
        {"value": 17.0, "unit": "k€"},
        name="house",
        task="tabular-regression",
    )
    return folder


@pytest.fixture(scope="session")
def models(repository: Path) -> Iterator[Server]:
    """A server of a model of each task."""
    with Server({"ZEROPOINT_MODELS": str(repository)}, measured=False) as running:
        running.wait_until_ready()
        yield running


def sent(page: Any) -> dict[str, Any]:
    """Asks by the page's button, and returns the JSON that it sent."""
    with page.expect_request("**/predict/*") as asked:
        page.click("#send")
    found: dict[str, Any] = json.loads(asked.value.post_data)
    return found
