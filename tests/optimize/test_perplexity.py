"""Models that write: what they foresee, what they write, and which candidates they have."""

import json
import math
import tomllib
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_decoders
from servers import zeropoint
from tiny_candidates import artifact
from tiny_decoders import Kind, decoder_graph, write_decoder
from tiny_models import sha256
from zeropoint import loader
from zeropoint.errors import InvalidError
from zeropoint.instances import Blob
from zeropoint.manifest import Gate
from zeropoint.optimize import graphs, perplexity, quantizing
from zeropoint.optimize.agreement import compare, drop, metric_of
from zeropoint.optimize.candidates import Candidate, Job, cache_of, candidates
from zeropoint.optimize.graphs import UnfitError
from zeropoint.optimize.samples import Sample
from zeropoint.optimize.trial import Judge
from zeropoint.settings import Settings
from zeropoint.writer import Writer

TASK = "text-generation"
# What the model itself would write, which it foresees well: of others it knows nothing.
TEXTS = [tiny_decoders.written(text, 200) for text in ("it was ", "once upon a ", "the e", "no, ")]
SAMPLES = [Sample(text, None, f"{place:064x}") for place, text in enumerate(TEXTS * 5)]
GATE = Gate("perplexity", 3.0, "for this test")


def writer(folder: Path) -> Writer:
    own = artifact(folder)
    return cast(Writer, loader.build(own, own.fetch(own.manifest.file), Settings()))


def nats(tokens: list[int]) -> float:
    """Returns what a text's tokens but the first cost, by the model in plain NumPy."""
    scores = tiny_decoders.scores(tokens)[:-1].astype(np.float64)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return float(-np.log(shares[np.arange(len(scores)), tokens[1:]]).sum())


def told(cost: float, *tokens: int) -> dict[str, Any]:
    return {"tokens": 10, "nats": cost, "written": list(tokens)}


@pytest.mark.parametrize("kind", ["lengths", "appended"])
def test_a_text_is_read_as_it_stands_and_messages_as_the_template_has_them(
    tmp_path: Path, kind: Kind
) -> None:
    model = writer(write_decoder(tmp_path / "models", kind))
    messages = {"messages": [{"role": "user", "content": "go on"}]}
    asked = ["it was so.", {"prompt": "it was so."}, Blob(b"it was so."), messages]
    found = perplexity.ask(model, asked)
    plain = tiny_decoders.encode("it was so.")
    rendered = [*tiny_decoders.encode("u:go on"), 0, *tiny_decoders.encode("a:")]
    for one, tokens in zip(found, [plain, plain, plain, rendered], strict=True):
        assert one["tokens"] == len(tokens) - 1
        assert one["nats"] == pytest.approx(nats(tokens), rel=1e-4)
    assert found[1]["written"] == tiny_decoders.encode(tiny_decoders.written("it was so.", 64))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 99))
def test_what_is_foreseen_is_added_up_over_all_tokens_but_the_first(
    tokens: list[int], seed: int
) -> None:
    scores = np.random.default_rng(seed).normal(size=(len(tokens), 5)).astype(np.float32) * 50
    rows = scores[:-1].astype(np.float64)
    wanted = [
        math.log(np.exp(row - row[token]).sum())
        for row, token in zip(rows, tokens[1:], strict=True)
    ]
    assert perplexity.foreseen(scores, tokens) == pytest.approx(sum(wanted), abs=1e-9)


def test_a_percent_of_perplexity_is_a_point_and_less_is_better() -> None:
    original = [told(10.0, 1, 2, 3), told(20.0, 4)]
    worse = [told(10.6, 1, 2, 4), told(20.6, 4)]
    figures = compare(TASK, original, worse)
    assert metric_of(TASK) == "perplexity"
    assert figures["perplexity of the original"] == pytest.approx(math.exp(30 / 20))
    assert figures["perplexity"] == pytest.approx(math.exp(31.2 / 20))
    assert figures["same answers"] == 0.5
    assert figures["mean same tokens"] == 1.5
    assert figures["mean tokens of the original"] == 2.0
    assert drop("perplexity", figures) == pytest.approx(100 * (math.exp(0.06) - 1), abs=1e-5)
    assert drop("perplexity", compare(TASK, worse, original)) < 0.0
    assert drop("perplexity", compare(TASK, original, original)) == 0.0
    assert compare(TASK, original, [told(1e6), told(0.0)])["perplexity"] == math.inf


def four_bits(level: int) -> onnx.ModelProto:
    """Returns the tiny model with weights of 4 bits, whose products are summed up as the level."""
    found = quantizing.four_bits(decoder_graph("lengths"))
    for node in found.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = level
    return found


def levels(model: onnx.ModelProto) -> list[int]:
    attributes = [one for node in model.graph.node for one in node.attribute]
    return [one.i for one in attributes if one.name == "accuracy_level"]


