"""OpenAI's API as it goes over the wire; its own client is in tests/clients."""

import base64
import json
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from servers import FRAMEWORK, Server
from test_app import MARK
from tiny_decoders import CONTEXT, write_decoder, written
from tiny_models import write_colour_model
from tiny_texts import SIZE, write_embedding_model

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
ASKED = "it was "
TEXT = written(ASKED, 24)
# What the tiny model's template makes of it.
HELLO, HELLO_PROMPT = [{"role": "user", "content": "hello."}], 11
USER = {"role": "user", "content": "a"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes, one that embeds, and one for photos."""
    folder = tmp_path_factory.mktemp("repository")
    write_decoder(folder)
    write_embedding_model(folder)
    write_colour_model(folder)
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    """A server of them; the default one writes."""
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "tiny"}
    with Server({**settings, "ZEROPOINT_MAX_INSTANCES": "8"}) as running:
        running.wait_until_ready()
        yield running


def ask(server: Server, path: str, **document: Any) -> Any:
    """Returns the document of an answer."""
    response = requests.post(server.url + path, json=document, timeout=30)
    assert response.status_code == 200, response.text
    assert response.headers["x-model-digest"].startswith("sha256:")
    assert "execute" in response.headers["server-timing"]
    return response.json()


def streamed(server: Server, path: str, **document: Any) -> list[Any]:
    """Returns the documents of an answer in events, which must have an end."""
    response = requests.post(server.url + path, json={**document, "stream": True}, timeout=30)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-model-digest"].startswith("sha256:")
    *events, end, nothing = response.text.split("\n\n")
    assert (end, nothing) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def refused(response: requests.Response, status: int, **error: Any) -> str:
    """Checks a refusal's shape, and returns its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    told = response.json()
    assert told.keys() == {"error"}
    assert told["error"].keys() == {"message", "type", "param", "code"}
    assert {key: told["error"][key] for key in error} == error
    assert MARK not in response.text
    return str(told["error"]["message"])


def test_a_whole_conversation(server: Server) -> None:
    before_s = int(time.time())
    told = ask(server, CHAT, messages=HELLO, max_tokens=6)
    assert re.fullmatch("chatcmpl-[0-9a-f]{24}", told.pop("id"))
    assert before_s <= told.pop("created") <= time.time()
    assert re.fullmatch("fp_[0-9a-f]{10}", told.pop("system_fingerprint"))
    content = told["choices"][0]["message"].pop("content")
    assert len(content) == 6
    assert told == {
        "object": "chat.completion",
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "refusal": None},
                "logprobs": None,
                "finish_reason": "length",
            }
        ],
        "usage": {
            "prompt_tokens": HELLO_PROMPT,
            "completion_tokens": 6,
            "total_tokens": HELLO_PROMPT + 6,
        },
    }


@pytest.mark.parametrize("usage", [None, False, True])
def test_a_conversation_in_pieces(server: Server, usage: bool | None) -> None:
    options = {} if usage is None else {"stream_options": {"include_usage": usage}}
    first, *pieces, last = streamed(server, CHAT, messages=HELLO, max_tokens=6, **options)
    if usage:
        (tokens, last), (*pieces,) = (last, pieces[-1]), pieces[:-1]
        assert tokens["choices"] == []
        assert tokens["usage"]["completion_tokens"] == 6
    documents = [first, *pieces, last, *([tokens] if usage else [])]
    for key in ("id", "created", "model", "system_fingerprint"):
        assert len({one[key] for one in documents}) == 1
    assert {one["object"] for one in documents} == {"chat.completion.chunk"}
    assert all(one.get("usage", 0) is (None if usage else 0) for one in [first, *pieces, last])
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    deltas = [one["choices"][0]["delta"] for one in pieces]
    assert len(deltas) == 6
    whole = ask(server, CHAT, messages=HELLO, max_tokens=6)["choices"][0]["message"]["content"]
    assert "".join(delta["content"] for delta in deltas) == whole
    reasons = [one["choices"][0]["finish_reason"] for one in [first, *pieces]]
    assert {*reasons} == {None}
    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "length",
    }


def test_the_framework_streams_too(repository: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "tiny"}
    with Server(settings, command=FRAMEWORK) as server:
        pieces = streamed(server, COMPLETIONS, prompt=ASKED, max_tokens=6)
        assert "".join(one["choices"][0]["text"] for one in pieces) == TEXT[:6]
        refused(requests.get(server.url + "/v1/nope", timeout=10), 404, code="route_not_found")


