"""zeropoint new: from an .onnx file to an artifact that gives its known answer."""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from servers import ROOT, zeropoint
from tiny_decoders import CONTEXT, END, Kind, write_decoder, written
from tiny_detectors import constant_graph
from tiny_models import colour_graph, picture, write_colour_model
from tiny_tables import FITTED, fitted, weighed_graph
from tiny_texts import text_graph, tokenizer
from zeropoint import load, loader
from zeropoint.artifact import LocalRepository
from zeropoint.cli.new import command
from zeropoint.errors import ZeropointError
from zeropoint.settings import Settings

NEWCOMERS = ROOT / "tests" / "newcomers"


@pytest.fixture
def into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where artifacts are written, and where others are looked for: all else is by default."""
    monkeypatch.setenv("ZEROPOINT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def saved(into: Path, model: onnx.ModelProto, name: str = "Brought by_me.onnx") -> str:
    onnx.save(model, into.parent / name)
    return str(into.parent / name)


def new(into: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """Runs the command, and returns the manifest and what was printed."""
    ran = CliRunner().invoke(command, [*arguments, "--into", str(into)], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    folder = Path(ran.output.partition("wrote ")[2].partition(". Still")[0])
    loader.load(LocalRepository(into), folder.name, Settings())
    assert (folder / "card.md").is_file()
    return tomllib.loads((folder / "model.toml").read_text()), ran.output


def refused(into: Path, *arguments: str) -> str:
    """Runs the command, which nothing is left of, and returns why."""
    before = list(into.glob("*")) if into.exists() else []
    with pytest.raises(ZeropointError) as error:
        CliRunner().invoke(command, [*arguments, "--into", str(into)], catch_exceptions=False)
    assert (list(into.glob("*")) if into.exists() else []) == before
    return error.value.message


def test_a_classifier_of_photos(into: Path) -> None:
    (into.parent / "labels").write_text("red\ngreen\nblue\n")
    (into.parent / "red.PNG").write_bytes(picture("red"))
    path = saved(into, colour_graph())
    options = ("--labels", str(into.parent / "labels"), "--input", str(into.parent / "red.PNG"))
    manifest, told = new(into, path, *options)
    assert manifest["name"] == "brought-by_me"
    assert manifest["task"] == "image-classification"
    assert manifest["image"]["layout"] == "NCHW"
    assert manifest["image"]["crop"] == [8, 8]
    assert manifest["check"]["input"] == "check/photo.png"
    assert manifest["check"]["expect"]["label"] == "red"
    text = (into / "brought-by_me" / "model.toml").read_text()
    for undecided in ("license", "image.mean", "output.activation"):
        assert f"\n  {undecided}: " in told
    assert "# DECIDE: as in training: x = (pixel - mean) / std" in text
    assert "The input is made up" not in text


def test_tables_of_another_artifact_are_taken(into: Path) -> None:
    write_colour_model(into)
    manifest, told = new(into, saved(into, colour_graph()), "--like", "colour", "--name", "mine")
    image = {"layout": "NCHW", "crop": [8, 8], "mean": [0.0] * 3, "std": [25.5] * 3}
    assert manifest["image"] == {**image, "resize": {"shorter_side": 8, "kernel": "box"}}
    assert (into / "mine" / "labels.txt").read_text() == "red\ngreen\nblue\n"
    assert manifest["output"] == {"activation": "softmax", "top_k": 2}
    assert "# As colour has it." in (into / "mine" / "model.toml").read_text()
    assert [line for line in told.splitlines() if line.startswith("  image")] == []
    assert "expected a model nobody" in refused(
        into, saved(into, colour_graph()), "--like", "nobody"
    )


def test_pixels_as_they_are(into: Path) -> None:
    model = colour_graph()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node[0].input[0] = "floats"
    model.graph.node.insert(0, helper.make_node("Cast", ["input"], ["floats"], to=1))
    manifest, told = new(into, saved(into, model))
    assert manifest["image"]["std"] == [1.0] * 3
    assert "image.mean" not in told


def test_one_photo_a_pass_works_and_is_said(into: Path) -> None:
    _, told = new(into, saved(into, colour_graph(batch=1)))
    assert "one instance a forward pass, as the model's first dimension is fixed" in told


@pytest.mark.parametrize("count", [2, 4])
def test_labels_of_another_count_are_refused(into: Path, count: int) -> None:
    (into.parent / "labels.txt").write_text("a\n" * count)
    said = refused(into, saved(into, colour_graph()), "--labels", str(into.parent / "labels.txt"))
    wanted = "expected 3 labels, a line for each of the model's scores"
    assert said == f"labels.txt: {wanted}, got {count}"


def test_an_input_that_the_model_refuses_leaves_nothing(into: Path) -> None:
    (into.parent / "no.png").write_bytes(b"no photo")
    said = refused(into, saved(into, colour_graph()), "--input", str(into.parent / "no.png"))
    assert said.startswith("the model refuses check/photo.png: expected a JPEG")
    assert list(into.iterdir()) == []  # nor half of it


@pytest.mark.parametrize(
    ("channels", "labels", "objectness"), [(6, 2, False), (7, 2, True), (9, 0, False)]
)
def test_boxes_with_scores(into: Path, channels: int, labels: int, objectness: bool) -> None:
    options: tuple[str, ...] = ()
    if labels:
        (into.parent / "labels.txt").write_text("".join(f"{n}\n" for n in range(labels)))
        options = ("--labels", str(into.parent / "labels.txt"))
    model = constant_graph(found=np.full((channels, 40), 0.9, np.float32))
    manifest, told = new(into, saved(into, model), *options)
    assert manifest["output"]["channels"] == "first"
    assert manifest["output"]["objectness"] is objectness
    assert manifest["image"]["resize"] == {"width": 256, "height": 256, "kernel": "bilinear"}
    assert "\n  boxes: what the 4 numbers of a box are" in told


def test_boxes_whose_number_varies_with_the_photo(into: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        "any size",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "height", "width"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1024, "boxes"])],
        [numpy_helper.from_array(np.array([0, 1024, -1]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    labels = dict(enumerate(f"thing {n}" for n in range(1020)))
    helper.set_model_props(model, {"names": str(labels), "license": "AGPL-3.0"})
    (into.parent / "black.png").write_bytes(picture("black"))
    options = ("--input", str(into.parent / "black.png"))  # 0 is the score of all
    manifest, told = new(into, saved(into, model), *options)
    assert manifest["output"]["channels"] == "first"
    assert manifest["output"]["objectness"] is False
    assert manifest["check"]["expect"]["detections"] == []
    assert (into / manifest["name"] / "labels.txt").read_text().startswith("thing 0\nthing 1\n")
    assert manifest["license"] == "AGPL-3.0"
    assert "license:" not in told
    assert "The graph takes any size; 224 is a guess." in told


def test_boxes_beside_scores(into: Path) -> None:
    boxes, scores = np.full((9, 4), 0.25, np.float32), np.full((9, 3), -9.0, np.float32)
    manifest, _ = new(into, saved(into, constant_graph(b=boxes, s=scores)))
    assert (manifest["output"]["boxes"], manifest["output"]["scores"]) == ("b", "s")
    assert manifest["check"]["expect"] == {"detections": [], "tolerance": 0.02}


@pytest.mark.parametrize("name", [path.stem for path in FITTED.glob("*.onnx")])
def test_every_fitted_model_of_tables(into: Path, name: str) -> None:
    row = into.parent / "row.json"
    known = fitted(name)
    names = [one["name"] for one in known["features"]]
    values = [0.5 if one is None else one for one in known["rows"][0]]
    row.write_text(json.dumps(dict(zip(names, values, strict=True))))
    manifest, _ = new(into, str(FITTED / f"{name}.onnx"), "--input", str(row))
    assert [one["name"] for one in manifest["features"]] == names
    expect = manifest["check"]["expect"]
    if "value" in expect:
        assert expect["value"] == pytest.approx(known["expected"][0][0], rel=0.001)
    elif "probability" in expect and None not in known["rows"][0]:
        assert expect["probability"] == pytest.approx(max(known["expected"][0]), abs=0.001)


def test_a_row_as_a_list_and_as_csv(into: Path) -> None:
    (into.parent / "row.json").write_text("[5.1, 3.5, 1.4, 0.2]")
    path = str(NEWCOMERS / "iris.onnx")
    manifest, _ = new(into, path, "--input", str(into.parent / "row.json"), "--name", "a")
    assert [one["name"] for one in manifest["features"]] == ["f1", "f2", "f3", "f4"]
    assert manifest["check"]["expect"]["label"] == "setosa"
    (into.parent / "row.csv").write_text("a,b,c,d\n6.3,3.3,6.0,2.5\n")
    manifest, _ = new(into, path, "--input", str(into.parent / "row.csv"), "--name", "b")
    assert [one["name"] for one in manifest["features"]] == ["a", "b", "c", "d"]
    assert manifest["check"]["expect"]["label"] == "virginica"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("row.json", "[1, 2, 3]", "--input: expected 4 values"),
        ("row.json", "[1, 2", "--input: expected JSON"),
        ("row.json", "7", "--input: expected one row"),
        ("row.txt", "no row", "--input: expected one row"),
        ("row.csv", "a,b,c,d\n1,2,3,4\n1,2,3,4\n", "--input: expected one row"),
        ("row.json", '[1, 2, 3, "x"]', "the model refuses check/row.json: feature f4: expected"),
    ],
)
def test_a_row_that_is_none_is_refused(into: Path, name: str, text: str, said: str) -> None:
    (into.parent / name).write_text(text)
    found = refused(into, str(NEWCOMERS / "iris.onnx"), "--input", str(into.parent / name))
    assert found.startswith(said)


def test_texts_that_the_graph_does_not_tell_are_asked(
    into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # as where it is not installed
    path = str(NEWCOMERS / "rents.onnx")
    options = ("--task", "tabular-regression")
    assert "does not tell which texts district" in refused(into, path, *options)
    (into.parent / "row.json").write_text('{"district": "north", "rooms": 3, "area": 70.0}')
    manifest, told = new(into, path, *options, "--input", str(into.parent / "row.json"))
    assert manifest["features"][0]["categories"] == ["north"]
    assert "features.0.categories: all others beside that of --input." in told


def test_one_score_of_two_labels(into: Path) -> None:
    (into.parent / "labels.txt").write_text("no\nyes\n")
    path = saved(into, weighed_graph([[9.0], [-7.0]]))
    options = ("--labels", str(into.parent / "labels.txt"))
    manifest, told = new(into, path, *options)
    assert manifest["output"]["activation"] == "sigmoid"
    assert "the one score" in told


def test_vectors_and_scores_of_texts(into: Path) -> None:
    tokens = into.parent / "tokenizer.json"
    tokenizer().save(str(tokens))
    options = ("--tokenizer", str(tokens))
    names = ("ids", "the_mask", "segments")
    path = saved(into, text_graph("hidden", inputs=names))
    manifest, told = new(into, path, *options, "--name", "vectors")
    assert manifest["output"] == {"pooling": "mean", "normalize": True}
    assert manifest["text"]["input_ids"] == "ids"
    assert manifest["text"]["attention_mask"] == "the_mask"
    assert manifest["text"]["max_tokens"] == 3  # the tokenizer's own
    assert "output.pooling" in told
    manifest, _ = new(into, saved(into, text_graph("scores")), *options, "--name", "scores")
    assert manifest["task"] == "text-classification"
    assert "expected --tokenizer" in refused(into, path)
    tokens.write_text("{}")
    assert "expected a tokenizer in tokenizer.json" in refused(into, path, *options)
    liked, _ = new(into, path, "--like", "vectors", "--name", "other")
    assert liked["text"]["tokenizer"] == {**liked["text"]["tokenizer"], "path": "tokenizer.json"}


def test_as_many_tokens_as_the_model_has_positions(
    into: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = text_graph("hidden")
    lookup = model.graph.node[0]
    lookup.output[0] = "words"
    nodes = [
        lookup,
        helper.make_node("Shape", ["input_ids"], ["length"], start=1),
        helper.make_node("Squeeze", ["length"], ["tokens"]),
        helper.make_node("Range", ["zero", "tokens", "one"], ["places"]),
        helper.make_node("Gather", ["positions", "places"], ["placed"]),
        helper.make_node("Add", ["words", "placed"], ["hidden"]),
    ]
    values = {"zero": np.array(0), "one": np.array(1), "positions": np.zeros((77, 4), np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in values.items())
    rest = list(model.graph.node)[1:]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    tokens = tokenizer()
    tokens.no_truncation()
    tokens.save(str(into.parent / "tokenizer.json"))
    options = ("--tokenizer", str(into.parent / "tokenizer.json"))
    assert new(into, saved(into, model), *options)[0]["text"]["max_tokens"] == 77
    assert capfd.readouterr().err == ""  # of what was tried and refused


def summing(shape: list[int | str], keep: bool) -> onnx.ModelProto:
    """Returns a model that sums ``a``: each row's last axis if ``keep``, else all."""
    axes = np.array([-1] if keep else [], np.int64)
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["a", "axes"], ["s"], keepdims=0)],
        "sum",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("s", TensorProto.FLOAT, shape[:-1] if keep else [])],
        [numpy_helper.from_array(axes, "axes")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("kind", ["lengths", "mask", "appended"])
def test_a_model_that_writes(into: Path, kind: Kind) -> None:
    """Beside it is what Hugging Face's exports have; without that it goes on with a text."""
    folder = write_decoder(into.parent / "other", kind)
    model, tokenizer = str(folder / "model.onnx"), ("--tokenizer", str(folder / "tokenizer.json"))
    bare, printed = new(into, model, *tokenizer, "--name", "bare", "--input", prompt(into, "a cat"))
    assert "task: text-generation (guessed)" in printed
    assert "zeropoint bench --model bare" in printed
    assert bare["check"]["expect"]["text"] == written("a cat", 32)
    template = "{% for m in messages %}{{ bos_token + m.content }}{% endfor %}"
    config = {"chat_template": template, "bos_token": {"content": "b"}, "eos_token": END}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": CONTEXT}))
    whole, _ = new(into, model, *tokenizer, "--name", "whole", "--input", prompt(into, "a cat"))
    assert whole["text"]["stop_tokens"] == [END]
    assert whole["decoder"]["context"] == CONTEXT
    assert whole["decoder"]["cache"] == ("appended" if kind == "appended" else "shared")
    answer = load("whole", models=str(into)).predict("it was", max_tokens=9)
    assert answer["text"] == written("bit was", 9)
    like, _ = new(
        into, model, "--like", "whole", "--name", "like", "--input", prompt(into, "a cat")
    )
    assert like["check"]["expect"] == whole["check"]["expect"]


def prompt(into: Path, text: str) -> str:
    """Writes a prompt to a file."""
    (into.parent / "prompt.txt").write_text(text)
    return str(into.parent / "prompt.txt")


def test_a_model_that_writes_needs_its_tokenizer(into: Path) -> None:
    model = str(write_decoder(into.parent / "other") / "model.onnx")
    assert "expected --tokenizer with" in refused(into, model)


def test_any_other_model_is_one_of_raw_tensors(into: Path) -> None:
    path = saved(into, summing(["n", 2, "m"], keep=True))
    manifest, told = new(into, path)
    assert "task: tensor (guessed)\n  not image-classification: it takes an input" in told
    assert manifest["check"]["expect"] == {"s": [0.0, 0.0], "tolerance": 0.001}
    (into.parent / "a.json").write_text("[[1, 2, 3], [4, 5, 6]]")
    options = ("--input", str(into.parent / "a.json"), "--name", "given")
    manifest, _ = new(into, path, *options)
    assert manifest["check"]["expect"] == {"s": [6.0, 15.0], "tolerance": 0.01}
    (into.parent / "a.json").write_text("[[1, 2, 3], [4, 5, 6]")
    assert "check/instance.json: expected JSON" in refused(into, path, *options[:-1], "other")


def test_tensors_without_a_row_for_each_are_refused(into: Path) -> None:
    said = refused(into, saved(into, summing(["n", 2], keep=False)), "--task", "tensor")
    assert said.endswith("got s: float32[] for one row")


def test_a_large_made_up_input_is_asked_for(into: Path) -> None:
    said = refused(into, saved(into, summing(["n", 2_000, 2_000], keep=True)))
    assert "give a small instance with --input" in said


def test_a_folder_that_is_there_stays_as_it_is(into: Path) -> None:
    (into / "mine").mkdir(parents=True)
    path = saved(into, colour_graph())
    ran = CliRunner().invoke(command, [path, "--name", "mine", "--into", str(into)])
    assert ran.exit_code == 2
    assert "is there already" in ran.output
    assert list((into / "mine").iterdir()) == []


def test_a_name_that_cannot_be_one(into: Path) -> None:
    ran = CliRunner().invoke(command, [saved(into, colour_graph()), "--name", "../up"])
    assert ran.exit_code == 2
    assert "expected at most 63 characters of a-z0-9._-" in ran.output


def test_a_model_onnx_is_named_as_its_folder(into: Path) -> None:
    (into.parent / "My Model").mkdir()
    path = saved(into, colour_graph(), "My Model/model.onnx")
    assert new(into, path)[0]["name"] == "my-model"


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("no model")
    done = zeropoint(tmp_path, "new", str(tmp_path / "m.onnx"), "--into", str(tmp_path / "out"))
    assert done.returncode == 1
    wanted = "expected an ONNX model, got another file or a part of one"
    assert done.stderr == f"zeropoint: m.onnx: {wanted}\n"
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["efficientnet-lite0", "phishing", "shuttle"])
def test_a_bundled_model_is_drafted_like_itself(
    into: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ZEROPOINT_MODELS", str(ROOT / "model_artifacts"))
    folder = ROOT / "model_artifacts" / name
    known = tomllib.loads((folder / "model.toml").read_text())
    example = str(folder / known["check"]["input"])
    manifest, _ = new(into, str(folder / "model.onnx"), "--like", name, "--input", example)
    assert manifest["task"] == known["task"]
    for table in ("image", "features", "labels"):
        assert manifest.get(table) == known.get(table)
    expect, wanted = manifest["check"]["expect"], known["check"]["expect"]
    assert expect["probability"] == pytest.approx(wanted["probability"], abs=wanted["tolerance"])
