"""Models with operators of others' making are refused, wherever in the model they are."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies
from onnx import helper

from tiny_models import colour_graph, sha256, write_colour_model
from zeropoint import loader, operators
from zeropoint.artifact import LocalRepository
from zeropoint.errors import ArtifactError
from zeropoint.session import Session
from zeropoint.settings import Settings

Change = Callable[[onnx.ModelProto], None]
FOREIGN = "com.example"


def node(domain: str = FOREIGN, kind: str = "Foo") -> onnx.NodeProto:
    return helper.make_node(kind, ["scores"], [f"{domain}.{kind}"], domain=domain)


def graph(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "inner", [], [])


def holder(**branches: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("If", ["scores"], ["picked"], **branches)


def function(
    *nodes: onnx.NodeProto, domain: str = FOREIGN, name: str = "Foo"
) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(FOREIGN, 1)]
    return helper.make_function(FOREIGN, "Foo", ["x"], ["y"], list(nodes), imports)


def in_graph(one: onnx.NodeProto) -> Change:
    return lambda model: model.graph.node.append(one)


PLACES: dict[str, Change] = {
    "graph": in_graph(node()),
    "branch": in_graph(holder(then_branch=graph(node()), else_branch=graph())),
    "branch in a branch": in_graph(
        holder(else_branch=graph(), then_branch=graph(holder(then_branch=graph(node()))))
    ),
    "training": lambda model: model.training_info.append(
        onnx.TrainingInfoProto(algorithm=graph(node()))
    ),
    "function": lambda model: model.functions.append(function(node(kind="Bar"))),
    "beside a function": lambda model: (
        model.functions.append(function(helper.make_node("Relu", ["x"], ["y"]))),
        model.graph.node.append(node(kind="Bar")),
    )[-1],
}


def saved(path: Path, change: Change, *domains: str) -> Path:
    model = colour_graph(weights=True)
    model.opset_import.extend(helper.make_opsetid(domain, 1) for domain in domains)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("place", PLACES)
def test_custom_operators_are_refused_wherever_they_are(tmp_path: Path, place: str) -> None:
    path = saved(tmp_path / "model.onnx", PLACES[place], FOREIGN)
    wanted = r"^model\.onnx: .* got custom ones of com\.example: export the model without them"
    with pytest.raises(ArtifactError, match=wanted):
        operators.refuse(path)
    operators.refuse(path, [FOREIGN])


def test_what_no_import_tells_is_refused_by_onnx_runtime(tmp_path: Path) -> None:
    """Imports are looked at first: a node of a domain that is not among them never runs."""
    path = saved(tmp_path / "model.onnx", in_graph(node("com.microsoft.dml", "DmlFusedAdd")))
    operators.refuse(path)
    with pytest.raises(ArtifactError, match="No opset import for domain"):
        Session(path, 1)


def test_an_import_without_an_operator_is_taken(tmp_path: Path) -> None:
    operators.refuse(saved(tmp_path / "model.onnx", lambda model: None, FOREIGN))


def test_a_function_inside_the_model_is_no_custom_operator(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.functions.append(function(helper.make_node("Relu", ["x"], ["y"])))
        model.graph.node.append(node())

    path = saved(tmp_path / "model.onnx", change, FOREIGN)
    operators.refuse(path)
    Session(path, 1)  # and ONNX Runtime takes it


@pytest.mark.parametrize("domain", sorted(operators.KNOWN))
def test_operators_of_onnx_and_its_runtime_are_taken(tmp_path: Path, domain: str) -> None:
    operators.refuse(saved(tmp_path / "model.onnx", in_graph(node(domain)), domain, FOREIGN))


def test_all_models_and_their_variants_are_taken(built_repository: Path) -> None:
    files = [path for folder in built_repository.iterdir() for path in folder.rglob("*.onnx")]
    assert len(files) > 6
    for path in files:
        operators.refuse(path)


def test_many_foreign_domains_make_a_short_message(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.extend(node(f"{number}" + "x" * 9999) for number in range(10, 99))

    path = saved(tmp_path / "model.onnx", change, FOREIGN)
    with pytest.raises(ArtifactError) as refused:
        operators.refuse(path)
    assert len(refused.value.message) < 800


# Of an artifact


def artifact(repository: Path, change: Change, *domains: str) -> Path:
    """Writes the model ``colour``, changed, with a manifest that names the digest it has."""
    folder = write_colour_model(repository)
    before = sha256(folder / "model.onnx")
    saved(folder / "model.onnx", change, *domains)
    manifest = folder / "model.toml"
    manifest.write_text(manifest.read_text().replace(before, sha256(folder / "model.onnx")))
    return folder


def test_an_artifact_with_custom_operators_is_not_loaded(tmp_path: Path) -> None:
    artifact(tmp_path, PLACES["graph"], FOREIGN)
    with pytest.raises(ArtifactError, match=r"custom ones of com\.example"):
        loader.load(LocalRepository(tmp_path), "colour", Settings())


def test_a_domain_that_is_allowed_is_left_to_onnx_runtime(tmp_path: Path) -> None:
    artifact(tmp_path, PLACES["graph"], FOREIGN)
    allowed = Settings(operator_domains=f"org.example, {FOREIGN}")
    with pytest.raises(ArtifactError, match="ONNX Runtime cannot load it"):
        loader.load(LocalRepository(tmp_path), "colour", allowed)


def test_a_model_over_the_limit_is_not_loaded(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path)
    size = (folder / "model.onnx").stat().st_size
    repository = LocalRepository(tmp_path)
    loader.load(repository, "colour", Settings(max_model_bytes=size))
    wanted = rf"^model\.onnx: expected at most {size - 1} bytes, got {size} "
    with pytest.raises(ArtifactError, match=wanted + r"\(ZEROPOINT_MAX_MODEL_BYTES\)$"):
        loader.load(repository, "colour", Settings(max_model_bytes=size - 1))


def test_onnx_runtimes_own_format_is_refused_whatever_its_name(tmp_path: Path) -> None:
    """In it nobody looks for external data and operators."""
    import onnxruntime as ort

    folder = write_colour_model(tmp_path)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(str(folder / "model.onnx"), options)
    assert (folder / "model.ort").read_bytes()[4:8] == b"ORTM"
    shutil.copy(folder / "model.ort", folder / "renamed.onnx")
    toml = (folder / "model.toml").read_text()
    for name in ("model.ort", "renamed.onnx"):
        with pytest.raises(ArtifactError, match="ONNX Runtime cannot load it"):
            Session(folder / name, 1)
        changed = toml.replace("model.onnx", name).replace(
            sha256(folder / "model.onnx"), sha256(folder / name)
        )
        (folder / "model.toml").write_text(changed)
        with pytest.raises(ArtifactError, match="expected an ONNX model, got another file"):
            loader.load(LocalRepository(tmp_path), "colour", Settings())


# Any bytes


def test_a_model_cut_anywhere_is_refused_or_taken(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.onnx", PLACES["branch"], FOREIGN)
    data = path.read_bytes()
    for end in range(1, len(data)):
        path.write_bytes(data[:end])
        with contextlib.suppress(ArtifactError):
            operators.refuse(path)


@settings(
    max_examples=150,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(strategies.binary(min_size=1))
@example(b"\x42\x02\x0a\x00")  # the import of ""
@example(b"\x42\x04\x0a\x02\xff\xff")  # of what is no UTF-8
@example(b"\x42\x04\x0a\x09ab")  # longer than its message
@example(b"\x13\x14")  # a group, which protobuf 3 has not
def test_any_bytes_are_taken_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with contextlib.suppress(ArtifactError):
        operators.refuse(path)
