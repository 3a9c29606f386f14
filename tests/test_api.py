"""The function in a program of its own: what it takes, what it answers, what it refuses."""

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image

import zeropoint
from conftest import CAT
from servers import ROOT, Server, environment
from tiny_models import picture
from tiny_tables import weighed_graph, write_table_model
from zeropoint.errors import ClientError, ImageTooLargeError, InvalidError, ModelNotFoundError
from zeropoint.model import Model
from zeropoint.settings import Settings


@pytest.fixture
def colour(settings: Settings) -> Model:
    return zeropoint.load(limits=settings)


def pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_a_photo_is_answered_as_the_server_answers_it(server: Server) -> None:
    model = zeropoint.load("efficientnet-lite0")
    found = model.predict(CAT, top_k=3)
    answer = requests.post(
        server.url + "/predict",
        json={"instances": [{"b64": _base64(CAT)}], "parameters": {"top_k": 3}},
        timeout=30,
    ).json()
    assert [found] == answer["predictions"]
    assert (model.manifest.name, model.manifest.version) == (answer["model"], answer["version"])
    assert found["label"] == "tiger cat"


def _base64(path: Path) -> str:
    import base64

    return base64.b64encode(path.read_bytes()).decode()


def test_a_photo_is_a_path_bytes_an_image_or_an_array(colour: Model, tmp_path: Path) -> None:
    data = picture("green")
    path = tmp_path / "green.png"
    path.write_bytes(data)
    with Image.open(path) as image:
        given = [str(path), path, data, bytearray(data), image, pixels(data), pixels(data)[:, ::-1]]
        found = colour.predict_many(given)
        assert image.size == (16, 12)  # as it was
    assert [one["label"] for one in found] == ["green"] * len(given)
    assert found == [found[0]] * len(given)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16", "F", "1"])
def test_an_image_of_any_mode_is_taken_as_its_file_would_be(colour: Model, mode: str) -> None:
    image = Image.open(io.BytesIO(picture("green")))
    given = image.convert("L").convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    file = io.BytesIO()
    given.save(file, "TIFF")
    assert colour.predict(given) == colour.predict(file.getvalue())


def test_an_image_is_turned_upright_and_stays_as_it_is() -> None:
    from zeropoint import images

    lying = Image.new("RGB", (40, 20), "red")
    lying.getexif()[0x0112] = 6
    found = images.upright(lying, 10_000)
    assert (found.image.size, found.width, found.height) == ((20, 40), 20, 40)
    assert lying.size == (40, 20)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((4, 4), np.uint8), "got uint8 of shape (4, 4)"),
        (np.zeros((4, 4, 4), np.uint8), "got uint8 of shape (4, 4, 4)"),
        (np.zeros((4, 4, 3)), "got float64 of shape (4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "got uint8 of shape (0, 4, 3)"),
        (5, "expected an image"),
        (b"no photo", "expected a JPEG"),
    ],
)
def test_what_is_no_photo_is_refused(colour: Model, given: Any, said: str) -> None:
    with pytest.raises(ClientError, match=said.replace("(", r"\(").replace(")", r"\)")):
        colour.predict(given)


def test_limits_and_parameters_are_those_of_a_request(settings: Settings) -> None:
    import msgspec

    model = zeropoint.load("colour", limits=msgspec.structs.replace(settings, max_pixels=200))
    with pytest.raises(ImageTooLargeError):
        model.predict(np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(InvalidError, match="expected an object with no other keys than top_k"):
        model.predict(picture("red"), k=1)
    with pytest.raises(FileNotFoundError):
        model.predict("none.jpg")


def test_numbers_of_numpy_are_rows(tmp_path: Path) -> None:
    features = [{"name": name, "type": "number"} for name in "ab"]
    graph = weighed_graph([[1.0]] * 2)
    task = "tabular-regression"
    write_table_model(tmp_path, graph, features, {}, [1, 2], {"value": 3.0}, task=task)
    model = zeropoint.load(models=str(tmp_path))
    plain = model.predict([1.0, 2.0])
    assert model.predict(np.array([1.0, 2.0], np.float32)) == plain
    assert model.predict({"a": np.float64(1.0), "b": np.int64(2)}) == plain
    assert model.predict_many(np.array([[1.0, 2.0]] * 3)) == [plain] * 3  # type: ignore[arg-type]


def test_no_such_model(settings: Settings) -> None:
    with pytest.raises(ModelNotFoundError):
        zeropoint.load("none", limits=settings)
    with pytest.raises(AttributeError, match="no attribute 'none'"):
        zeropoint.none  # noqa: B018


def test_a_model_tells_what_it_is(colour: Model) -> None:
    assert repr(colour).startswith("<Model colour 1, image-classification, sha256:")


def test_a_program_gets_no_log_handlers_and_no_server(tmp_path: Path) -> None:
    program = """
import logging, sys
from zeropoint import load
print(load("efficientnet-lite0").predict(sys.argv[1])["label"])
assert not logging.getLogger("zeropoint").handlers and not logging.getLogger().handlers
assert not {"flask", "waitress", "werkzeug", "click", "grpc"} & {*sys.modules}
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(CAT)],
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT / "function")}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "tiger cat\n", "")


def test_the_guides_program_prints_what_the_guide_says(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "guides" / "python.md").read_text()
    program, _, rest = guide.partition("```python\n")[2].partition("```\n")
    printed = re.findall(r"^    (.*\n)", rest, re.M)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT / "function")}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "".join(printed), "")
