"""For everyone: by keyboard and screen reader, on a phone, in the dark, in English and German."""

from collections.abc import Callable
from typing import Any

import pytest

from conftest import CAT
from page import axe
from page.browser import Tab
from servers import Server
from tiny_models import picture

Tabs = Callable[..., Tab]
PHONE = {
    "viewport": {"width": 320, "height": 640},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
SCHEMES = ("light", "dark")


def states(page: Any) -> list[str]:
    """Goes through the page's main states, and returns what axe-core finds in them."""
    found: list[str] = []

    def look(state: str, model: str) -> None:
        page.locator(state).first.wait_for()
        page.locator("summary").evaluate_all(
            "all => all.forEach((one) => { one.parentElement.open = true; })"
        )
        found.extend(f"{model}, {one}" for one in axe.violations(page))

    for model in ("efficientnet-lite0", "detector"):
        page.select_option("#model", model)
        page.locator(".drop:not(.slim)").wait_for()
        look(".drop", model)
        page.set_input_files("#file", CAT if model == "efficientnet-lite0" else red_thing())
        look(".headline", model)
    page.set_input_files("#file", {"name": "a", "mimeType": "text/plain", "buffer": b"a"})
    look(".notice.bad", "refused")
    for model in ("phishing", "house", "judge", "words", "float"):
        page.select_option("#model", model)
        page.locator(f"#about:has-text('{'CC0' if model != 'phishing' else 'BSD'}')").wait_for()
        page.click("#send")
        look("[data-code]", model)
    return found


def red_thing() -> dict[str, Any]:
    return {"name": "red.png", "mimeType": "image/png", "buffer": picture("red", (64, 48))}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_in_any_state(tab: Tabs, models: Server, scheme: str) -> None:
    page = tab(models, color_scheme=scheme, reduced_motion="reduce").open("efficientnet-lite0")
    assert states(page) == []
    # That it would: quiet text on a ground that is hardly lighter.
    page.evaluate("document.querySelector('h1').style.color = 'rgb(127 127 127 / 40%)'")
    assert any(one.startswith("color-contrast") for one in axe.violations(page))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_where_a_key_is_asked_for(
    tab: Tabs, colour_server: Server, scheme: str
) -> None:
    page = tab(colour_server, color_scheme=scheme).open("colour")
    page.evaluate("for (const id of ['key', 'work']) document.getElementById(id).hidden ^= true")
    page.locator("#key-value").wait_for()
    assert axe.violations(page) == []


def test_dark_is_dark(tab: Tabs, models: Server) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    colours = [tab(models, color_scheme=one).open("shuttle").evaluate(ground) for one in SCHEMES]
    light, dark = (sum(map(int, one.strip("rgb()").split(","))) for one in colours)
    assert light > 3 * 230
    assert dark < 3 * 40


@pytest.mark.parametrize("language", ["en-US", "de-AT", "fr"])
def test_a_phone_has_nothing_beside_its_screen(tab: Tabs, models: Server, language: str) -> None:
    one = tab(models, **PHONE, locale=language)
    page = one.open("efficientnet-lite0")
    page.set_input_files("#file", CAT)
    for model in ("efficientnet-lite0", "phishing", "house", "words", "float"):
        if model != "efficientnet-lite0":
            page.select_option("#model", model)
            page.locator("#about:not(:has-text('Apache'))").wait_for()
            page.click("#send")
        page.locator("[data-code]").first.wait_for()
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths == [320, 320], model
        assert page.locator("#send").bounding_box()["height"] >= 44
    assert page.evaluate("document.documentElement.lang") == language[:2].replace("fr", "en")


def test_both_languages_are_spoken_at_once(tab: Tabs, models: Server) -> None:
    one = tab(models, locale="de-DE")
    page = one.open("phishing")
    assert page.evaluate("document.documentElement.lang") == "de"
    assert page.locator("h1").inner_text() == "Frag ein Modell"
    page.click("#send")
    assert one.answer() == "phishing\n94,3\N{NO-BREAK SPACE}%"
    page.get_by_role("button", name="English").click()
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.get_by_role("group", name="Language").count() == 1
    assert one.answer() == "phishing\n94.3%"
    page.reload()
    page.locator("#state").wait_for()
    assert page.locator("h1").inner_text() == "Ask a model"
    # Nothing stays that was not translated.
    texts = page.evaluate("import('./page/script.js').then((script) => script.TEXTS)")
    german = {de for en, de in texts.values() if de != en}
    assert not german & set(page.locator("body").inner_text().splitlines())


def test_the_keyboard_is_enough(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("shuttle")
    focused = "document.activeElement.id || document.activeElement.textContent.trim()"
    order = []
    for _ in range(30):
        page.keyboard.press("Tab")
        order.append(page.evaluate(focused))
        ring = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(ring) != "none", order[-1]
        if order[-1] == "send":
            break
    fields = [f"feature-{place}" for place in range(9)]
    assert order == [
        "Skip to the content", "English", "Deutsch", "model", *fields, "Options", "send",
    ]  # fmt: skip
    page.keyboard.press("Enter")
    assert one.answer().startswith("anomaly")
    assert page.evaluate(focused) == "send"  # where it was
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Raw JSON"
    page.keyboard.press("Enter")
    page.locator("#answer details[open] pre").wait_for()
    assert page.locator("[tabindex]:not([tabindex='0'], [tabindex='-1'])").count() == 0


def test_the_file_chooser_opens_by_keyboard(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("efficientnet-lite0")
    with page.expect_file_chooser() as chooser:
        page.focus("#model")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "file"
        page.keyboard.press("Space")
    chooser.value.set_files(CAT)
    assert one.answer().startswith("tiger cat")


def test_landmarks_and_live_regions_are_there(tab: Tabs, models: Server) -> None:
    page = tab(models).open("shuttle")
    for role in ("banner", "main", "contentinfo", "status"):
        assert page.get_by_role(role).count() == 1, role
    for name in ("Your input", "Answer"):
        assert page.get_by_role("region", name=name).count() == 1
    assert page.get_by_role("heading", level=1).count() == 1


def test_what_the_policy_forbids_is_counted(tab: Tabs, colour_server: Server) -> None:
    """The tabs of all tests are watched: here something is there to be seen."""
    one = tab(colour_server)
    page = one.open("colour")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))"
    )
    assert one.violations() == ["script-src-elem"]
    assert "Content Security Policy" in one.wrong.pop()
    page.evaluate("window.violations.length = 0")


def test_names_of_models_are_no_html(tab: Tabs, models: Server) -> None:
    """What comes from elsewhere is text."""
    one = tab(models)
    page = one.open("efficientnet-lite0")
    name = "<img src=x onerror=alert(1)>.jpg"
    page.set_input_files(
        "#file", {"name": name, "mimeType": "image/jpeg", "buffer": CAT.read_bytes()}
    )
    one.answer()
    assert page.locator("img").count() == 1
    assert name in page.locator("[data-code=curl]").text_content()
