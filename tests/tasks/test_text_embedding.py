"""Text embedding: pooling over a text's own tokens, pairs, and numbers as they are told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tiny_texts import MAX_TOKENS, SIZE, TABLE, WORDS, write_embedding_model
from zeropoint import loader, tensors
from zeropoint.artifact import Artifact, LocalRepository
from zeropoint.errors import ArtifactError, ClientError, InvalidError, ManifestError
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.protocols import strict_json
from zeropoint.settings import Settings
from zeropoint.tasks import text_embedding
from zeropoint.tasks.text_embedding import Output, Parameters, TextEmbedding
from zeropoint.tensors import TensorSpec

SENTENCES = ("good", "the film is awful", "", "bad, poor food " * 5)
POOLINGS = ("mean", "cls", "max")


def load(folder: Path, output: str = 'pooling = "mean"', **graph: Any) -> Model:
    write_embedding_model(folder, output=output, **graph)
    return loader.load(LocalRepository(folder), "words", Settings())


def embedding(model: Model, text: str) -> list[float]:
    found: list[float] = model.answer([text]).predictions[0]["embedding"]
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(tmp_path_factory.mktemp("mean"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model ``words`` whose output are all tokens' vectors."""
    folder = tmp_path_factory.mktemp("tokens")
    write_embedding_model(folder)
    return folder


def task(repository: Path, pooling: Any = "mean", normalize: bool = True) -> TextEmbedding:
    made = create(repository)
    return TextEmbedding(made._text, Output(pooling, normalize), "hidden")


def create(repository: Path, *outputs: TensorSpec) -> TextEmbedding:
    ids, mask = (TensorSpec(n, np.dtype(np.int64), (None, None)) for n in ("input_ids", "mask"))
    inputs = [ids, mask._replace(name="attention_mask")]
    artifact = Artifact(LocalRepository(repository), "words")
    told = outputs or (TensorSpec("hidden", np.dtype(np.float32), (None, None, SIZE)),)
    return text_embedding.create(artifact, inputs, told, Settings())


# Pooling


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("normalize", [True, False])
def test_a_text_is_pooled_as_the_manifest_says(
    tmp_path: Path, pooling: str, normalize: bool
) -> None:
    output = f'pooling = "{pooling}"\nnormalize = {str(normalize).lower()}'
    (told,) = load(tmp_path, output).answer(["the good dog"]).predictions
    rows = TABLE[[WORDS.index(word) for word in ("[CLS]", "the", "good", "dog", "[SEP]")]]
    pooled = {"mean": rows.mean(axis=0), "cls": rows[0], "max": rows.max(axis=0)}[pooling]
    expected = pooled / np.linalg.norm(pooled) if normalize else pooled
    np.testing.assert_allclose(told.pop("embedding"), expected, rtol=1e-6)
    assert told == {"tokens": 5, "truncated": False}


def test_a_model_may_pool_itself(tmp_path: Path, model: Model) -> None:
    pooled = load(tmp_path, 'pooling = "none"', kind="pooled")
    for text in SENTENCES:
        np.testing.assert_allclose(embedding(pooled, text), embedding(model, text), atol=1e-6)


def test_a_long_text_is_its_first_tokens(model: Model) -> None:
    (told,) = model.answer(["bad " * MAX_TOKENS]).predictions
    assert (told["tokens"], told["truncated"]) == (MAX_TOKENS, True)


@given(
    texts=st.lists(st.text(st.sampled_from("goda cts.")), min_size=1, max_size=5),
    pooling=st.sampled_from(POOLINGS),
    seed=st.integers(0, 99),
)
def test_a_texts_vector_is_the_same_alone_and_beside_longer_ones(
    repository: Path, texts: list[str], pooling: str, seed: int
) -> None:
    found = task(repository, pooling)
    prepared = [found.prepare(text) for text in texts]
    together = tensors.join([one.tensors for one in prepared], found.padding)
    shape = (*together["input_ids"].shape, SIZE)
    hidden = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    contexts = [one.context for one in prepared]
    joined = found.output({"hidden": hidden}, contexts, Parameters())
    for row, context in enumerate(contexts):
        own = hidden[row : row + 1, : context[0].tokens]
        (alone,) = found.output({"hidden": own}, [context], Parameters())
        np.testing.assert_allclose(joined[row]["embedding"], alone["embedding"], atol=1e-5)


@pytest.mark.parametrize("max_batch", [1, 2, 4])
@pytest.mark.parametrize("graph", [{}, {"seq": 16}, {"kind": "pooled"}])
def test_texts_of_any_length_are_embedded_together_as_alone(
    tmp_path: Path, model: Model, max_batch: int, graph: dict[str, Any]
) -> None:
    output = 'pooling = "none"' if graph.get("kind") else 'pooling = "mean"'
    folder = write_embedding_model(tmp_path, output=output, **graph)
    toml = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(f"max_batch = {max_batch}\n{toml}")
    found = loader.load(LocalRepository(tmp_path), "words", Settings())
    for text, told in zip(SENTENCES, found.answer(SENTENCES).predictions, strict=True):
        np.testing.assert_allclose(told["embedding"], embedding(model, text), atol=1e-6)


# Pairs


def test_a_pair_is_told_how_alike_it_is(model: Model) -> None:
    pairs = [["good", "good"], ["good", "bad"], ["the dog", "dog " * 20]]
    told = model.answer(pairs, {"similarity": True}).predictions
    for (one, other), prediction in zip(pairs, told, strict=True):
        cosine = np.dot(embedding(model, one), embedding(model, other))
        assert prediction["similarity"] == pytest.approx(cosine, abs=1e-6)
    assert told[0] == {"similarity": 1.0, "tokens": [3, 3], "truncated": [False, False]}
    assert told[2]["tokens"] == [4, MAX_TOKENS]
    assert told[2]["truncated"] == [False, True]


