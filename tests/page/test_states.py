"""What goes wrong, on the page: a refusal, a server that goes away, one that wakes up, a key."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import CAT
from page.browser import Tab
from servers import SERVE, Server
from tiny_models import picture
from zeropoint.protocols.description import told

Tabs = Callable[..., Tab]
KEY = "the-key-that-nobody-else-has"
LANGUAGES = ("en", "de")


def test_a_refused_file_says_what_to_do(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("efficientnet-lite0")
    text = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no photo"}
    page.set_input_files("#file", text)
    problem = one.problem()
    assert problem.startswith("The model does not take this kind of file\n")
    assert "The server said: expected the media type of a JPEG" in problem
    assert page.locator(".notice").get_attribute("role") == "alert"
    assert page.locator(".unseen").inner_text() == "This browser cannot show this file."
    broken = {"name": "cut.jpg", "mimeType": "image/jpeg", "buffer": CAT.read_bytes()[:5000]}
    page.set_input_files("#file", broken)
    page.locator("h2", has_text="The picture is damaged").wait_for()
    page.set_input_files("#file", CAT)
    assert one.answer().startswith("tiger cat")
    assert page.locator(".notice").count() == 0


def test_too_large_a_file_says_so(tab: Tabs, repository: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(CAT.read_bytes() + bytes(8 << 20))
    settings = {
        "ZEROPOINT_MODELS": str(repository / "efficientnet-lite0"),
        "ZEROPOINT_MAX_BODY_BYTES": "1000000",
        "ZEROPOINT_MAX_PIXELS": "200000",
    }
    with Server(settings, measured=False) as server:
        one = tab(server)
        page = one.open("efficientnet-lite0")
        page.set_input_files("#file", large)
        assert one.problem().startswith("Too large\n")
        many = picture("red", (600, 400))
        page.set_input_files("#file", {"name": "m.png", "mimeType": "image/png", "buffer": many})
        page.locator("h2", has_text="Too many pixels").wait_for()


def test_a_wrong_value_says_what_the_server_expected(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("float")
    page.fill("#json", '["a"]')
    page.click("#send")
    problem = one.problem()
    assert "The server said: " in problem
    page.click("text=Deutsch")
    assert "Der Server sagt (auf Englisch): " in one.problem()


def test_a_server_goes_away_and_comes_back(tab: Tabs, repository: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "shuttle"}
    with Server(settings, measured=False) as server:
        one = tab(server)
        page = one.open("shuttle")
        server.stop()
        page.click("#send")
        assert one.problem().startswith("The server does not answer\n")
        page.select_option("#model", "phishing")
        page.locator("#problem .notice").wait_for()
    with Server(settings, port=server.port, measured=False):
        page.get_by_role("button", name="Try again").click()
        page.locator("#feature-0").wait_for()
        page.click("#send")
        assert one.answer().startswith("phishing")
        assert page.locator(".notice").count() == 0


def test_a_function_that_wakes_up_says_so(tab: Tabs, repository: Path) -> None:
    """It is held still, as one whose start takes long."""
    with Server({"ZEROPOINT_MODELS": str(repository / "shuttle")}, measured=False) as server:
        one = tab(server)
        page = one.open("shuttle")
        server.process.send_signal(signal.SIGSTOP)
        try:
            page.click("#send")
            page.locator(".wait", has_text="Waiting for the answer").wait_for()
            assert page.locator("#panel").get_attribute("aria-busy") == "true"
            page.locator(".wait", has_text="the function wakes up").wait_for()
            assert "the function wakes up" in page.locator("#status").inner_text()
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert one.answer().startswith("anomaly")
        assert page.locator("#panel").get_attribute("aria-busy") == "false"


def test_the_last_call_counts(tab: Tabs, repository: Path) -> None:
    with Server(
        {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "shuttle"}, measured=False
    ) as server:
        one = tab(server)
        page = one.open("shuttle")
        server.process.send_signal(signal.SIGSTOP)
        try:
            page.click("#send")
            page.locator(".wait").wait_for()
            page.fill("#feature-0", "41")
            page.click("#send")
        finally:
            server.process.send_signal(signal.SIGCONT)
        one.answer()
        assert '"f1":41' in page.locator("[data-code=curl]").text_content()


def test_a_key_is_asked_for_and_forgotten(tab: Tabs, repository: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(repository / "shuttle"), "ZEROPOINT_API_KEY": KEY}
    with Server(settings, command=SERVE, measured=False) as server:
        one = tab(server)
        page = one.open()
        page.locator("#key-value").wait_for()
        assert page.evaluate("document.activeElement.id") == "key-value"
        page.fill("#key-value", "a-key-that-is-wrong")
        page.keyboard.press("Enter")
        page.locator("#key-problem", has_text="does not take this key").wait_for()
        page.fill("#key-value", KEY)
        page.click("text=Use it")
        page.locator("#feature-0").wait_for()
        page.click("#send")
        assert one.answer().startswith("anomaly")
        assert KEY not in page.content()
        assert "$ZEROPOINT_API_KEY" in page.locator("[data-code=curl]").text_content()
        kept = "[Object.values(sessionStorage), localStorage.length, document.cookie]"
        assert page.evaluate(kept) == [[KEY], 0, ""]
        page.reload()
        page.locator("#feature-0").wait_for()
        page.click("text=Forget the key")
        page.locator("#key-value").wait_for()
        assert page.evaluate(kept) == [[], 0, ""]
        assert page.locator("#key-problem").inner_text() == ""
        assert KEY not in server.stdout() + server.stderr()


def test_an_empty_repository_says_so(tab: Tabs, tmp_path: Path) -> None:
    with Server({"ZEROPOINT_MODELS": str(tmp_path)}, measured=False) as server:
        one = tab(server)
        one.open()
        assert one.problem().startswith("No models here\n")


@pytest.mark.parametrize("place", range(len(LANGUAGES)), ids=LANGUAGES)
def test_there_are_words_for_every_refusal(tab: Tabs, models: Server, place: int) -> None:
    page = tab(models).open("shuttle")
    # Of which some come with what a conversation needs.
    page.evaluate("import('./page/chat.js')")
    problems = page.evaluate("import('./page/script.js').then((script) => script.PROBLEMS)")
    # But for those of events, which the page sends none of.
    codes = {one.code for one in told() if not one.code.startswith("event_")}
    assert codes - {"record_refused"} <= problems.keys()
    assert all(len(words[place]) == 2 and all(words[place]) for words in problems.values())
    texts = page.evaluate("import('./page/script.js').then((script) => script.TEXTS)")
    assert all(len(pair) == len(LANGUAGES) and all(pair) for pair in texts.values())
    assert {"ask", "chat.ask"} <= texts.keys()