def test_a_prompt_is_gone_on_with_as_it_is(server: Server) -> None:
    told = ask(server, COMPLETIONS, prompt=ASKED)
    assert re.fullmatch("cmpl-[0-9a-f]{24}", told["id"])
    assert told["object"] == "text_completion"
    (choice,) = told["choices"]
    assert choice == {"index": 0, "text": TEXT, "logprobs": None, "finish_reason": "length"}
    assert told["usage"] == {"prompt_tokens": 7, "completion_tokens": 24, "total_tokens": 31}


def test_several_prompts_have_a_choice_each(server: Server) -> None:
    prompts = [ASKED, "once", "z."]
    told = ask(server, COMPLETIONS, prompt=prompts, max_tokens=5)
    assert [one["text"] for one in told["choices"]] == [written(one, 5) for one in prompts]
    assert [one["index"] for one in told["choices"]] == [0, 1, 2]
    assert told["usage"] == {"prompt_tokens": 13, "completion_tokens": 15, "total_tokens": 28}


def test_a_prompt_in_pieces(server: Server) -> None:
    options = {"stream_options": {"include_usage": True}}
    *pieces, last, tokens = streamed(server, COMPLETIONS, prompt=[ASKED], max_tokens=5, **options)
    assert [one["choices"][0]["text"] for one in pieces] == [*TEXT[:5]]
    assert {one["choices"][0]["finish_reason"] for one in pieces} == {None}
    assert last["choices"][0] == {
        "index": 0,
        "text": "",
        "logprobs": None,
        "finish_reason": "length",
    }
    assert (tokens["choices"], tokens["usage"]["total_tokens"]) == ([], 12)
    assert {one["usage"] for one in (*pieces, last)} == {None}


@pytest.mark.parametrize("stop", [TEXT[4], [MARK, TEXT[4:6]]])
def test_it_ends_before_a_stop(server: Server, stop: Any) -> None:
    (choice,) = ask(server, COMPLETIONS, prompt=ASKED, stop=stop)["choices"]
    place = TEXT.index(stop if isinstance(stop, str) else stop[1])
    assert (choice["text"], choice["finish_reason"]) == (TEXT[:place], "stop")
    *pieces, last = streamed(server, COMPLETIONS, prompt=ASKED, stop=stop)
    assert "".join(one["choices"][0]["text"] for one in pieces) == TEXT[:place]
    assert last["choices"][0]["finish_reason"] == "stop"


def test_a_seed_repeats_a_text_and_others_do_not(server: Server) -> None:
    def drawn(seed: int) -> str:
        how = {"temperature": 2, "top_p": 0.99, "top_k": 20, "repetition_penalty": 1.1}
        (choice,) = ask(server, COMPLETIONS, prompt=ASKED, seed=seed, **how)["choices"]
        return str(choice["text"])

    assert drawn(5) == drawn(5)
    assert len({drawn(seed) for seed in range(4)}) > 1


def test_roles_and_parts_are_those_of_the_template(server: Server) -> None:
    def content(*messages: dict[str, Any]) -> str:
        (choice,) = ask(server, CHAT, messages=messages, max_tokens=12)["choices"]
        return str(choice["message"]["content"])

    parts = [{"type": "text", "text": "be kind"}, {"type": "text", "text": "be brief"}]
    plain = content({"role": "system", "content": "be kind\nbe brief"}, USER)
    assert content({"role": "developer", "content": parts, "name": "me"}, USER) == plain
    assert content({"role": "system", "content": "be loud"}, USER) != plain
    assert content(USER) == content({"role": "user", "content": [{"type": "text", "text": "a"}]})


NOTHING_ASKED: dict[str, Any] = {
    "n": 1,
    "stop": None,
    "logprobs": False,
    "tools": [],
    "tool_choice": "auto",
    "response_format": {"type": "text"},
    "presence_penalty": 0,
    "frequency_penalty": 0.0,
    "logit_bias": {},
    "stream": False,
    "temperature": None,
    "user": MARK,
    "metadata": {"a": [1]},
    "store": True,
    "max_tokens": None,
    "nobody": {"knows": "this"},
}


def test_fields_that_ask_for_nothing_change_nothing(server: Server) -> None:
    told = ask(server, CHAT, messages=HELLO, max_completion_tokens=3, **NOTHING_ASKED)
    plain = ask(server, CHAT, messages=HELLO, max_tokens=3, model="")
    assert told["choices"] == plain["choices"]
    assert told["usage"]["completion_tokens"] == 3


