"""OpenAI's own Python client, unchanged, against a real server of real models; and the guide."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from built_models import built
from servers import ROOT, Server, environment

GUIDE = ROOT / "docs" / "guides" / "openai.md"
KEY = "the-key-that-nobody-else-has"
WRITER, EMBEDDER = "smollm2-135m-instruct", "minilm-l6-v2"
QUESTION = "What is the capital of France? Answer in one sentence."
ANSWER = "The capital of France is Paris."
LONG_TOKENS = 2000  # what takes about half a minute to write
TOKEN_BYTES = 46_080


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes, and one that embeds."""
    folder = tmp_path_factory.mktemp("repository")
    for name in (WRITER, EMBEDDER):
        (folder / name).symlink_to(built(name))
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    """A server of both that asks for a key, and has memory for one long text."""
    settings = {
        "ZEROPOINT_MODELS": str(repository),
        "ZEROPOINT_MODEL": WRITER,
        "ZEROPOINT_API_KEY": KEY,
        "ZEROPOINT_MAX_CACHE_BYTES": str(3000 * TOKEN_BYTES),
    }
    with Server(settings, measured=False) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    """The client, which does not try again by itself."""
    with OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as found:
        yield found


def test_the_capital_of_france(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=WRITER, messages=[{"role": "user", "content": QUESTION}]
    )
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_the_capital_of_france_in_pieces(client: OpenAI) -> None:
    chunks = [
        *client.chat.completions.create(
            model=WRITER,
            messages=[
                {"role": "developer", "content": "You are a helpful AI assistant."},
                {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
            ],
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    ]
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
    assert "Paris" in "".join(texts)
    assert len([text for text in texts if text]) > 5
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens >= 8


def test_a_prompt_without_a_template(client: OpenAI) -> None:
    prompts = ["One, two, three,", "The capital of Germany is"]
    answer = client.completions.create(model=WRITER, prompt=prompts, max_tokens=2, stop=["\n"])
    assert answer.choices[0].text.startswith(" four")
    assert " Berlin" in answer.choices[1].text
    pieces = client.completions.create(model=WRITER, prompt=prompts[0], max_tokens=2, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == answer.choices[0].text


def test_the_same_seed_gives_the_same_text(client: OpenAI) -> None:
    def drawn(seed: int) -> str:
        answer = client.completions.create(
            model=WRITER,
            prompt="Once upon a time",
            max_tokens=12,
            temperature=1.2,
            top_p=0.95,
            seed=seed,
            extra_body={"top_k": 50, "repetition_penalty": 1.1},
        )
        return answer.choices[0].text

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in (1, 2, 3)}) > 1


def test_the_asynchronous_client_streams_too(server: Server) -> None:
    async def texts() -> list[str]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as client:
            chunks = await client.chat.completions.create(
                model=WRITER, messages=[{"role": "user", "content": QUESTION}], stream=True
            )
            return [chunk.choices[0].delta.content or "" async for chunk in chunks]

    assert "".join(asyncio.run(texts())) == ANSWER


def test_vectors_of_one_meaning_are_near_each_other(client: OpenAI) -> None:
    texts = [
        "How do I reset my password?",
        "I forgot my login credentials.",
        "The cat sat on the mat.",
    ]
    packed = client.embeddings.create(model=EMBEDDER, input=texts)  # as base64
    plain = client.embeddings.create(model=EMBEDDER, input=texts, encoding_format="float")
    one, alike, other = (found.embedding for found in packed.data)
    assert len(one) == 384
    for found, expected in zip(packed.data, plain.data, strict=True):
        assert found.embedding == pytest.approx(expected.embedding, abs=1e-6)
    near, far = (sum(a * b for a, b in zip(one, two, strict=True)) for two in (alike, other))
    assert near > 0.4 > far
    assert packed.usage.prompt_tokens == plain.usage.total_tokens > 20


def test_models_are_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [EMBEDDER, WRITER]
    assert client.models.retrieve(WRITER).owned_by == "zeropoint"


def test_it_raises_its_own_errors(client: OpenAI, server: Server) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.embeddings.create(model="nope", input="a")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as other:
        client.embeddings.create(model=WRITER, input="a")
    assert (other.value.type, other.value.param) == ("invalid_request_error", "model")
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.completions.create(model=WRITER, prompt="a", n=2)
    assert refused.value.param == "n"
    with pytest.raises(openai.UnprocessableEntityError, match="at most 8191 tokens"):
        client.completions.create(model=WRITER, prompt="a b " * 5000, stream=True)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=WRITER, input="a")
    stranger = OpenAI(base_url=f"{server.url}/v1", api_key="another", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError) as closed:
        stranger.models.list()
    assert closed.value.type == "authentication_error"


def test_a_text_that_nobody_reads_ends(client: OpenAI) -> None:
    """While it is written there is memory for no other of its length."""

    def begin() -> "openai.Stream[openai.types.Completion]":
        return client.completions.create(
            model=WRITER,
            prompt="Once upon a time",
            max_tokens=LONG_TOKENS,
            temperature=1,
            seed=3,
            stream=True,
        )

    with begin() as pieces:
        assert next(iter(pieces)).choices[0].text
        with pytest.raises(openai.RateLimitError) as refused:
            begin()
        assert refused.value.type == "rate_limit_exceeded"
        assert int(refused.value.response.headers["retry-after"]) >= 1
    closed_s = time.monotonic()
    while True:
        try:
            begin().close()
            break
        except openai.RateLimitError:
            assert time.monotonic() - closed_s < 5.0
            time.sleep(0.02)


def test_the_guides_example_works(server: Server, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S)
    code = code.replace("localhost:8080", f"127.0.0.1:{server.port}").replace("none", KEY)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path, measured=False),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ANSWER}\n384\n"
