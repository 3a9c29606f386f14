"""A model that writes: what comes out is what NumPy says, however its cache is kept and shared."""

import threading
import time
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_decoders
from tiny_decoders import CHARACTERS, CONTEXT, Kind, write_decoder
from zeropoint import callers, load
from zeropoint.callers import Caller
from zeropoint.errors import CancelledError, InvalidError, OverloadedError
from zeropoint.settings import Settings
from zeropoint.writer import Writer

KINDS = get_args(Kind)
_TOKEN_BYTES = 2 * tiny_decoders.LAYERS * tiny_decoders.HEADS * tiny_decoders.SIZE * 4
_TEXTS = st.text(CHARACTERS, min_size=1, max_size=60)


@pytest.fixture(scope="module", params=KINDS)
def writer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Writer:
    repository = tmp_path_factory.mktemp("decoders")
    write_decoder(repository, request.param)
    return loaded(repository)


def loaded(repository: Path, **limits: Any) -> Writer:
    model = load("tiny", models=str(repository), limits=Settings(cpus=2, **limits))
    assert isinstance(model, Writer)
    return model


def rest(writer: Writer) -> None:
    """Waits until nothing is written any more."""
    until_s = time.monotonic() + 20
    while writer.counts.texts and time.monotonic() < until_s:
        time.sleep(0.005)
    assert writer.counts.texts == 0


def test_it_writes_token_for_token_what_numpy_says(writer: Writer) -> None:
    for prompt in ("a", "it was a", "the quick brown fox, and so on. and so on: " * 3):
        found = writer.predict({"prompt": prompt}, max_tokens=30)
        assert found["text"] == tiny_decoders.written(prompt, 30)
        assert found["prompt_tokens"] == len(prompt)
        assert found["completion_tokens"] in (30, len(found["text"]) + 1)