def test_of_two_limits_the_newer_one_counts(server: Server) -> None:
    told = ask(server, CHAT, messages=HELLO, max_tokens=3, max_completion_tokens=2)
    assert told["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        (CHAT, "n", 2),
        (CHAT, "logprobs", True),
        (CHAT, "top_logprobs", 3),
        (CHAT, "tools", [{"type": "function", "function": {"name": MARK}}]),
        (CHAT, "tool_choice", "required"),
        (CHAT, "functions", [{"name": MARK}]),
        (CHAT, "response_format", {"type": "json_object"}),
        (CHAT, "presence_penalty", 0.5),
        (CHAT, "frequency_penalty", -1),
        (CHAT, "logit_bias", {"50256": -100}),
        (CHAT, "modalities", ["text", "audio"]),
        (CHAT, "audio", {"voice": "alloy"}),
        (CHAT, "temperature", 2.5),
        (CHAT, "top_p", 0),
        (CHAT, "max_tokens", 0),
        (CHAT, "seed", -1),
        (CHAT, "stop", ["a", ""]),
        (CHAT, "messages", []),
        (CHAT, "messages", [{"role": "tool", "content": MARK}]),
        (CHAT, "messages", [{"role": MARK, "content": "a"}]),
        (CHAT, "messages", [{"role": "user", "content": [{"type": "image_url"}]}]),
        (CHAT, "messages", [{"role": "user", "content": [{"type": "text"}]}]),
        (COMPLETIONS, "best_of", 3),
        (COMPLETIONS, "echo", True),
        (COMPLETIONS, "suffix", MARK),
        (COMPLETIONS, "logprobs", 0),
        (COMPLETIONS, "prompt", []),
        (EMBEDDINGS, "dimensions", 2),
        (EMBEDDINGS, "input", []),
    ],
)
def test_what_is_not_served_is_refused_by_its_name(
    server: Server, path: str, field: str, value: Any
) -> None:
    base: dict[str, Any] = {CHAT: {"messages": HELLO}, COMPLETIONS: {"prompt": ASKED}}
    document = {**base.get(path, {"model": "words", "input": "good"}), field: value}
    response = requests.post(server.url + path, json=document, timeout=30)
    told = refused(response, 422, type="invalid_request_error", param=field, code="invalid")
    assert told.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("path", "document", "status", "error"),
    [
        (CHAT, {}, 400, {"code": "malformed"}),
        (CHAT, {"messages": "a"}, 400, {"param": "messages"}),
        (CHAT, {"messages": [{"role": "user"}]}, 400, {"param": "messages"}),
        (CHAT, {"messages": [{"role": "user", "content": None}]}, 400, {"param": "messages"}),
        (CHAT, {"messages": HELLO, "temperature": "1"}, 400, {"param": "temperature"}),
        (CHAT, {"messages": HELLO, "model": MARK}, 404, {"code": "model_not_found"}),
        (CHAT, {"messages": HELLO, "model": "words"}, 400, {"param": "model"}),
        (COMPLETIONS, {"prompt": "a", "model": "colour"}, 400, {"param": "model"}),
        (COMPLETIONS, {"prompt": [1, 2, 3]}, 400, {"param": "prompt"}),
        (COMPLETIONS, {"prompt": ["a", "b"], "stream": True}, 422, {"param": "prompt"}),
        (COMPLETIONS, {"prompt": ["a"] * 9}, 413, {"code": "body_too_large"}),
        (COMPLETIONS, {"prompt": "a" * CONTEXT}, 422, {"code": "invalid"}),
        (COMPLETIONS, {"prompt": "a", "max_tokens": CONTEXT}, 422, {"code": "invalid"}),
        (COMPLETIONS, {"prompt": "a" * CONTEXT, "stream": True}, 422, {"code": "invalid"}),
        (EMBEDDINGS, {"input": "good"}, 400, {"param": "model"}),
        (EMBEDDINGS, {"input": [[1, 2]], "model": "words"}, 400, {"param": "input"}),
        (EMBEDDINGS, {"input": ["good"] * 9, "model": "words"}, 413, {"code": "body_too_large"}),
        (
            EMBEDDINGS,
            {"input": "good", "model": "words", "encoding_format": "hex"},
            400,
            {"param": "encoding_format"},
        ),
    ],
)
def test_what_is_wrong_is_told(
    server: Server, path: str, document: dict[str, Any], status: int, error: dict[str, Any]
) -> None:
    response = requests.post(server.url + path, json=document, timeout=30)
    refused(response, status, type="invalid_request_error", **error)


def test_every_layer_refuses_in_this_shape(server: Server) -> None:
    for method, path, status in (
        ("GET", "/v1/nope", 404),
        ("GET", "/v1", 404),
        ("GET", f"/v1/models/{MARK}", 404),
        ("GET", "/v1/models/colour", 404),
        ("GET", CHAT, 405),
        ("DELETE", "/v1/models/tiny", 405),
        ("POST", CHAT, 415),
        ("POST", EMBEDDINGS, 415),
    ):
        refused(requests.request(method, server.url + path, data=MARK, timeout=10), status)
    large = {"Content-Type": "application/json", "Content-Length": str(10**12)}
    response = requests.post(server.url + CHAT, data=b"", headers=large, timeout=10)
    refused(response, 413, type="invalid_request_error", code="body_too_large")


