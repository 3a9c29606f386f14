"""Whether more threads pay in a pass."""

from pathlib import Path

from tiny_candidates import save
from tiny_layers import convolutions, photos
from zeropoint.optimize.speedup import most_threads


def test_a_tiny_pass_is_worth_one_thread(tmp_path: Path) -> None:
    assert most_threads(save(convolutions(), tmp_path / "tiny.onnx"), photos(2), 2) == 1


def test_of_one_processor_nothing_can_be_told(tmp_path: Path) -> None:
    assert most_threads(tmp_path / "not-even-looked-at.onnx", [], 1) == 0
