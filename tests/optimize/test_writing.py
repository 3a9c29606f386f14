"""A winner is written into an artifact: its text edited, all of it or nothing."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import ROOT, environment
from tiny_candidates import write_artifact
from tiny_models import sha256
from zeropoint.errors import ManifestError
from zeropoint.manifest import File, Gate, Variant
from zeropoint.optimize.gate import Trial
from zeropoint.optimize.samples import Parts
from zeropoint.optimize.toml_text import with_variant, without_variant
from zeropoint.optimize.writing import with_table, workshop, write

GATE = Gate("top-1 agreement", 1.0, 'the "default"')

HEAD = """\
name = "a"  # the name

# The original.
[file]
path = "model.onnx"
"""
CHECK = """
# A list whose lines look like tables.
[check]
expect = { y = 1 }
rows = [
  [1],
  [2, 3]
]
"""
OTHER = """
[[variant]]
name = "other"
file = { path = "b", sha256 = "c" }
"""
EARLIER = """
[[variant]]  # of last year
name = "int8"
requires = ["vnni"]

[gate]
metric = "AUC"
max_drop = 7.0
reason = "old"
"""


def variant(name: str = "int8", *requires: str) -> Variant:
    file = File(f"variants/{name}.onnx", "0" * 64)
    return Variant(name, file, requires, threads=1, max_batch=8, alone=True)


@pytest.mark.parametrize("earlier", ["", EARLIER, OTHER + EARLIER, EARLIER + OTHER])
@pytest.mark.parametrize("tail", ["", CHECK, "\n# the end\n"])
def test_only_the_variant_and_the_gate_change(earlier: str, tail: str) -> None:
    before = HEAD + earlier + tail
    after = with_variant(before, variant("int8", "int8-dot"), GATE)
    values, expected = tomllib.loads(after), tomllib.loads(before)
    names = [one["name"] for one in values["variant"]]
    assert names == (["int8", "other"] if OTHER in earlier else ["int8"])
    assert values["variant"][0]["requires"] == ["int8-dot"]
    assert values["variant"][0]["threads"] == 1
    assert values["variant"][0]["max_batch"] == 8
    assert values["variant"][0]["alone"] is True
    assert values["gate"] == {"metric": "top-1 agreement", "max_drop": 1.0, "reason": GATE.reason}
    for key in expected.keys() - {"variant", "gate"}:
        assert values[key] == expected[key]
    assert after.startswith(HEAD.rstrip("\n"))
    assert tail.strip() in after
    assert with_variant(after, variant("int8", "int8-dot"), GATE) == after


@given(st.text(), st.sampled_from(["int8", "int8-mixed", "baked"]), st.floats(0, 100))
def test_any_reason_can_be_written(reason: str, name: str, max_drop: float) -> None:
    gate = Gate("F1 of boxes", max_drop, reason)
    values = tomllib.loads(with_variant(HEAD + CHECK, variant(name), gate))
    assert values["gate"]["reason"] == reason
    assert values["gate"]["max_drop"] == max_drop


def test_what_cannot_be_edited_is_told() -> None:
    inline = 'variant = [{ name = "other" }]\n'
    with pytest.raises(ManifestError, match="as tables with a head of their own"):
        with_variant(inline + HEAD, variant(), GATE)


def test_a_variant_is_taken_out() -> None:
    assert without_variant(HEAD, "int8") == HEAD
    values = tomllib.loads(without_variant(HEAD + EARLIER + OTHER + CHECK, "int8"))
    assert [one["name"] for one in values["variant"]] == ["other"]


def test_the_table_goes_between_the_marks_of_a_card() -> None:
    card = "# A\n\n<!-- optimized -->\nold\n<!-- /optimized -->\n\nend\n"
    assert with_table(card, "| new |\n") == card.replace("old\n", "| new |\n")
    assert with_table("# A\n", "| new |\n") == "# A\n"


def test_ctrl_c_waits_while_files_are_moved(tmp_path: Path) -> None:
    script = (
        "import os, signal, time\n"
        "from zeropoint.optimize import writing\n"
        "with writing._no_interrupt():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.01)\n"
        "print('moved')\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(10)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT / "function",
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "moved\n"
    assert "KeyboardInterrupt" in done.stderr


def test_an_earlier_variant_of_the_name_is_replaced(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "models")
    for number, max_drop in enumerate((1.0, 2.0)):
        file = tmp_path / f"{number}.onnx"
        file.write_bytes(f"model {number}".encode())
        trial = Trial("int8", "how", ("int8-dot",), 7, {}, 0.0, None, (), False, 1, 8)
        told: dict[str, Any] = {
            "model": "channels",
            "version": "1",
            "winner": "int8",
            "gate": {"metric": "top-1 agreement", "max_drop": max_drop, "reason": "r"},
            "one_sample_points": 1.0,
            "samples": dict.fromkeys(
                (*Parts._fields, "read", "refused", "doubles", "labelled_to_judge"), 1
            ),
            "original": {},
            "candidates": [],
            "left_out": [],
            "machine": {"architecture": "x", "features": []},
            "packages": {},
            "seeds": "none",
        }
        with workshop(folder) as work:
            write(folder, work, trial, file, Gate("top-1 agreement", max_drop, "r"), told)
    values = tomllib.loads((folder / "model.toml").read_text())
    (variant,) = values["variant"]
    assert (folder / variant["file"]["path"]).read_bytes() == b"model 1"
    assert variant["file"]["sha256"] == sha256(folder / variant["file"]["path"])
    assert values["gate"]["max_drop"] == 2.0
    assert (variant["threads"], variant["max_batch"]) == (1, 8)
    assert "alone" not in variant
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
