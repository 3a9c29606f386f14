"""zeropoint predict as people type it: tables, instances in files, and boxes on photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from servers import zeropoint
from tiny_detectors import CORNERS, constant_graph, red_graph, write_detector
from tiny_models import picture, write_colour_model, write_identity_model
from tiny_tables import weighed_graph, write_table_model
from zeropoint.cli.drawing import draw_boxes
from zeropoint.cli.table import lines

Detections = list[dict[str, Any]]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with a detector of what is red."""
    write_detector(tmp_path / "models", red_graph())
    return tmp_path / "models"


def photo(folder: Path, name: str = "photo.png", size: tuple[int, int] = (400, 300)) -> Path:
    """Writes a photo whose second quarter, across and down, is red."""
    image = Image.new("RGB", size)
    box = (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2)
    image.paste("red", box)
    image.save(folder / name)
    return folder / name


def predict(home: Path, *arguments: str | Path) -> tuple[int, str, str]:
    """Runs the command; returns its status and what it printed on stdout and stderr."""
    settings = {"ZEROPOINT_MODELS": str(home / "models")}
    done = zeropoint(home, "predict", *map(str, arguments), settings=settings)
    return done.returncode, done.stdout, done.stderr


# Boxes


def test_detections_are_a_line_each(tmp_path: Path, models: Path) -> None:
    file = photo(tmp_path)
    status, out, _ = predict(tmp_path, file)
    assert status == 0
    assert out.splitlines() == [str(file), "   75.0%  red thing     100      75     200     150"]


def test_boxes_are_drawn_on_the_upright_photo(tmp_path: Path, models: Path) -> None:
    file = photo(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(file) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png", exif=exif)
    status, out, err = predict(tmp_path, tmp_path / "lying.png", "--draw", tmp_path / "out.png")
    assert (status, err) == (0, "")
    assert "red thing" in out
    with Image.open(tmp_path / "out.png") as drawn:
        assert (drawn.format, drawn.mode, drawn.size) == ("PNG", "RGB", (400, 300))
        colour = drawn.getpixel((199, 140))
        assert colour not in ((0, 0, 0), (255, 0, 0))
        for edge in ((100, 140), (150, 76), (199, 100), (150, 149)):
            assert drawn.getpixel(edge) == colour
        assert drawn.getpixel((150, 120)) == (255, 0, 0)  # within
        assert drawn.getpixel((300, 250)) == (0, 0, 0)  # without
        label = drawn.crop((100, 58, 190, 74)).getcolors()
        assert max(label or [])[1] == colour
        assert {(0, 0, 0), (255, 255, 255)} & {one for _, one in label or []}  # the text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photo.png", "photo.png", "--draw", "out.png"], "expected one FILE, got 2"),
        (["photo.png", "--draw", "photo.png"], "expected another file than FILE"),
        (["photo.png", "--draw", "out.txt"], "a name that ends in .png"),
        (["photo.png", "--draw", "no-folder/out.png"], "expected a folder that exists"),
        (
            ["photo.png", "--draw", "out.png", "--model", "colour"],
            "expected a model that finds boxes, got colour, a model of image-classification",
        ),
    ],
)
def test_what_cannot_be_drawn_is_told(
    tmp_path: Path, models: Path, arguments: list[str], said: str
) -> None:
    before = photo(tmp_path).read_bytes()
    write_colour_model(models)
    paths = [tmp_path / one if "." in one else one for one in arguments]
    status, _, err = predict(tmp_path, *paths)
    assert status == 2
    assert said in " ".join(err.split())
    assert photo(tmp_path).read_bytes() == before
    assert not (tmp_path / "out.png").exists()


def test_a_photo_where_nothing_is_found_is_drawn_as_it_is(tmp_path: Path) -> None:
    graph = constant_graph(boxes=[[0, 0, 9, 9]], scores=[[0.1, 0.2]])
    write_detector(tmp_path / "models", graph, CORNERS)
    status, out, _ = predict(tmp_path, photo(tmp_path), "--draw", tmp_path / "out.png")
    assert status == 0
    assert out.splitlines()[1:] == ["  nothing found"]
    with Image.open(tmp_path / "out.png") as drawn, Image.open(tmp_path / "photo.png") as before:
        assert drawn.tobytes() == before.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (20, 400), (64, 48), (4000, 3000)])
@pytest.mark.parametrize("label", ["Cat", "", "a very long label indeed " * 9, "貓 \n ß"])
def test_any_box_can_be_drawn_on_a_photo_of_any_size(size: tuple[int, int], label: str) -> None:
    width, height = map(float, size)
    boxes = [[0.0, 0.0, width, height], [width - 0.5, height - 0.01, width, height]]
    found = [{"label": label, "score": 0.5, "box": box, "index": 7} for box in boxes]
    drawn = draw_boxes(picture("grey", size), {"detections": found}, 10**8)
    assert drawn.size == size


