"""Each kind of model, asked on the page as a person would."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import CAT
from page.browser import Tab
from page.conftest import sent
from servers import Server, environment
from tiny_models import picture

Tabs = Callable[..., Tab]


def test_a_photo_is_answered_with_labels(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("efficientnet-lite0")
    page.set_input_files("#file", CAT)
    assert one.answer().splitlines()[0] == "tiger cat"
    assert page.locator(".bars .of").all_inner_texts()[:2] == ["tiger cat", "Egyptian cat"]
    assert page.locator(".photo img").get_attribute("alt") == "The photo cat.jpg"
    assert page.locator("#status").inner_text().startswith("The answer: tiger cat")
    assert "tiger cat" in page.locator("#answer details pre").text_content()
    page.click("#options summary")
    page.fill("#option-top_k", "2")
    page.click("#send")
    one.answer()
    assert page.locator(".bars li").count() == 2


def test_a_photo_is_dropped_and_pasted(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("efficientnet-lite0")
    give = """([bytes, type, where]) => {
        const transfer = new DataTransfer();
        const file = new File([new Uint8Array(bytes)], "given.jpg", {type: "image/jpeg"});
        transfer.items.add(file);
        const event = type === "drop"
            ? new DragEvent(type, {dataTransfer: transfer, bubbles: true, cancelable: true})
            : new ClipboardEvent(type, {clipboardData: transfer, bubbles: true, cancelable: true});
        document.querySelector(where).dispatchEvent(event);
    }"""
    for kind, where in (("drop", ".drop"), ("paste", "body")):
        page.select_option("#model", "efficientnet-lite0")
        page.evaluate(give, [list(CAT.read_bytes()), kind, where])
        assert one.answer().startswith("tiger cat")
        assert page.locator(".photo img").get_attribute("alt") == "The photo given.jpg"
        page.select_option("#model", "shuttle")
        page.locator("#feature-0").wait_for()
        page.select_option("#model", "efficientnet-lite0")
        page.locator("#file").wait_for(state="attached")


def test_a_phone_takes_a_photo(tab: Tabs, models: Server) -> None:
    one = tab(models, has_touch=True, is_mobile=True)
    page = one.open("efficientnet-lite0")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Take a photo").click()
    assert page.locator("#file").get_attribute("capture") == "environment"
    chooser.value.set_files(CAT)
    assert one.answer().startswith("tiger cat")


def test_boxes_lie_on_the_upright_photo(tab: Tabs, models: Server, tmp_path: Path) -> None:
    """What is red stands in the lower left of the photo once it is turned as its EXIF says."""
    stored = Image.new("RGB", (400, 600), "blue")
    stored.paste("red", (200, 0, 400, 300))  # turned by 90° counterclockwise: upper left
    exif = Image.Exif()
    exif[0x0112] = 8
    stored.save(tmp_path / "turned.png", exif=exif)
    one = tab(models)
    page = one.open("detector")
    page.set_input_files("#file", tmp_path / "turned.png")
    assert one.answer() == "Found red thing"
    photo, box = (page.locator(name).bounding_box() for name in (".photo img", ".box"))
    assert photo["width"] / photo["height"] == pytest.approx(1.5, 0.01)
    assert box["x"] - photo["x"] == pytest.approx(0, abs=0.04 * photo["width"])
    assert box["y"] - photo["y"] == pytest.approx(0, abs=0.04 * photo["height"])
    assert box["width"] == pytest.approx(photo["width"] / 2, rel=0.1)
    assert box["height"] == pytest.approx(photo["height"] / 2, rel=0.1)
    assert page.locator(".box span").inner_text() == "red thing 75%"
    page.set_input_files("#file", {"name": "b.png", "mimeType": "image/png", "buffer": b"none"})
    one.problem()
    assert page.locator(".box").count() == 0


def test_a_rows_probability_stands_against_the_threshold(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("phishing")
    assert page.locator("#feature-0 option").all_inner_texts() == ["choose", "0", "0.5", "1"]
    assert sent(page)["instances"][0]["https"] == 0.5
    assert one.answer().startswith("phishing\n94.3%")
    assert (
        "a probability of 50% on; here it is 94.3%"
        in page.locator("#answer .note").first.inner_text()
    )
    page.click("#options summary")
    page.fill("#option-threshold", "0.99")
    assert sent(page)["parameters"] == {"threshold": 0.99}
    page.locator(".headline", has_text="legitimate").wait_for()
    assert "a probability of 99% on" in page.locator("#answer .note").first.inner_text()
    page.select_option("#model", "shuttle")
    page.locator("label", has_text="f9").wait_for()
    page.click("#example")
    assert one.answer().startswith("anomaly\n")


def test_a_form_has_each_kind_of_feature(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("house")
    row = {"rooms": 3, "area_of_the_garden": 10.5, "heating": "heat pump", "cellar": True}
    assert sent(page)["instances"] == [{**row, "floors": None}]
    assert one.answer() == "17 k€\nEstimate"
    page.fill("#feature-0", "")  # missing, and so 2
    page.select_option("#feature-2", label="gas")
    page.select_option("#feature-3", label="no")
    page.fill("#feature-4", "2.25")
    changed = {"rooms": None, "heating": "gas", "cellar": False, "floors": 2.25}
    assert sent(page)["instances"] == [{**row, **changed}]
    page.locator(".headline", has_text="14.75 k€").wait_for()
    hints = page.locator("#input .hint").all_inner_texts()
    assert hints == ["≥ 1; missing is taken as 2", "In m²; ≥ 0", "missing is taken as 1.5"]
    page.fill("#feature-1", "")  # which may not be missing: the browser says so
    page.click("#send")
    assert page.locator("#feature-1:invalid").count() == 1


def test_texts_are_judged_and_compared(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("judge")
    page.fill("#text-1", "good good")
    page.press("#text-1", "Control+Enter")
    assert one.answer().startswith("good\n")
    page.select_option("#model", "words")
    page.locator("#text-3").wait_for()
    for place, text in enumerate(("good", "bad", "good"), 1):
        page.fill(f"#text-{place}", text)
    page.click("#send")
    page.locator(".pair").wait_for()
    assert one.answer() == "Texts 1 and 3 are closest"
    rows = page.locator(".pair tbody tr").all_inner_texts()
    assert rows[0].split() == ["good", "good", "1.000"]
    assert len(rows) == 3
    page.get_by_role("button", name="Remove the last").click()
    page.get_by_role("button", name="Remove the last").click()
    page.click("#send")
    page.locator(".headline", has_text="A vector of").wait_for()


def test_tensors_are_json(tab: Tabs, models: Server) -> None:
    one = tab(models)
    page = one.open("float")
    page.fill("#json", "[1, 2")
    page.click("#send")
    assert one.problem().startswith("This is not JSON yet")
    page.fill("#json", "[1, 2]")
    page.click("#send")
    page.locator("h3", has_text="Output y").wait_for()
    shown = page.locator("#answer > div pre").all_inner_texts()
    assert [json.loads(text) for text in shown] == [[1, 2], [1, 2]]


def test_the_call_can_be_repeated(tab: Tabs, models: Server, tmp_path: Path) -> None:
    name = 'it\'s "red" $HOME.png'
    (tmp_path / name).write_bytes(picture("red", (64, 48)))
    one = tab(models)
    page = one.open("detector")
    page.set_input_files("#file", tmp_path / name)
    one.answer()
    codes = {"detector": shown(page)}
    page.select_option("#model", "judge")
    page.locator("#text-1").wait_for()
    page.fill("#text-1", 'good\n"it\'s" \\ $HOME äöü 😀')
    page.click("#send")
    one.answer()
    codes["judge"] = shown(page)
    for model, each in codes.items():
        answers = []
        for language, code in each.items():
            command = ["sh", "-c", code] if language == "curl" else [sys.executable, "-c", code]
            done = subprocess.run(
                command,
                cwd=tmp_path,
                env=environment(tmp_path),
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, shlex.join(command) + done.stderr
            answers.append(done.stdout)
        assert json.loads(answers[0])["model"] == model
        assert str(json.loads(answers[0])) == answers[1].strip()


def shown(page: "object") -> dict[str, str]:
    """Returns the calls that the page shows, by their language."""
    nodes = page.locator("[data-code]").all()  # type: ignore[attr-defined]
    return {node.get_attribute("data-code"): node.text_content() for node in nodes}


def test_a_call_is_copied(tab: Tabs, models: Server) -> None:
    one = tab(models, permissions=["clipboard-read", "clipboard-write"])
    page = one.open("shuttle")
    page.click("#send")
    one.answer()
    page.get_by_role("button", name="Copy: curl").click()
    page.locator("#status", has_text="Copied").wait_for(state="attached")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == shown(page)["curl"]


def test_the_steps_of_a_call_are_told_and_those_of_a_cold_start(
    tab: Tabs, repository: Path
) -> None:
    settings = {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": "shuttle"}
    with Server(settings, measured=False) as server:
        one = tab(server)
        page = one.open("phishing")
        assert page.locator("#state").inner_text() == "asleep: its first call loads it"
        page.click("#send")
        one.answer()
        cold = page.locator(".times.cold")
        assert cold.locator("th").all_inner_texts() == [
            "start the process",
            "read and verify",
            "import",
            "build the session",
            "known answer",
            "Cold start",
        ]
        assert page.locator("#state").inner_text() == "awake"
        page.click("#send")
        one.answer()
        assert cold.count() == 0
        steps = page.locator(".times th").all_inner_texts()
        assert steps == ["wait", "prepare", "execute", "output", "network, the rest", "Round trip"]
