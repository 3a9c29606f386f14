"""zeropoint bench measures a model behind its own server and says what it costs."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers import ROOT, environment, zeropoint
from tiny_decoders import write_decoder
from tiny_models import write_colour_model, write_identity_model
from zeropoint import load
from zeropoint.bench import prices

QUICK = ("--seconds", "0.1", "--starts", "2", "--callers", "2")


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    """Settings that name a repository of a model that takes photos and one that takes rows."""
    write_colour_model(tmp_path / "models")
    write_identity_model(tmp_path / "models", "FLOAT")
    return {"ZEROPOINT_MODELS": str(tmp_path / "models"), "ZEROPOINT_MODEL": "colour"}


def test_it_measures_and_bills(tmp_path: Path, models: dict[str, str]) -> None:
    done = zeropoint(tmp_path, "bench", *QUICK, settings=models)
    assert done.returncode == 0, done.stderr
    told = done.stdout
    assert told.startswith("colour 1 as original  sha256:")
    assert "asked: red.png" in told
    assert re.search(r"^cold start +\d+ ms .*; 2 of them took \d+ to \d+$", told, re.M)
    assert re.search(r"^  of which +process \d+  read \d+  imports ", told, re.M)
    assert re.search(r"^1 caller +\d+\.\d +\d+\.\d\d +\d+\.\d\d +(\d+\.\d\d|-)$", told, re.M)
    assert re.search(r"^2 callers ", told, re.M)
    assert prices.AS_OF in told
    assert prices.SOURCE in told
    assert re.search(r"^always on +49\.93 a month", told, re.M)


def test_of_a_model_that_writes_it_tells_tokens(tmp_path: Path) -> None:
    write_decoder(tmp_path / "models")
    settings = {"ZEROPOINT_MODELS": str(tmp_path / "models")}
    done = zeropoint(tmp_path, "bench", *QUICK, "--json", settings=settings)
    assert done.returncode == 0, done.stderr
    for one in json.loads(done.stdout)["warm"]:
        answer = load(models=str(tmp_path / "models")).predict({"prompt": "it was "})
        tokens = answer["completion_tokens"]
        assert one["tokens_per_s"] == pytest.approx(tokens * one["per_s"])


def test_json_has_the_same(tmp_path: Path, models: dict[str, str]) -> None:
    size = ("--cpu", "2", "--memory-mib", "1024")
    asked = ("bench", "--model", "float", *QUICK, *size, "--json")
    done = zeropoint(tmp_path, *asked, settings=models)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["model"], told["variant"]) == ("float", "original")
    assert len(told["cold_start"]["wall_ms"]) == 2
    assert {"process", "imports", "session", "check", "first"} <= told["cold_start"][
        "phases_ms"
    ].keys()
    assert [one["callers"] for one in told["warm"]] == [1, 2]
    for one in told["warm"]:
        assert 0 < one["p50_ms"] <= one["p99_ms"]
    if Path("/proc/self/smaps_rollup").exists():
        assert 10e6 < told["memory"]["pss_bytes"] < 500e6
        assert all(one["cpu_ms"] >= 0 for one in told["warm"])
    cost = told["cost"]
    assert cost["instance"] == {"vcpus": 2.0, "memory_mib": 1024.0}
    bills = cost["usd_per_1000"]
    assert bills["cold"]["request_based"] > bills["one_caller"]["request_based"]
    assert bills["one_caller"]["request_based"] > bills["busy"]["request_based"]
    assert bills["one_caller"]["billed_ms"] >= 100
    assert told["prices"]["request_based"]["vcpu_s"] == 0.000024


def test_each_instance_of_a_file_is_asked(tmp_path: Path, models: dict[str, str]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"x": [1]}\n{"x": [2]}\n')
    asked = ("bench", "--model", "float", *QUICK, "--input", str(rows))
    done = zeropoint(tmp_path, *asked, settings=models)
    assert done.returncode == 0, done.stderr
    assert f"asked: {rows}" in done.stdout
    rows.write_text('{"x": [1]}\n{"x": "no number"}\n')
    done = zeropoint(tmp_path, *asked, settings=models)
    assert done.returncode == 1
    assert done.stderr.startswith("zeropoint: expected an answer, got status 4")
    assert len(done.stderr.splitlines()) == 1


def test_a_damaged_file_is_one_line(tmp_path: Path, models: dict[str, str]) -> None:
    (tmp_path / "models" / "colour" / "red.png").write_bytes(b"changed")
    done = zeropoint(tmp_path, "bench", "--model", "colour", *QUICK, settings=models)
    assert done.returncode == 1
    assert re.match(r"zeropoint: colour/red\.png: expected .*sha256", done.stderr)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "fly"), "expected a model fly, got none"),
        (("--input", "empty.jsonl"), "expected at least one instance, got none"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    tmp_path: Path, models: dict[str, str], arguments: tuple[str, ...], told: str
) -> None:
    (tmp_path / "empty.jsonl").touch()
    placed = [str(tmp_path / one) if one.endswith("jsonl") else one for one in arguments]
    done = zeropoint(tmp_path, "bench", *placed, *QUICK, settings=models)
    assert done.returncode == 1
    assert done.stderr.startswith("zeropoint: ")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--cpu", "3"), "--cpu"),
        (("--cpu", "4"), "expected 2048 to 16384 with 4 vCPU, got 512"),
        (("--memory-mib", "8192"), "expected 128 to 4096 with 1 vCPU, got 8192"),
        (("--callers", "0"), "--callers"),
        (("--input", "nowhere.jpg"), "--input"),
    ],
)
def test_a_size_that_there_is_not_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = zeropoint(tmp_path, "bench", *arguments)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system has no /proc")
def test_no_server_stays_behind(tmp_path: Path, models: dict[str, str]) -> None:
    bench = subprocess.Popen(
        [sys.executable, "-m", "zeropoint", "bench", "--seconds", "60"],
        cwd=ROOT / "function",
        env=environment(tmp_path, models),
    )
    children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children")
    with bench:
        until_s = time.monotonic() + 30
        while not (found := children.read_text().split()) and time.monotonic() < until_s:
            time.sleep(0.01)
        bench.terminate()
        assert bench.wait(30) == 128 + signal.SIGTERM
    assert found
    assert not [pid for pid in found if Path("/proc", pid).exists()]


def test_the_guide_has_the_prices_of_the_table() -> None:
    guide = (ROOT / "docs" / "guides" / "cost.md").read_text()
    assert prices.AS_OF in guide
    assert prices.SOURCE in guide
    for rate in (prices.REQUEST_BASED, prices.INSTANCE_BASED):
        assert f"{rate.vcpu_s:.6f}" in guide
        assert f"{rate.gib_s:.7f}".rstrip("0") in guide