# Instances in files


def test_the_instances_of_a_file_are_numbered(tmp_path: Path) -> None:
    write_identity_model(tmp_path / "models", "FLOAT")
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(f"[{number}, 0.5]" for number in range(10)))
    status, out, _ = predict(tmp_path, file)
    assert status == 0
    rows = out.splitlines()
    assert rows[:4] == [str(file), " 1  y  [0, 0.5]", "    z  [0, 0.5]", " 2  y  [1, 0.5]"]
    assert rows[-2:] == ["10  y  [9, 0.5]", "    z  [9, 0.5]"]


def test_the_instances_of_a_file_are_told_to_programs(tmp_path: Path) -> None:
    write_identity_model(tmp_path / "models", "FLOAT")
    file = tmp_path / "rows.json"
    file.write_text('{"instances": [[1], [2]]}')
    rows = [json.loads(line) for line in predict(tmp_path, file, "--json")[1].splitlines()]
    assert rows == [
        {"file": str(file), "instance": 1, "prediction": {"y": [1.0], "z": [1.0]}},
        {"file": str(file), "instance": 2, "prediction": {"y": [2.0], "z": [2.0]}},
    ]


def test_more_instances_than_a_request_may_have_are_answered(tmp_path: Path) -> None:
    write_identity_model(tmp_path / "models", "FLOAT")
    file = tmp_path / "rows.jsonl"
    file.write_text("[1]\n" * 1500)
    assert len(predict(tmp_path, file, "--json")[1].splitlines()) == 1500
    file.write_text("[1]\n" * 1030 + "[]\n[[]]")
    status, out, err = predict(tmp_path, file)
    assert (status, out) == (1, "")
    assert "rows.jsonl: after the first 1024: instance 8 of 8: expected" in err


def test_a_file_that_holds_no_instances_is_told(tmp_path: Path) -> None:
    write_identity_model(tmp_path / "models", "FLOAT")
    (tmp_path / "broken.json").write_text("[1")
    status, _, err = predict(tmp_path, tmp_path / "broken.json")
    assert status == 1
    assert "broken.json: expected" in err


@pytest.mark.parametrize("parameters", ["[" * 9999, "\udcff", "{", "1"])
def test_parameters_that_are_no_object_are_told(tmp_path: Path, parameters: str) -> None:
    status, _, err = predict(tmp_path, photo(tmp_path), "--parameters", parameters)
    assert status == 2
    assert "expected a JSON object" in " ".join(err.split())


def test_what_programs_are_told_is_json_also_of_what_is_no_number(tmp_path: Path) -> None:
    graph = weighed_graph([[0.0, 3e38], [0.0, 3e38]])
    features = [{"name": name, "type": "number"} for name in "ab"]
    output = {"labels": ["no", "yes"], "activation": "softmax"}
    write_table_model(tmp_path / "models", graph, features, output, [0, 0], {"probability": 0.5})
    file = tmp_path / "r\udcffws.jsonl"  # a name that is no UTF-8
    file.write_text("[1e30, 1]\n[0, 0]")
    status, out, _ = predict(tmp_path, file, "--json")
    assert status == 0
    rows = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    assert [row["prediction"]["label"] for row in rows] == [None, "yes"]
    assert rows[0]["prediction"]["probability"] is None


# Tables


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (
            {"top": [{"label": "cat", "probability": 0.5}, {"label": "x", "probability": None}]},
            [" 50.0%  ████████████              cat", "     -                            x"],
        ),
        ({"top": [1.0], "detections": {}}, ["top         [1]", "detections  {}"]),
        ({"detections": [], "width": 1, "height": 1}, ["nothing found"]),
        (
            {"label": "spam", "probability": 0.123456},
            ["label        spam", "probability  0.1235"],
        ),
        (
            {"embedding": [0.25] * 384},
            ["embedding  [0.25, 0.25, 0.25, 0.25, …] (384 values)"],
        ),
        ({"probabilities": {"no": 0.75, "yes": 0.25}}, ["probabilities  {no: 0.75, yes: 0.25}"]),
        ({"a": None, "b": True, "c": [[1, 2], []]}, ["a  null", "b  true", "c  [[1, 2], []]"]),
        (
            {"text": "a cat\n\na dog", "tokens": 3},
            ["text    a cat", "        ", "        a dog", "tokens  3"],
        ),
        ({}, []),
        (None, ["null"]),
        ("text", ["text"]),
        ([1, 2, 3, 4, 5], ["[1, 2, 3, 4, …] (5 values)"]),
        (0.5, ["0.5"]),
    ],
)
def test_a_prediction_is_readable(prediction: Any, expected: list[str]) -> None:
    assert list(lines(prediction)) == expected
