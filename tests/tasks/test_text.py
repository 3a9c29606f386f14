"""Step 1 of texts: any text becomes ids, mask and types, or is refused; the work is bounded."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from servers import ROOT
from tiny_models import sha256
from tiny_texts import MAX_TOKENS, SPECIAL, WORDS, tokenizer, write_embedding_model
from zeropoint import loader
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.errors import (
    ArtifactError,
    ClientError,
    InvalidError,
    ManifestError,
    SettingsError,
    UnsupportedMediaError,
)
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.settings import Settings
from zeropoint.tasks.text import Count, TextInput
from zeropoint.tasks.text_embedding import Tables
from zeropoint.tensors import TensorSpec

NAMES = ("input_ids", "attention_mask", "token_type_ids")
ANY_TEXT = st.text() | st.text(st.sampled_from("\ud800\0é\u0301 a\u202e"), max_size=30)


def specs(*names: str, dtype: str = "int64", seq: int | None = None) -> list[TensorSpec]:
    return [TensorSpec(name, np.dtype(dtype), (None, seq)) for name in names or NAMES]


def text_input(repository: Path, inputs: list[TensorSpec] | None = None) -> TextInput:
    """Builds step 1 of the model ``words``."""
    artifact = Artifact(LocalRepository(repository), "words")
    table = msgspec.convert(artifact.manifest.tables, Tables).text
    return TextInput(table, artifact, inputs or specs())


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> TextInput:
    repository = tmp_path_factory.mktemp("words")
    write_embedding_model(repository)
    return text_input(repository)


def ids(*tokens: str) -> list[int]:
    return [WORDS.index(token) for token in tokens]


def test_a_text_becomes_ids_mask_and_types(words: TextInput) -> None:
    tensors, counts = words.prepare("The cats, very bad")
    expected = ids("[CLS]", "the", "cat", "##s", ",", "very", "bad", "[SEP]")
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "input_ids": [expected],
        "attention_mask": [[1] * 8],
        "token_type_ids": [[0] * 8],
    }
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.int64)}
    assert counts == [Count(8, False)]


def test_the_tokenizers_own_limits_are_overridden(words: TextInput) -> None:
    (short,) = words.prepare("cat")[0]["input_ids"].tolist()
    assert short == ids("[CLS]", "cat", "[SEP]")
    (long,) = words.prepare("the " * MAX_TOKENS)[0]["input_ids"].tolist()
    assert long == ids("[CLS]", *["the"] * (MAX_TOKENS - 2), "[SEP]")


@pytest.mark.parametrize(("count", "truncated"), [(MAX_TOKENS - 2, False), (MAX_TOKENS - 1, True)])
def test_a_text_that_is_cut_says_so(words: TextInput, count: int, truncated: bool) -> None:
    assert words.prepare("cat " * count)[1] == [Count(MAX_TOKENS, truncated)]


def test_two_texts_are_filled_up_to_one_length(words: TextInput) -> None:
    tensors, counts = words.prepare("cat", "the cat is good")
    assert [count.tokens for count in counts] == [3, 6]
    assert tensors["attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0], [1] * 6]
    assert tensors["input_ids"][0].tolist() == ids("[CLS]", "cat", "[SEP]", *["[PAD]"] * 3)


def test_a_model_of_one_length_gets_all_texts_filled_up_to_it(tmp_path: Path) -> None:
    write_embedding_model(tmp_path)
    tensors, counts = text_input(tmp_path, specs(seq=10)).prepare("cat")
    assert tensors["attention_mask"].tolist() == [[1] * 3 + [0] * 7]
    assert counts == [Count(3, False)]


def test_the_inputs_dtype_and_names_are_the_models(tmp_path: Path) -> None:
    write_embedding_model(
        tmp_path,
        text='input_ids = "ids"\nattention_mask = "mask"',
        inputs=("ids", "mask"),
        dtype=TensorProto.INT32,
    )
    tensors, _ = text_input(tmp_path, specs("mask", "ids", dtype="int32")).prepare("cat")
    assert tensors.keys() == {"ids", "mask"}
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.int32)}
    found = loader.load(LocalRepository(tmp_path), "words", Settings()).answer(["cat"])
    assert found.predictions[0]["tokens"] == 3


def test_padding_is_what_the_tokenizer_has(words: TextInput) -> None:
    assert words.padding == dict.fromkeys(NAMES, SPECIAL.index("[PAD]"))


# Texts that are hard to take


@given(text=ANY_TEXT)
def test_any_text_is_taken_or_refused(words: TextInput, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        with pytest.raises(InvalidError, match="expected a text, got half of a surrogate pair"):
            words.prepare(text)
    else:
        tensors, (count,) = words.prepare(text)
        assert tensors["input_ids"].shape == (1, count.tokens)
        assert 2 <= count.tokens <= MAX_TOKENS


@given(data=st.binary(max_size=40))
def test_any_bytes_are_taken_as_their_text_or_refused(words: TextInput, data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        with pytest.raises(InvalidError, match="expected a text in UTF-8, got other bytes"):
            words.prepare(Blob(data, "text/plain"))
    else:
        np.testing.assert_equal(words.prepare(Blob(data)), words.prepare(text))


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).filter(lambda value: not isinstance(value, str))
)
def test_no_other_value_is_taken(words: TextInput, value: Any) -> None:
    with pytest.raises(InvalidError, match="expected a text, got another value"):
        words.prepare(value)


@given(words_=st.lists(st.sampled_from(["the", "cats", "awfully", "é", ".", "a\n", "xyz"])))
def test_a_long_text_gives_the_tokens_of_the_whole(words: TextInput, words_: list[str]) -> None:
    text = " ".join(words_) * 20
    whole = tokenizer()
    whole.no_padding()
    whole.enable_truncation(MAX_TOKENS)
    tensors, (count,) = words.prepare(text)
    assert tensors["input_ids"].tolist() == [whole.encode(text).ids]
    assert count.truncated == bool(whole.encode(text).overflowing)


@pytest.mark.parametrize(
    "unit",
    [
        "cats ",
        "x",
        " ",
        "\0",
        "e\u0301",
        "\u0301",
        "\U0001f600",
        "中",
        "\u202e\u05e9\u05dc ",
        "\ufdfa",
        ".",
    ],
)
def test_thirty_megabytes_of_text_take_milliseconds(words: TextInput, unit: str) -> None:
    text = unit * (30_000_000 // len(unit.encode()))
    began_s = time.perf_counter()
    _, (count,) = words.prepare(text)
    assert time.perf_counter() - began_s < 0.1  # it is far less, on a machine with nothing to do
    assert count.truncated
    assert count.tokens <= MAX_TOKENS


@pytest.mark.parametrize("media_type", ["", "text/plain", "text/csv", "application/octet-stream"])
def test_bytes_of_a_text_are_taken(words: TextInput, media_type: str) -> None:
    assert words.prepare(Blob("cät".encode(), media_type))[1] == [Count(3, False)]


@pytest.mark.parametrize(
    "media_type", ["image/png", "application/x-www-form-urlencoded", "textile"]
)
def test_bytes_of_another_media_type_are_not(words: TextInput, media_type: str) -> None:
    with pytest.raises(UnsupportedMediaError, match="expected the media type of a text"):
        words.prepare(Blob(b"cat", media_type))


# The manifest and the model


@pytest.mark.parametrize(
    "inputs",
    [
        specs("input_ids"),
        specs("input_ids", "attention_mask", "position_ids"),
        specs(dtype="float32"),
        specs(dtype="object"),
        [*specs("input_ids"), *specs("attention_mask", seq=8)],
        [TensorSpec(name, np.dtype(np.int64), (None, None, 1)) for name in NAMES],
        [TensorSpec(name, np.dtype(np.int64), (None,)) for name in NAMES],
    ],
)
def test_a_model_with_other_inputs_is_refused(tmp_path: Path, inputs: list[TensorSpec]) -> None:
    write_embedding_model(tmp_path)
    with pytest.raises(ManifestError, match="words: expected the inputs input_ids, attention_mask"):
        text_input(tmp_path, inputs)


def test_more_tokens_than_the_model_takes_are_refused(tmp_path: Path) -> None:
    write_embedding_model(tmp_path)
    with pytest.raises(ManifestError, match=r"text\.max_tokens of at most 7, .* got 8"):
        text_input(tmp_path, specs(seq=7))


@pytest.mark.parametrize("tokens", [1, 2])
def test_fewer_tokens_than_the_special_ones_are_refused(tmp_path: Path, tokens: int) -> None:
    toml = write_embedding_model(tmp_path) / "model.toml"
    toml.write_text(toml.read_text().replace("max_tokens = 8", f"max_tokens = {tokens}"))
    with pytest.raises(ManifestError, match=f"tokenizer.json that gives {tokens} tokens"):
        text_input(tmp_path)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    toml = write_embedding_model(tmp_path) / "model.toml"
    known = msgspec.toml.decode(toml.read_bytes())
    toml.write_text(
        toml.read_text()
        .replace("tokenizer.json", "check.txt")
        .replace(known["text"]["tokenizer"]["sha256"], known["check"]["sha256"])
    )
    with pytest.raises(ManifestError, match=r"words: expected a tokenizer in check\.txt"):
        text_input(tmp_path)


def test_a_tokenizer_with_another_digest_is_refused(tmp_path: Path) -> None:
    (write_embedding_model(tmp_path) / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: expected sha256"):
        text_input(tmp_path)


def with_tokenizer(folder: Path, **changes: Any) -> TextInput:
    """Builds step 1 of the model ``words`` with keys of its tokenizer.json changed."""
    folder = write_embedding_model(folder)
    file, toml = folder / "tokenizer.json", (folder / "model.toml").read_text()
    digest = sha256(file)
    file.write_bytes(msgspec.json.encode({**msgspec.json.decode(file.read_bytes()), **changes}))
    (folder / "model.toml").write_text(toml.replace(digest, sha256(file)))
    return text_input(folder.parent)


def test_a_tokenizer_may_have_nothing_for_a_text(tmp_path: Path) -> None:
    found = with_tokenizer(tmp_path, post_processor=None)
    assert found.prepare("cat")[1] == [Count(1, False)]
    with pytest.raises(InvalidError, match="expected a text with at least one token, got none"):
        found.prepare(" ")


def test_a_tokenizer_may_not_know_a_word(tmp_path: Path) -> None:
    known = {"type": "WordLevel", "vocab": {"cat": 0}, "unk_token": "[UNK]"}
    found = with_tokenizer(tmp_path, model=known, post_processor=None, added_tokens=[])
    assert found.prepare("cat")[1] == [Count(1, False)]
    with pytest.raises(InvalidError, match="expected a text of the model's words, got an unknown"):
        found.prepare("dog")


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (None, 0),
        (
            {
                "strategy": "BatchLongest",
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 7,
                "pad_type_id": 0,
                "pad_token": "x",
            },
            7,
        ),
    ],
)
def test_ids_are_filled_up_as_the_tokenizer_says(
    tmp_path: Path, padding: Any, expected: int
) -> None:
    found = with_tokenizer(tmp_path, padding=padding)
    assert found.padding == {"input_ids": expected, "attention_mask": 0, "token_type_ids": 0}
    ids_, mask, _ = found.prepare("", "cat")[0].values()
    assert (ids_[0].tolist(), mask[0].tolist()) == ([2, 3, expected], [1, 1, 0])


def test_a_wrong_instance_of_several_is_named(tmp_path: Path) -> None:
    write_embedding_model(tmp_path)
    model: Model = loader.load(LocalRepository(tmp_path), "words", Settings())
    with pytest.raises(ClientError, match="instance 2 of 2: expected a text, got another value"):
        model.answer(["cat", 5])


def test_without_tokenizers_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_embedding_model(tmp_path)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(SettingsError, match=r"words needs tokenizers: pip install 'zeropoint\[t"):
        text_input(tmp_path)


def test_many_threads_prepare_at_once(words: TextInput) -> None:
    texts = [" ".join(WORDS[row % 22] for row in range(number)) for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(words.prepare, texts * 5))
    np.testing.assert_equal(together, [words.prepare(text) for text in texts] * 5)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc")
def test_a_tokenizer_starts_no_threads_of_its_own(tmp_path: Path) -> None:
    write_embedding_model(tmp_path)
    script = (
        "import pathlib, sys; sys.path.insert(0, 'tests'); import numpy\n"
        "from tasks.test_text import text_input\n"
        "count = lambda: len(list(pathlib.Path('/proc/self/task').iterdir()))\n"
        "before = count()\n"
        "words = text_input(pathlib.Path(sys.argv[1]))\n"
        "[words.prepare('the cat ' * 2000, 'dog') for _ in range(20)]\n"
        "print(count() - before)"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": "function", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n"