@pytest.mark.parametrize("texts", ["good", ["good", "the film is awful"]])
def test_vectors_are_numbers_or_base64(server: Server, texts: Any) -> None:
    told = ask(server, EMBEDDINGS, model="words", input=texts)
    packed = ask(server, EMBEDDINGS, model="words", input=texts, encoding_format="base64")
    count = 1 if isinstance(texts, str) else len(texts)
    assert [one["index"] for one in told["data"]] == [*range(count)]
    for numbers, text in zip(told["data"], packed["data"], strict=True):
        data = base64.b64decode(text["embedding"], validate=True)
        assert numbers["embedding"] == pytest.approx(struct.unpack(f"<{SIZE}f", data))
        assert numbers["object"] == text["object"] == "embedding"
    native = requests.post(
        server.url + "/predict/words",
        json={"instances": [texts] if isinstance(texts, str) else texts},
        timeout=10,
    ).json()["predictions"]
    assert [one["embedding"] for one in told["data"]] == [one["embedding"] for one in native]
    tokens = sum(one["tokens"] for one in native)
    assert told["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_models_are_those_that_can_be_asked_here(server: Server) -> None:
    told = requests.get(server.url + "/v1/models", timeout=10).json()
    tiny, words = (
        {"id": name, "task": task, "object": "model", "created": 0, "owned_by": "zeropoint"}
        for name, task in (("tiny", "text-generation"), ("words", "text-embedding"))
    )
    assert told == {"object": "list", "data": [tiny, words]}
    assert requests.get(server.url + "/v1/models/tiny", timeout=10).json() == tiny


def test_a_broken_model_hides_no_other(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "words").symlink_to(repository / "words")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.toml").write_text("none")
    with Server({"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_MODEL": "broken"}) as server:
        told = requests.get(server.url + "/v1/models", timeout=10).json()
        assert [one["id"] for one in told["data"]] == ["words"]
        for model in ("broken", None):
            document = {"input": "good", "model": model}
            response = requests.post(server.url + EMBEDDINGS, json=document, timeout=30)
            refused(response, 503, type="server_error", code="model_unavailable", param=None)
            assert int(response.headers["retry-after"]) >= 1


def test_too_many_texts_at_once_are_told_to_come_again(repository: Path) -> None:
    """While one text has all the memory there is."""
    settings = {
        "ZEROPOINT_MODELS": str(repository),
        "ZEROPOINT_MODEL": "tiny",
        "ZEROPOINT_MAX_CACHE_BYTES": str(CONTEXT * 512),
    }
    document = {"prompt": "a", "max_tokens": CONTEXT - 1, "stream": True}
    with Server(settings) as server:
        server.wait_until_ready()
        url = server.url + COMPLETIONS
        found = []
        for _ in range(20):  # a text is written in little time
            with requests.post(url, json=document, stream=True, timeout=30):
                second = requests.post(url, json=document, timeout=30)
                found.append(second.status_code)
            if second.status_code == 429:
                break
    assert 429 in found
    refused(second, 429, type="rate_limit_exceeded", code="overloaded", param=None)
    assert int(second.headers["retry-after"]) >= 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "include_usage"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)
FIELDS = (
    *("messages", "prompt", "input", "model", "max_tokens", "max_completion_tokens", "n", "stop"),
    *("temperature", "top_p", "top_k", "seed", "stream", "stream_options", "encoding_format"),
)
GOOD = {
    "messages": st.just(HELLO),
    "prompt": st.just("a"),
    "input": st.just("good"),
    "model": st.sampled_from(["tiny", "words"]),
    "max_tokens": st.just(2),
}


@given(
    path=st.sampled_from([CHAT, COMPLETIONS, EMBEDDINGS]),
    good=st.fixed_dictionaries(GOOD),
    document=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3),
)
@hypothesis_settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_document_is_answered_or_refused_in_shape(
    server: Server, path: str, good: dict[str, Any], document: dict[str, Any]
) -> None:
    try:
        response = requests.post(server.url + path, json={**good, **document}, timeout=30)
    except (requests.exceptions.InvalidJSONError, UnicodeEncodeError):
        return
    if response.status_code != 200:
        refused(response, response.status_code)
        assert 400 <= response.status_code < 500
    elif response.headers["content-type"] == "text/event-stream":
        assert response.text.endswith("data: [DONE]\n\n")
    else:
        assert response.json()["object"] in ("chat.completion", "text_completion", "list")
