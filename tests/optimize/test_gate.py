"""The gate: what may take the original's place, and what is refused, and why."""

from pathlib import Path

import onnx
import pytest

from tiny_candidates import artifact, graph, quantized, samples, save, write_artifact
from zeropoint.artifact import Artifact
from zeropoint.errors import ArtifactError, ManifestError
from zeropoint.manifest import Gate
from zeropoint.optimize import gate
from zeropoint.optimize.candidates import Candidate
from zeropoint.optimize.gate import Trial
from zeropoint.optimize.measuring import Cost, Pair, Ratio
from zeropoint.optimize.samples import SamplesError
from zeropoint.optimize.trial import Judge
from zeropoint.settings import Settings

GATE = Gate("top-1 agreement", 1.0, "the default")
SAMPLES = samples()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a tiny classifier's artifact."""
    return write_artifact(tmp_path / "models")


@pytest.fixture
def judge(folder: Path) -> Judge:
    """The judge of that artifact's candidates."""
    return Judge(artifact(folder), Settings())


def tried(judge: Judge, path: Path, measured: bool = False) -> Trial:
    candidate = Candidate(path.stem, path, "made for this test")
    return judge.trial(candidate, SAMPLES, GATE, measured)


def test_a_right_calibration_passes(judge: Judge, tmp_path: Path) -> None:
    path = quantized(judge.calibration(SAMPLES[::2]), judge.path, tmp_path / "int8.onnx")
    trial = tried(judge, path)
    assert trial.reasons == ()
    assert trial.figures["top-1 agreement"] == 1.0
    assert 0.0 < trial.figures["max error"] < 0.1
    assert judge.drop(path, SAMPLES, "top-1 agreement") == 0.0


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_a_wrong_calibration_is_refused(judge: Judge, tmp_path: Path, scale: float) -> None:
    tensors = judge.calibration(SAMPLES[::2])
    path = quantized(tensors, judge.path, tmp_path / "int8.onnx", scale)
    trial = tried(judge, path)
    assert trial.drop is not None
    assert trial.drop >= 20.0
    assert any("points worse, at most 1 may be" in reason for reason in trial.reasons)
    assert gate.winner([trial]) is None


def test_a_truncated_file_is_refused_without_telling_where_it_lies(
    judge: Judge, tmp_path: Path
) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(judge.path.read_bytes()[:-100])
    trial = tried(judge, path, measured=True)
    (reason,) = trial.reasons
    assert "ONNX Runtime cannot load it" in reason
    assert str(tmp_path) not in reason
    assert trial.pair is None
    assert judge.drop(path, SAMPLES, "top-1 agreement") == float("inf")


def test_a_file_that_is_only_larger_is_refused(judge: Judge, tmp_path: Path) -> None:
    path = save(graph(ballast=500_000), tmp_path / "large.onnx")
    trial = tried(judge, path, measured=True)
    assert trial.drop == 0.0
    assert "it is larger than the original and not quicker" in trial.reasons


def test_a_slower_file_is_refused(judge: Judge, tmp_path: Path) -> None:
    trial = tried(judge, save(graph(extra=4), tmp_path / "slow.onnx"), measured=True)
    assert any("times the original's CPU time" in reason for reason in trial.reasons)


def test_another_answer_is_refused(judge: Judge, tmp_path: Path) -> None:
    trial = tried(judge, save(graph(shift=1), tmp_path / "other.onnx"))
    assert trial.drop == 100.0
    assert trial.reasons[0].startswith("the known answer does not come out: red.png: expected")


def test_numbers_that_are_none_are_refused(judge: Judge, tmp_path: Path) -> None:
    trial = tried(judge, save(graph(scale=float("nan")), tmp_path / "nan.onnx"))
    assert "its answers have numbers that are not finite" in trial.reasons


def test_other_shapes_are_refused(judge: Judge, tmp_path: Path) -> None:
    fixed = graph()
    for one in (fixed.graph.input[0], fixed.graph.output[0]):
        one.type.tensor_type.shape.dim[0].dim_value = 1
    trial = tried(judge, save(fixed, tmp_path / "fixed.onnx"))
    assert "expected the inputs input: float32[?, 3, 8, 8]" in trial.reasons[0]
    narrow = graph()
    narrow.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 6
    trial = tried(judge, save(narrow, tmp_path / "narrow.onnx"))
    assert "expected an input" in trial.reasons[0]


