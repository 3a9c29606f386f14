"""The manifest's [decoder] table, and files of a text's model that do not fit."""

import re
from pathlib import Path

import pytest

from tiny_decoders import write_decoder
from tiny_models import sha256
from zeropoint import load
from zeropoint.errors import ManifestError


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("context = 2000", "context = 1", "decoder.context"),
        ("context = 2000", "contexts = 2000", "decoder.context"),
        ('cache = "shared"', 'cache = "paged"', "decoder.cache"),
        ("[decoder]", '[decoder]\npast = ["past.{}"]', "0 such inputs"),
        ("[decoder]", '[decoder]\npresent = ["present.{}"]', "4 such inputs"),
        ("[decoder]", '[decoder]\nlogits = "scores"', "the output scores"),
        ("[decoder]", '[decoder]\ninput_ids = "words"', "expected an input words"),
        ('["<end>"]', '["<stop>"]', "expected '<stop>' among the tokens"),
        ("max_tokens = 24", "max_tokens = 0", "text.max_tokens"),
    ],
)
def test_a_manifest_that_does_not_fit_is_told(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    manifest = write_decoder(tmp_path) / "model.toml"
    manifest.write_text(manifest.read_text().replace(old, new))
    with pytest.raises(ManifestError, match=re.escape(said)):
        load("tiny", models=str(tmp_path))


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("chat.jinja", "{% for %}", "expected a chat template in Jinja"),
        ("chat.jinja", "hello", "with the messages' content"),
        ("tokenizer.json", "{}", "expected a tokenizer"),
        ("tokenizer.json", "\udcff", "expected a text in UTF-8"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, file: str, text: str, said: str) -> None:
    folder = write_decoder(tmp_path)
    before = sha256(folder / file)
    (folder / file).write_text(text, errors="surrogateescape")
    manifest = folder / "model.toml"
    manifest.write_text(manifest.read_text().replace(before, sha256(folder / file)))
    with pytest.raises(ManifestError, match=said):
        load("tiny", models=str(tmp_path))


def test_without_a_template_a_text_is_a_prompt(tmp_path: Path) -> None:
    manifest = write_decoder(tmp_path) / "model.toml"
    manifest.write_text(re.sub("chat_template.*", "", manifest.read_text()))
    model = load("tiny", models=str(tmp_path))
    assert model.predict("it was ") == model.predict({"prompt": "it was "})
    with pytest.raises(Exception, match="has no chat template"):
        model.predict({"messages": [{"role": "user", "content": "it"}]})
