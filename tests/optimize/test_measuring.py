"""What models cost, measured in turns."""

from pathlib import Path

import pytest

from tiny_candidates import artifact, graph, samples, save, write_artifact
from zeropoint.loader import build
from zeropoint.optimize.measuring import Pair, Subject, measure
from zeropoint.settings import Settings
from zeropoint.tasks import create


def measured(tmp_path: Path, extra: int) -> Pair:
    """Measures a classifier beside one that does ``extra`` convolutions more."""
    own, settings = artifact(write_artifact(tmp_path / "models")), Settings(cpus=1.0)
    subjects = []
    for path in (
        own.fetch(own.manifest.file),
        save(graph(extra=extra), tmp_path / "candidate.onnx"),
    ):
        model = build(own, path, settings)
        task = create(own, model.inputs, model.outputs, settings)
        instances = [sample.instance for sample in samples(4)]
        tensors = [task.prepare(instance).tensors for instance in instances]
        subjects.append(Subject(path, model, instances, tensors))
    return measure(*subjects)


def test_a_model_costs_about_as_much_as_itself(tmp_path: Path) -> None:
    pair = measured(tmp_path, 0)
    assert pair.ratio.cpu == pytest.approx(1.0, abs=0.3)
    assert pair.ratio.pass_cpu == pytest.approx(1.0, abs=0.3)
    assert pair.original.bytes == pair.candidate.bytes
    for cost in (pair.original, pair.candidate):
        assert cost.cpu_ms > cost.pass_cpu_ms > 0.0
        assert cost.p50_ms > 0.0
        assert cost.load_ms > 0.0
    assert pair.rounds >= 5


def test_more_work_costs_more(tmp_path: Path) -> None:
    pair = measured(tmp_path, 4)
    assert pair.ratio.pass_cpu > 1.5
    assert pair.ratio.cpu > 1.2
    assert pair.candidate.pass_cpu_ms > pair.original.pass_cpu_ms
    assert pair.candidate.bytes > pair.original.bytes