def test_sums_in_int8_change_one_attribute_and_nothing_else() -> None:
    model = four_bits(0)
    found = quantizing.int8_sums(model)
    assert set(levels(model)) == {0}
    assert set(levels(found)) == {4}
    assert found != model
    for node in found.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = 0
    assert found == model
    for node in model.graph.node:
        kept = [one for one in node.attribute if one.name != "accuracy_level"]
        del node.attribute[:]
        node.attribute.extend(kept)
    assert set(levels(quantizing.int8_sums(model))) == {4}  # also where none was given
    with pytest.raises(UnfitError, match="expected MatMulNBits that sums up in float32, got none"):
        quantizing.int8_sums(four_bits(4))


def job(folder: Path, model: onnx.ModelProto, cache: str) -> Job:
    (folder / "work").mkdir()
    onnx.save(model, folder / "source.onnx")
    return Job(
        folder / "source.onnx",
        (),
        folder / "work",
        None,
        judge=lambda path: 0.0,
        half=True,
        cache=cache,
    )


def test_a_model_that_writes_has_candidates_of_its_own(tmp_path: Path) -> None:
    for name, model, cache, wanted in [
        ("float", decoder_graph("appended"), "appended", {"baked": 0, "int4": 0}),
        ("blocks", four_bits(0), "shared", {"baked": 0, "int8-sums": 8}),
        ("one", four_bits(0), "appended", {"baked": 0, "int8-sums": 0}),
    ]:
        (tmp_path / name).mkdir()
        problems: list[str] = []
        found = list(candidates(job(tmp_path / name, model, cache), problems.append))
        assert {one.name: one.max_batch for one in found} == wanted, problems
        assert not any(one.alone for one in found)


def test_how_a_manifests_model_keeps_what_it_read() -> None:
    assert cache_of({"decoder": {"context": 8, "cache": "shared"}}) == "shared"
    assert cache_of({"decoder": {"context": 8}}) == "appended"
    assert cache_of({"text": {}}) == ""


def test_the_same_passes_its_trial_and_fewer_bits_do_not(tmp_path: Path) -> None:
    judge = Judge(artifact(write_decoder(tmp_path / "models")), Settings())
    assert judge.gate(SAMPLES, 3.0, "for this test") == GATE
    graphs.bake(decoder_graph("lengths"), tmp_path / "baked.onnx")
    onnx.save(four_bits(4), tmp_path / "int4.onnx")
    same, fewer = (
        judge.trial(Candidate(name, tmp_path / f"{name}.onnx", ""), SAMPLES[:4], GATE, False)
        for name in ("baked", "int4")
    )
    assert same.reasons == ()
    assert same.drop == pytest.approx(0.0, abs=1e-3)
    assert same.figures["same answers"] == 1.0
    assert fewer.drop is not None
    assert fewer.drop > 3.0
    assert fewer.figures["same answers"] < 1.0
    assert any("perplexity is" in one and "at most 3 may be" in one for one in fewer.reasons)
    assert any("the known answer does not come out" in one for one in fewer.reasons)


def test_what_writing_costs_is_measured(tmp_path: Path) -> None:
    judge = Judge(artifact(write_decoder(tmp_path / "models")), Settings())
    same = Candidate("same", judge.path, "", max_batch=4)
    trial = judge.trial(same, SAMPLES[:2], GATE)
    assert trial.pair is not None
    assert trial.pair.candidate.cpu_ms > trial.pair.candidate.pass_cpu_ms > 0.0
    assert (trial.threads, trial.max_batch) == (1, 4)


def test_a_prompt_without_room_for_an_answer_is_no_sample(tmp_path: Path) -> None:
    judge = Judge(artifact(write_decoder(tmp_path / "models")), Settings())
    most = tiny_decoders.CONTEXT - perplexity.MOST_WRITTEN
    assert judge.prepare({"prompt": "a" * most}).tensors["input_ids"].shape == (1, most)
    with pytest.raises(InvalidError, match=f"at most {most} tokens, got {most + 1}"):
        judge.prepare({"prompt": "a" * (most + 1)})


def test_a_deep_check_holds_a_variant_to_its_perplexity(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path / "models")
    (folder / "variants").mkdir()
    graphs.bake(decoder_graph("lengths"), folder / "variants" / "same.onnx")
    onnx.save(four_bits(4), folder / "variants" / "fewer.onnx")
    toml = (folder / "model.toml").read_text()
    for name in ("same", "fewer"):
        path = f"variants/{name}.onnx"
        digest = sha256(folder / path)
        toml += f'[[variant]]\nname = "{name}"\nmax_batch = 2\n'
        toml += f'file = {{ path = "{path}", sha256 = "{digest}" }}\n'
    toml += '[gate]\nmetric = "perplexity"\nmax_drop = 3.0\nreason = "for this test"\n'
    (folder / "model.toml").write_text(toml)
    assert tomllib.loads(toml)["gate"]["metric"] == "perplexity"
    place = tmp_path / "texts.jsonl"
    lines = [*TEXTS, {"prompt": "go on, "}, {"messages": [{"role": "user", "content": "so."}]}]
    place.write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = ("check", "tiny", "--deep", "--samples", str(place))
    done = zeropoint(tmp_path, *asked, settings={"ZEROPOINT_MODELS": str(tmp_path / "models")})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ok    tiny 1 as same" in done.stdout
    assert "ok    tiny: same, 0.00 points of perplexity lost of at most 3" in done.stdout
    assert "FAIL  tiny: fewer, " in done.stdout
