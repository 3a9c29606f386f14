"""zeropoint batch of prompts: each is written once, in order, however many there is memory for."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batch.inputs import written
from servers import ROOT, environment, zeropoint
from test_draining import wait_for
from tiny_decoders import CONTEXT, HEADS, LAYERS, SIZE, write_decoder
from zeropoint import load

_LEAST_BYTES = 256 * LAYERS * 2 * HEADS * SIZE * 4  # of the shortest text's cache


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A file of prompts, beside a repository with a tiny decoder."""
    write_decoder(tmp_path / "models")
    return tmp_path / "prompts.jsonl"


def batch(home: Path, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    settings = {"ZEROPOINT_MODELS": str(home / "models"), **variables}
    return zeropoint(home, "batch", *map(str, arguments), settings=settings)


def lines(*rows: Any) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_rows_are_texts_prompts_and_conversations(tmp_path: Path, prompts: Path) -> None:
    conversation = [{"role": "system", "content": "be a cat"}, {"role": "user", "content": "who"}]
    good = ["it was", {"prompt": "it was"}, {"messages": conversation}]
    bad = [{"messages": []}, {"prompts": "it was"}, 7, {"prompt": "a" * CONTEXT}]
    prompts.write_text(lines(*good, *bad, *good) + "no json\n" + lines(good[0]))
    done = batch(tmp_path, prompts, "--out", tmp_path / "out", "--parameters", '{"max_tokens": 9}')
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith("12 rows in ")
    assert "errors: 4 invalid, 1 malformed; 1 file in" in done.stdout
    rows = written(tmp_path / "out")
    assert [row["id"] for row in rows] == [f"{prompts}#{n}" for n in range(1, 13)]
    model = load(models=str(tmp_path / "models"))
    told = [model.predict(one, max_tokens=9) for one in good]
    assert told[0] != told[1]  # of which the one is a message
    assert [row.get("prediction") for row in rows] == [*told, *[None] * 4, *told, None, told[0]]
    assert "expected a prompt of at most" in rows[6]["error"]["message"]


def test_rows_of_a_table_have_their_prompts_in_a_column(tmp_path: Path, prompts: Path) -> None:
    table = tmp_path / "prompts.csv"
    table.write_text("name,prompt\nfirst,it was\nsecond,a cat\n")
    done = batch(tmp_path, table, "--out", tmp_path / "out", "--id-column", "name")
    assert done.returncode == 0, done.stderr
    model = load(models=str(tmp_path / "models"))
    assert written(tmp_path / "out") == [
        {"id": name, "prediction": model.predict({"prompt": prompt})}
        for name, prompt in (("first", "it was"), ("second", "a cat"))
    ]


def test_where_there_is_memory_for_one_text_the_others_wait(tmp_path: Path, prompts: Path) -> None:
    prompts.write_text(lines(*(f"a cat and {'a dog ' * number}" for number in range(8))))
    outs = [tmp_path / "one", tmp_path / "many"]
    for out, most_bytes in zip(outs, (_LEAST_BYTES, 1 << 29), strict=True):
        variables = {"ZEROPOINT_MAX_CACHE_BYTES": str(most_bytes)}
        done = batch(tmp_path, prompts, "--out", out, **variables)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert written(outs[0]) == written(outs[1])


def test_a_file_of_results_has_fewer_rows_as_they_take_longer(
    tmp_path: Path, prompts: Path
) -> None:
    prompts.write_text(lines(*["a"] * 1_003))
    out = tmp_path / "out"
    done = batch(tmp_path, prompts, "--out", out, "--parameters", '{"max_tokens": 1}')
    assert done.returncode == 0, done.stderr
    counts = [file.read_bytes().count(b"\n") for file in sorted(out.glob("predictions*"))]
    assert counts == [1_000, 3]


def test_after_a_stop_it_goes_on(tmp_path: Path, prompts: Path) -> None:
    prompts.write_text(lines(*(f"a cat and {number % 7 * 'a dog '}" for number in range(1_000))))
    out, once = tmp_path / "out", ["--shard-rows", "10", "--parameters", '{"max_tokens": 3}']
    settings = {"ZEROPOINT_MODELS": str(tmp_path / "models")}
    command = [sys.executable, "-m", "zeropoint", "batch", str(prompts), "--out", str(out), *once]
    with subprocess.Popen(
        command,
        env=environment(tmp_path, settings, measured=False),
        cwd=ROOT / "function",
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for((out / "_journal.json").exists)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "--resume" in said
    before = written(out)
    assert 0 < len(before) < 1_000
    done = batch(tmp_path, prompts, "--out", out, "--resume", *once)
    assert done.returncode == 0, done.stderr
    rows = written(out)
    assert rows[: len(before)] == before
    assert [row["id"] for row in rows] == [f"{prompts}#{n}" for n in range(1, 1_001)]
    assert {row["prediction"]["completion_tokens"] for row in rows} <= {1, 2, 3}