def test_scores_are_those_of_numpy(writer: Writer) -> None:
    tokens = writer.encode("once upon a time there was a cat.")
    found = writer.scores(tokens)
    assert np.abs(found - tiny_decoders.scores(tokens)).max() < 0.01
    read = writer.forward({"input_ids": np.array([tokens])})["logits"]
    assert np.abs(read[0] - found[-1]).max() < 0.01


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(_TEXTS, st.integers(1, 24)), min_size=2, max_size=12))
def test_what_others_write_changes_no_text(writer: Writer, asked: list[tuple[str, int]]) -> None:
    streams: list[Any] = [None] * len(asked)

    def write(place: int, prompt: str, count: int) -> None:
        with writer.stream({"prompt": prompt}, {"max_tokens": count}) as stream:
            streams[place] = "".join(stream), stream.finish_reason, stream.completion_tokens

    threads = [
        threading.Thread(target=write, args=(place, *one)) for place, one in enumerate(asked)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (prompt, count), (text, reason, tokens) in zip(asked, streams, strict=True):
        assert text == tiny_decoders.written(prompt, count)
        assert (reason, tokens) in (("length", count), ("stop", len(text) + 1))
    rest(writer)


def test_many_instances_come_back_in_order(writer: Writer) -> None:
    prompts = [f"{letter} was" for letter in CHARACTERS[:20]]
    found = writer.predict_many([{"prompt": prompt} for prompt in prompts], max_tokens=5)
    assert [one["text"] for one in found] == [tiny_decoders.written(one, 5) for one in prompts]


def test_a_text_is_a_message_of_the_user(writer: Writer) -> None:
    talk = {"messages": [{"role": "user", "content": "hello"}]}
    texts = writer.predict_many(["hello", talk], max_tokens=8)
    assert texts[0] == texts[1]
    assert texts[0]["prompt_tokens"] == len("u:hello") + 1 + len("a:")


def test_a_special_tokens_name_in_a_message_ends_no_message(writer: Writer) -> None:
    # Characters that this tokenizer does not know are a token each.
    plain = writer.predict("hello", max_tokens=1)["prompt_tokens"]
    talk = writer.predict("hello<end>", max_tokens=1)["prompt_tokens"]
    assert talk == plain + len("<end>")


def test_a_text_ends_before_a_stop_string(writer: Writer) -> None:
    text = tiny_decoders.written("hello", 24)
    stop = text[7:9]
    found = writer.predict({"prompt": "hello"}, stop=stop)
    assert found["text"] == text[: text.index(stop)]
    assert found["finish_reason"] == "stop"
    with writer.stream({"prompt": "hello"}, {"stop": [stop, "no such text"]}) as stream:
        assert "".join(stream) == found["text"]


def test_a_seed_repeats_a_text(writer: Writer) -> None:
    def text(seed: int | None) -> str:
        chosen = {"temperature": 2.0, "seed": seed, "max_tokens": 16}
        return str(writer.predict({"prompt": "hello"}, **chosen)["text"])

    assert text(5) == text(5)
    assert len({text(seed) for seed in range(8)}) > 1
    assert len({text(None) for _ in range(8)}) > 1


def test_the_default_number_of_tokens_is_the_manifests(writer: Writer) -> None:
    found = writer.predict({"prompt": "hello"})
    assert (found["completion_tokens"], found["finish_reason"]) == (24, "length")


@pytest.mark.parametrize(
    ("instance", "parameters", "said"),
    [
        ({"prompt": "a" * CONTEXT}, {}, f"at most {CONTEXT - 1} tokens"),
        ({"prompt": "a" * 100_000}, {}, "got 100000 characters"),
        ({"prompt": "a" * (CONTEXT - 10)}, {"max_tokens": 11}, "max_tokens of at most 10"),
        ({"prompt": ""}, {}, "at least one token"),
        ({"prompt": 1}, {}, "got another at prompt"),
        ({"prompt": "a", "messages": []}, {}, "got another at its top"),
        ({"messages": []}, {}, "got another at messages"),
        ({"messages": [{"role": "cat", "content": "a"}]}, {}, "got another at messages[0].role"),
        ({"messages": [{"role": "user"}]}, {}, "got another at messages[0]"),
        (7, {}, "expected a text"),
        ("a", {"temperature": 3}, "parameters.temperature"),
        ("a", {"top_p": 0}, "parameters.top_p"),
        ("a", {"stop": ""}, "parameters.stop"),
        ("a", {"stop": ["b", ""]}, "parameters.stop"),
        ("a", {"stop": ["b"] * 17}, "parameters.stop"),
        ("a", {"max_tokens": 0}, "parameters.max_tokens"),
        ("a", {"colour": 0}, "no other keys"),
    ],
)
def test_what_cannot_be_written_is_refused(
    writer: Writer, instance: Any, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidError) as refused:
        writer.stream(instance, parameters)
    assert said in refused.value.message
    with pytest.raises(InvalidError) as refused:
        writer.answer([instance], parameters)
    assert said in refused.value.message
    assert writer.counts.texts == 0


def test_behind_a_long_prompt_the_default_is_what_fits(writer: Writer) -> None:
    assert writer.predict({"prompt": "a" * (CONTEXT - 3)})["completion_tokens"] <= 3


def test_a_stream_that_is_closed_ends(writer: Writer) -> None:
    streams = [writer.stream({"prompt": "hello"}, {"max_tokens": 1900}) for _ in range(5)]
    for stream in streams:
        stream.close()
    rest(writer)
    assert all(stream.finish_reason is None for stream in streams)
    assert all(stream.completion_tokens < 1900 for stream in streams)
    assert list(streams[0]) == []


def test_a_stream_that_nobody_keeps_ends(writer: Writer) -> None:
    writer.stream({"prompt": "hello"}, {"max_tokens": 1900})
    rest(writer)


def test_a_caller_who_hangs_up_ends_it(writer: Writer) -> None:
    gone = threading.Event()
    found: list[int] = []

    def call() -> None:
        callers.follow(Caller(time.monotonic(), gone.is_set))
        with writer.stream({"prompt": "hello"}, {"max_tokens": 1900}) as stream:
            next(stream)
            gone.set()
            with pytest.raises(CancelledError):
                list(stream)
            found.append(stream.completion_tokens)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    rest(writer)
    assert found[0] < 1900


def test_what_takes_too_long_ends_where_it_is(tmp_path: Path) -> None:
    write_decoder(tmp_path)
    writer = loaded(tmp_path)
    writer._writing._most_s = -1.0  # a setting would end the known answer, too
    found = writer.predict({"prompt": "hello"})
    assert found["finish_reason"] == "deadline"
    assert found["completion_tokens"] == 1


def test_a_first_token_that_comes_too_late_is_a_refusal(writer: Writer) -> None:
    with pytest.raises(OverloadedError):
        writer.stream("hello", {}, deadline_s=time.monotonic() - 1)
    with pytest.raises(OverloadedError):
        writer.answer(["hello"], {}, deadline_s=time.monotonic() - 1)
    rest(writer)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_counted_before_a_text_is_begun(kind: Kind, tmp_path: Path) -> None:
    write_decoder(tmp_path, kind)
    writer = loaded(tmp_path, max_cache_bytes=3 * CONTEXT * _TOKEN_BYTES)
    held = [writer.stream({"prompt": "hello"}, {"max_tokens": 1900}) for _ in range(2)]
    more = writer.stream({"prompt": "hello"}, {"max_tokens": 1900})
    with pytest.raises(OverloadedError) as refused:
        writer.stream("hello")
    assert 1 <= refused.value.retry_after_s <= 60
    assert "fewer texts at once" in refused.value.message
    for stream in (*held, more):
        stream.close()
    rest(writer)
    texts = writer.predict_many([{"prompt": "hello"}] * 9, max_tokens=4)
    assert {one["text"] for one in texts} == {tiny_decoders.written("hello", 4)}


def test_a_text_for_which_there_is_never_memory_is_refused(tmp_path: Path) -> None:
    write_decoder(tmp_path)
    writer = loaded(tmp_path, max_cache_bytes=300 * _TOKEN_BYTES)
    with pytest.raises(InvalidError, match="ZEROPOINT_MAX_CACHE_BYTES"):
        writer.predict({"prompt": "a" * 290}, max_tokens=20)
    assert writer.predict({"prompt": "a"})["completion_tokens"] == 24


def test_a_pass_that_fails_ends_its_texts_only(tmp_path: Path) -> None:
    write_decoder(tmp_path)
    writer = loaded(tmp_path)
    prepared = writer.task.prepare({"prompt": "hello"})
    broken = msgspec.convert({}, writer.task.parameters)
    prepared.tensors["input_ids"][0, 2] = 10_000  # no such token
    with pytest.raises(RuntimeError):
        writer._begun(prepared, broken).next()
    rest(writer)
    assert writer.predict({"prompt": "hello"})["text"] == tiny_decoders.written("hello", 24)