@pytest.mark.parametrize("normalize", ["true", "false"])
def test_similarity_does_not_depend_on_length(tmp_path: Path, normalize: str) -> None:
    found = load(tmp_path, f'pooling = "max"\nnormalize = {normalize}')
    (told,) = found.answer([["a", "a"]], {"similarity": True}).predictions
    assert told["similarity"] == pytest.approx(1.0)


@given(one=st.text(), other=st.text())
def test_similarity_is_symmetric_and_at_most_one(model: Model, one: str, other: str) -> None:
    found = model.answer([[one, other], [other, one]], {"similarity": True}).predictions
    assert found[0]["similarity"] == found[1]["similarity"]
    assert -1 <= found[0]["similarity"] <= 1


def test_texts_and_pairs_are_not_taken_for_each_other(model: Model) -> None:
    with pytest.raises(InvalidError, match="list of two texts, as similarity is true, got one"):
        model.answer([["good", "bad"], "good"], {"similarity": True})
    with pytest.raises(InvalidError, match="expected a text, as similarity is not true, got two"):
        model.answer(["good", ["good", "bad"]])


def test_texts_and_pairs_of_several_callers_may_share_a_pass(repository: Path) -> None:
    found = task(repository)
    single, pair = found.prepare("good"), found.prepare(["a", "the dog"])
    joined = tensors.join([pair.tensors, single.tensors], found.padding)
    hidden = TABLE[joined["input_ids"]]
    (alike,) = found.output({"hidden": hidden[:2]}, [pair.context], Parameters(similarity=True))
    (told,) = found.output({"hidden": hidden[2:]}, [single.context], Parameters())
    assert alike["tokens"] == [3, 4]
    assert told["tokens"] == 3


@pytest.mark.parametrize("similarity", [True, False])
@given(
    instance=st.recursive(
        st.none() | st.integers() | st.text() | st.binary().map(Blob),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=1),
        max_leaves=4,
    )
)
def test_any_instance_is_answered_or_refused(
    model: Model, similarity: bool, instance: object
) -> None:
    try:
        (told,) = model.answer([instance], {"similarity": similarity}).predictions
    except ClientError as error:
        refused = error.status
    else:
        refused = 0
        assert told.keys() == {"similarity" if similarity else "embedding", "tokens", "truncated"}
    assert refused in (0, 422)


def test_a_list_of_other_lengths_is_refused(model: Model) -> None:
    for instance in ([], ["good"], ["good"] * 3):
        with pytest.raises(InvalidError, match="expected a text or a list of two texts"):
            model.answer([instance])


# Numbers


def numbers(text: bytes) -> list[str]:
    return text.decode().strip("[]").split(",")


@example(np.array([[9.799e-07, 9.842e-10]], np.float32))  # of 7 digits not the nearest
@given(npst.arrays(np.float32, (1, 9), elements=st.floats(2.0**-40, 1e8, width=32)))
def test_a_number_is_told_in_the_fewest_digits_that_keep_it(values: NDArray[np.float32]) -> None:
    for signed in (values, -values):
        told = text_embedding._shortest(signed)
        assert told == [[float(str(value)) for value in row] for row in signed]


@given(npst.arrays(np.float32, (2, 3), elements=st.floats(width=32)))
def test_any_number_is_told_and_kept(values: NDArray[np.float32]) -> None:
    told = text_embedding._shortest(values)
    np.testing.assert_array_equal(np.array(told, np.float32), values)
    assert json.loads(strict_json.encode(told), parse_constant=pytest.fail)


def test_the_numbers_of_an_embedding_are_short(model: Model) -> None:
    body = strict_json.encode(embedding(model, "the good dog"))
    assert max(map(len, numbers(body))) <= 12


# The manifest and the model


def spec(name: str, *shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, np.dtype(dtype), shape)


@pytest.mark.parametrize(
    "outputs",
    [
        [spec("hidden", None, SIZE)],
        [spec("hidden", None, None, SIZE, dtype="int64")],
        [spec("hidden", None, None, SIZE), spec("other", None, None, SIZE)],
    ],
)
def test_a_model_with_other_outputs_is_refused(repository: Path, outputs: list[TensorSpec]) -> None:
    with pytest.raises(ManifestError, match=r"words: expected one output float\[\?, \?, \?\], as"):
        create(repository, *outputs)


def test_one_output_of_several_is_named(tmp_path: Path) -> None:
    write_embedding_model(tmp_path, output='pooling = "mean"\nname = "hidden"')
    tokens, pooled = spec("hidden", None, None, SIZE), spec("pooled", None, SIZE)
    assert create(tmp_path, pooled, tokens)._name == "hidden"
    with pytest.raises(ManifestError, match="expected the output hidden float"):
        create(tmp_path, pooled, tokens._replace(name="states"))


def test_an_output_of_another_shape_than_was_said_is_our_fault(repository: Path) -> None:
    found = task(repository)
    context = found.prepare("good").context
    for shape in ((1, SIZE), (2, 3, SIZE)):
        with pytest.raises(ArtifactError, match="expected all vectors of 1 rows"):
            found.output({"hidden": np.zeros(shape, np.float32)}, [context], Parameters())


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_vectors_of_any_precision_are_taken(repository: Path, dtype: Any) -> None:
    found = task(repository)
    hidden = np.ones((1, 3, SIZE), dtype)
    (told,) = found.output({"hidden": hidden}, [found.prepare("good").context], Parameters())
    assert told["embedding"] == [0.5] * SIZE
