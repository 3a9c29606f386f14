"""A conversation on the page with a model that writes: a small one that is real."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from built_models import built
from page import axe
from page.browser import Tab
from page.test_access import PHONE, SCHEMES
from servers import ROOT, Server, environment
from tiny_decoders import written
from zeropoint.errors import ModelUnavailableError
from zeropoint.protocols import native
from zeropoint.protocols.event_stream import MEDIA_TYPE, event

Tabs = Callable[..., Tab]
MODEL = "smollm2-135m-instruct"
QUESTION = "What is the capital of France? Answer in one sentence."
PARIS = "The capital of France is Paris."
STORY = "Write a very long story about a dog and a lighthouse."
LINES = re.compile(".{120}", re.DOTALL)  # some, which move what is below them
# Memory for one text, at most of a thousand tokens with its prompt.
ONE_TEXT = {"ZEROPOINT_MAX_CACHE_BYTES": "50000000"}
# What the conversation's last message was at each change.
WATCH = """() => {
    window.seen = [];
    const last = '.turn:last-child .words';
    const see = () => window.seen.push(document.querySelector(last).textContent);
    new MutationObserver(see).observe(
        document.querySelector('.talk'), {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def writer() -> Iterator[Server]:
    """A server of the model that writes."""
    with Server({"ZEROPOINT_MODELS": str(built(MODEL))}, measured=False) as running:
        running.wait_until_ready()
        yield running


def opened(one: Tab) -> Any:
    """Goes to the model's conversation."""
    page = one.open(MODEL)
    page.locator("#message").wait_for()
    return page


def say(page: Any, text: str) -> None:
    page.fill("#message", text)
    page.press("#message", "Enter")


def begun(page: Any, text: str) -> None:
    """Sends a first message, and waits until it is taken."""
    fresh = page.get_by_role("button", name="New conversation")
    if fresh.is_visible():
        fresh.click()
    say(page, text)
    taken(page)


def taken(page: Any) -> None:
    """Tries again while the text that was stopped before has its last token."""
    for _ in range(50):
        page.locator("#answer > :is(.headline, .notice)").wait_for()
        if page.locator("#answer > .headline").count():
            return
        page.get_by_role("button", name="Try again").click()
    pytest.fail("a text that was stopped still has its memory")


def ended(page: Any) -> str:
    """Waits for the end of an answer, and returns it."""
    page.locator(".headline", has_text="per second").wait_for()
    return last(page)


def last(page: Any) -> str:
    return str(page.locator(".turn.assistant .words").last.inner_text())


def chosen(page: Any, **options: str) -> None:
    page.locator("#options").evaluate("details => { details.open = true; }")
    for name, value in options.items():
        page.fill(f"#option-{name}", value)


def asked(page: Any, text: str) -> dict[str, Any]:
    """Sends a message, waits for its answer, and returns the JSON that was sent."""
    with page.expect_request("**/predict/*") as request:
        say(page, text)
    ended(page)
    assert request.value.headers["accept"] == "text/event-stream"
    found: dict[str, Any] = json.loads(request.value.post_data)
    return found


def test_a_text_is_seen_as_it_comes(tab: Tabs, writer: Server, tmp_path: Path) -> None:
    page = opened(tab(writer))
    page.evaluate(WATCH)
    page.click("#example")
    assert ended(page) == PARIS
    lengths = [len(text) for text in page.evaluate("window.seen") if PARIS.startswith(text)]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) >= 5
    assert page.locator(".turn.user .words").inner_text() == QUESTION
    log = page.get_by_role("log", name="Conversation")
    assert log.get_attribute("aria-busy") == "false"
    assert log.get_attribute("aria-live") == "off"  # the whole answer is told once
    assert page.locator("#status").inner_text().strip() == f"The answer: {PARIS}"
    assert re.fullmatch(r"the first after [\d.]+ s", page.locator(".headline small").inner_text())
    note = page.locator("#answer > .note").inner_text()
    assert note == "The model ended its answer. It read 42 tokens and wrote 8."
    steps = page.locator(".times:not(.cold) th").all_inner_texts()
    assert steps[-3:] == ["network, the rest", "all other tokens", "Round trip"]
    assert page.locator("#state").inner_text() == "awake"
    codes = {
        node.get_attribute("data-code"): node.text_content()
        for node in page.locator("[data-code]").all()
    }
    answers = {"curl": "", "Python": "", "OpenAI's client": ""}
    assert codes.keys() == answers.keys()
    if find_spec("openai") is None:
        del answers["OpenAI's client"]
    for name in answers:
        command = ["sh"] if name == "curl" else [sys.executable]
        done = subprocess.run(
            [*command, "-c", codes[name]],
            env=environment(tmp_path, measured=False),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        answers[name] = done.stdout
    events = [json.loads(line[6:]) for line in answers.pop("curl").splitlines() if line]
    assert "".join(event["text"] for event in events) == PARIS
    assert set(answers.values()) == {PARIS}


def test_a_conversation_goes_on_until_a_new_one_begins(tab: Tabs, writer: Server) -> None:
    page = opened(tab(writer))
    page.press("#message", "h")
    page.press("#message", "Shift+Enter")
    page.press("#message", "i")
    assert page.input_value("#message") == "h\ni"
    chosen(page, max_tokens="12", temperature="0.9", seed="5")
    page.fill("#system", "You are a poet.")
    sent = asked(page, "Name a flower.")
    system = {"role": "system", "content": "You are a poet."}
    first = {"role": "user", "content": "Name a flower."}
    assert sent["instances"] == [{"messages": [system, first]}]
    assert sent["parameters"] == {"max_tokens": 12, "temperature": 0.9, "seed": 5}
    cut = "Cut off: no more tokens were allowed. Under Options there may be more."
    assert page.locator(".turn .note").inner_text() == cut
    assert page.locator("#status").inner_text().endswith(cut)
    flower = last(page)
    assert page.evaluate("document.activeElement.id") == "message"
    answer = {"role": "assistant", "content": flower}
    sent = asked(page, "Another one.")
    assert sent["instances"][0]["messages"][1:3] == [first, answer]
    assert len(sent["instances"][0]["messages"]) == 4
    page.get_by_role("button", name="New conversation").click()
    assert page.locator(".turn").count() == 0
    assert page.evaluate("document.activeElement.id") == "message"
    sent = asked(page, "Name a flower.")
    assert sent["instances"] == [{"messages": [system, first]}]
    assert last(page) == flower  # of the same seed


def test_a_model_without_a_chat_template_continues_a_text(tab: Tabs, models: Server) -> None:
    page = tab(models).open("letters")
    page.get_by_label("Text", exact=True).fill("it was ")
    assert page.locator("#input .hint").last.inner_text().startswith("This model continues a text")
    assert page.locator("#system").count() == 0
    chosen(page, max_tokens="9")
    assert asked(page, "a") == {"instances": [{"prompt": "a"}], "parameters": {"max_tokens": 9}}
    assert asked(page, "it was ")["instances"] == [{"prompt": "it was "}]
    shown = page.locator(".turn.assistant .words").all_text_contents()
    assert shown == [written("a", 9), written("it was ", 9)]
    assert page.locator("[data-code]").count() == 2  # OpenAI's way would be another route


def test_a_text_is_stopped_and_makes_room_for_another(tab: Tabs, tmp_path: Path) -> None:
    for folder in (built(MODEL), ROOT / "model_artifacts" / "shuttle"):
        (tmp_path / folder.name).symlink_to(folder)
    settings = {"ZEROPOINT_MODELS": str(tmp_path), **ONE_TEXT}
    with Server({**settings, "ZEROPOINT_MODEL": MODEL}, measured=False) as server:
        first, second = opened(tab(server)), opened(tab(server))
        begun(first, STORY)
        early = last(first)
        first.locator(".turn:last-child .words", has_text=LINES).wait_for()
        assert last(first).startswith(early)
        assert first.locator("[role=log]").get_attribute("aria-busy") == "true"
        say(second, QUESTION)
        problem = second.locator(".notice.bad").inner_text()
        assert problem.startswith("Too many texts at once\n")
        assert "It may work again in " in problem
        assert second.input_value("#message") == QUESTION
        assert second.locator(".turn").count() == 0
        first.press("#message", "x")
        first.press("#message", "Enter")  # too early: it waits for a person's decision
        first.get_by_role("button", name="Stop").click()
        first.locator(".turn .note", has_text="You stopped it.").wait_for()
        left = last(first)
        assert first.locator("#answer .headline").inner_text().startswith("Stopped\n")
        assert first.locator("[role=log]").get_attribute("aria-busy") == "false"
        assert first.evaluate("document.activeElement.id") == "message"
        assert first.input_value("#message") == "x"
        assert first.locator(".times.cold th").last.inner_text() == "Cold start"
        # The server has stopped too: what it wrote in took all the memory that there is.
        second.get_by_role("button", name="Try again").click()
        taken(second)
        assert ended(second) == PARIS
        assert second.locator(".times.cold").count() == 0
        assert last(first) == left

        begun(second, STORY)
        second.press("#message", "Escape")
        second.locator(".turn .note", has_text="You stopped it.").wait_for()
        begun(second, STORY)
        second.locator(".turn:last-child .words", has_text=LINES).wait_for()
        box = second.get_by_role("button", name="Stop").bounding_box()
        assert box["y"] + box["height"] <= second.viewport_size["height"]
        second.select_option("#model", "shuttle")  # and that stops it too
        second.locator("#feature-0").wait_for()
        assert second.locator("#send").get_attribute("aria-disabled") is None
        assert second.locator("h2").all_inner_texts()[-2:] == ["Your input", "Answer"]
        begun(first, STORY)
        server.process.kill()
        first.locator(".turn .note", has_text="It broke off.").wait_for()
        assert first.locator(".notice h2").inner_text() == "The server does not answer"


def test_what_goes_wrong_on_the_way_is_told(tab: Tabs, writer: Server) -> None:
    page = opened(tab(writer))
    piece = event(b'{"text": "The capital"}')
    refused = native.refuse(ModelUnavailableError("expected a model that stays"))
    late = b'{"text": "", "finish_reason": "deadline", "prompt_tokens": 42, "completion_tokens": 2}'
    bodies = [piece + event(refused.data, "error"), piece + event(late)]
    page.route("**/predict/*", lambda route: route.fulfill(body=bodies[0], content_type=MEDIA_TYPE))
    say(page, QUESTION)
    page.locator(".turn .note", has_text="It broke off.").wait_for()
    problem = page.locator(".notice").inner_text()
    assert problem.startswith("The model is not ready\n")
    assert "The server said: expected a model that stays" in problem
    del bodies[0]
    page.get_by_role("button", name="Try again").click()
    page.locator(".turn .note", has_text="Cut off: it took too long.").wait_for()
    assert page.locator(".turn").count() == 2


def test_too_long_a_message_is_given_back(tab: Tabs, writer: Server) -> None:
    page = opened(tab(writer))
    page.fill("#message", "a " * 9000)
    page.click("#send")
    problem = page.locator(".notice.bad").inner_text()
    assert problem.startswith("Too long for the model\n")
    assert "The server said: expected a prompt of at most 8191 tokens" in problem
    assert page.input_value("#message") == "a " * 9000
    assert page.locator(".turn").count() == 0
    page.fill("#message", QUESTION)
    chosen(page, temperature="3")  # which the browser refuses, where it is seen
    page.locator("#options").evaluate("details => { details.open = false; }")
    page.click("#send")
    assert page.locator("#options[open] #option-temperature:invalid").count() == 1


def test_everyone_can_use_it(tab: Tabs, writer: Server) -> None:
    page = opened(tab(writer, **PHONE, reduced_motion="reduce", locale="de-DE"))
    chosen(page, max_tokens="30")
    assert axe.violations(page) == []
    page.fill("#message", STORY)
    page.click("#send")
    page.locator("[data-code]").first.wait_for()
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert axe.violations(page) == []
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths == [320, 320]
    assert page.locator("h2").all_inner_texts()[-2:] == ["Gespräch", "Die letzte Antwort"]
    page.get_by_role("button", name="English").click()
    assert page.locator("h2").all_inner_texts()[-2:] == ["Conversation", "The last answer"]
    texts = page.evaluate("import('./page/script.js').then((script) => script.TEXTS)")
    german = {de for en, de in texts.values() if de != en}
    assert not german & set(page.locator("body").inner_text().splitlines())
