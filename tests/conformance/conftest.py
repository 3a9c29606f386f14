"""The servers that the cases attack, the check after each attack, and the table of 40."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from conformance import table, wire
from servers import ROOT, Server
from slow_server import Slow, slow_server
from tiny_models import write_colour_model, write_identity_model, write_tensor_model

VERTEX = {"AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/v1/predict"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table of 40 where nothing but the cases was run."""
    reports = [
        (one.nodeid, kind, one.duration)
        for kind, found in terminalreporter.stats.items()
        for one in found
        if isinstance(one, pytest.TestReport)
    ]
    if reports and all("tests/conformance/" in name for name, _, _ in reports):
        terminalreporter.section("conformance")
        for line in table.lines(reports):
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _still_answers(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each case, whatever it sent, its server answers a photo, and rightly."""
    yield
    for value in request.node.funcargs.values():
        server = getattr(value, "server", value)
        if isinstance(server, Server) and server.process.poll() is None:
            wire.photo_is_answered(server)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of a real photo model, a table's, and tiny ones."""
    folder = tmp_path_factory.mktemp("repository")
    write_colour_model(folder)
    write_identity_model(folder, "FLOAT")
    write_ratio_model(folder)
    for name in (wire.PHOTO_MODEL, "phishing"):
        (folder / name).symlink_to(ROOT / "model_artifacts" / name)
    return folder


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[Server]:
    """A server of that repository, with every route that there is."""
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "colour", **VERTEX}
    with Server(settings) as running:
        running.wait_until_ready()
        wire.photo_is_answered(running)
        yield running


@pytest.fixture(scope="session")
def small_server(repository: Path) -> Iterator[Server]:
    """The same, but that it takes few bytes; a photo of fewer is answered."""
    settings = {
        "ZEROPOINT_MODELS": str(repository),
        "ZEROPOINT_MODEL": "colour",
        "ZEROPOINT_MAX_BODY_BYTES": str(wire.SMALL_BYTES),
        **VERTEX,
    }
    assert len(wire.PHOTO) < wire.SMALL_BYTES
    with Server(settings) as running:
        running.wait_until_ready()
        wire.photo_is_answered(running)
        yield running


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    """A server of the model ``slow``, beside one for photos."""
    write_colour_model(tmp_path)
    with slow_server(tmp_path, ZEROPOINT_DRAIN_S="4") as running:
        yield running


@pytest.fixture
def photo_model(tmp_path: Path) -> Path:
    """A folder of the photo model to do harm to: one file, no variants to fall back on."""
    folder = shutil.copytree(
        ROOT / "model_artifacts" / wire.PHOTO_MODEL, tmp_path / wire.PHOTO_MODEL
    )
    text = (folder / "model.toml").read_text("utf-8")
    (folder / "model.toml").write_text(text.partition("[[variant]]")[0])
    return folder


def write_ratio_model(repository: Path) -> None:
    """Writes the artifact ``ratio``, which gives a / b: any float there is."""
    graph = helper.make_graph(
        [helper.make_node("Div", ["a", "b"], ["ratio"])],
        "ratio",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in "ab"],
        [helper.make_tensor_value_info("ratio", TensorProto.FLOAT, ["n", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    write_tensor_model(repository, "ratio", model, {"a": [1.0], "b": [2.0]}, {"ratio": [0.5]})