def test_external_data_is_refused(judge: Judge, tmp_path: Path) -> None:
    model = graph(ballast=5000)
    path = tmp_path / "outside.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=100)
    assert "external" in tried(judge, path).reasons[0]


def test_an_original_that_is_wrong_is_told(folder: Path) -> None:
    toml = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(toml.replace('label = "red"', 'label = "blue"'))
    with pytest.raises(ArtifactError, match="expected the known answer"):
        Judge(artifact(folder), Settings())


def with_gate(folder: Path, metric: str) -> Artifact:
    with (folder / "model.toml").open("a") as file:
        file.write(f'\n[gate]\nmetric = "{metric}"\nmax_drop = 4.0\nreason = "few photos"\n')
    return artifact(folder)


def test_the_gate_is_the_callers_or_the_artifacts_or_the_default(
    judge: Judge, folder: Path
) -> None:
    assert judge.gate(SAMPLES, None, "") == Gate("top-1 agreement", 1.0, gate.DEFAULT_REASON)
    assert judge.gate(SAMPLES, 3.0, "why").max_drop == 3.0
    own = Judge(with_gate(folder, "top-1 agreement"), Settings())
    assert own.gate(SAMPLES, None, "") == Gate("top-1 agreement", 4.0, "few photos")
    assert own.gate(SAMPLES, 2.0, "new") == Gate("top-1 agreement", 2.0, "new")


def test_labels_of_all_samples_are_what_counts(judge: Judge, folder: Path) -> None:
    labelled = [sample._replace(label=0) for sample in SAMPLES]
    assert judge.gate(labelled, None, "").metric == "accuracy"
    assert judge.gate([*labelled[:-1], SAMPLES[-1]], None, "").metric == "top-1 agreement"
    unknown = [sample._replace(label="purple") for sample in SAMPLES]
    with pytest.raises(SamplesError, match="a label of the model's"):
        judge.gate(unknown, None, "")
    own = Judge(with_gate(folder, "accuracy"), Settings())
    assert own.gate(labelled, None, "").metric == "accuracy"
    with pytest.raises(SamplesError, match="samples that tell the accuracy"):
        own.gate(SAMPLES, None, "")
    toml = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(toml.replace('metric = "accuracy"', 'metric = "top-2"'))
    with pytest.raises(ManifestError, match=r"gate\.metric of top-1 agreement, .* got 'top-2'"):
        Judge(artifact(folder), Settings()).gate(SAMPLES, None, "")


ORIGINAL = Cost(1000, 10.0, 10.0, 8.0, 10.0)


def pair(size_bytes: int, cpu: float, load: float = 1.0, noise: float = 0.03) -> Pair:
    cost = Cost(size_bytes, 10 * load, 10 * cpu, 8 * cpu, 10 * cpu)
    return Pair(ORIGINAL, cost, Ratio(load, cpu, cpu), noise, 9)


@pytest.mark.parametrize(
    ("measured", "passes"),
    [
        (pair(1000, 1.0), True),
        (pair(500, 1.02), True),  # noise
        (pair(500, 1.05), False),
        (pair(500, 1.05, noise=0.08), True),
        (pair(1001, 0.95, noise=0.08), False),
        (pair(1001, 1.0), False),
        (pair(1001, 0.9), True),
        (pair(1001, 1.0, load=0.5), True),
        (pair(1001, 1.05, load=0.5), False),
    ],
)
def test_cost_counts(measured: Pair, passes: bool) -> None:
    assert (not gate.reasons(GATE, {"top-1 agreement": 1.0}, measured)) == passes


def test_the_drop_counts() -> None:
    assert gate.reasons(GATE, {"top-1 agreement": 0.99}, None) == ()
    assert len(gate.reasons(GATE, {"top-1 agreement": 0.98}, None)) == 1
    assert len(gate.reasons(GATE, {"top-1 agreement": float("nan")}, None)) == 1


def test_the_quickest_wins_and_of_equals_the_smallest() -> None:
    def trial(name: str, measured: Pair | None, *reasons: str) -> Trial:
        return Trial(
            name, "", (), measured.candidate.bytes if measured else 0, {}, 0.0, measured, reasons
        )

    quick, small = trial("quick", pair(900, 0.50)), trial("small", pair(600, 0.52))
    refused = trial("refused", pair(100, 0.1), "wrong")
    slow = trial("slow", pair(100, 0.8))
    assert gate.winner([slow, quick, small, refused]) == small
    assert gate.winner([quick, slow]) == quick
    assert gate.winner([refused]) is None
    assert gate.winner([]) is None
