"""The page's main states as pictures, for people: `docs/screenshots`, written when asked for.

    ZEROPOINT_SCREENSHOTS=1 pytest tests/page/test_screenshots.py

The photos are scikit-image's, in the public domain or CC0.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import corpora
from conftest import CAT
from page.browser import Tab
from servers import ROOT, Server

Tabs = Callable[..., Tab]
MOST_BYTES = 150_000
HOW = "#answer .part"
MARGIN = 24  # pixels
FOLDER = ROOT / "docs" / "screenshots"

pytestmark = pytest.mark.skipif(
    os.environ.get("ZEROPOINT_SCREENSHOTS") != "1", reason="ZEROPOINT_SCREENSHOTS=1 writes them"
)


def keep(page: Any, name: str, until: str = "", full_page: bool = True) -> None:
    """Writes a page to a small PNG, down to the end of what ``until`` selects; without, all."""
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("document.fonts.ready")
    whole: dict[str, Any] = {"full_page": full_page, "animations": "disabled"}
    if until:
        end = page.locator(until).first.bounding_box()
        width = page.viewport_size["width"]
        height = end["y"] + end["height"] + MARGIN
        whole["clip"] = {"x": 0, "y": 0, "width": width, "height": height}
    shot = page.screenshot(**whole)
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.png"
    image.save(path, optimize=True)
    assert path.stat().st_size < MOST_BYTES, name


def collage(folder: Path) -> Path:
    """Returns a photo of three: an astronaut, a cat and a cup."""
    whole = Image.new("RGB", (960, 480))
    places = {
        "astronaut.png": (0, 0, 480, 480),
        "chelsea.png": (480, 0, 480, 240),
        "coffee.png": (480, 240, 480, 240),
    }
    for name, (left, top, width, height) in places.items():
        photo = Image.open(corpora.photo(name)).convert("RGB")
        scale = max(width / photo.width, height / photo.height)
        photo = photo.resize((round(photo.width * scale), round(photo.height * scale)))
        across, down = (photo.width - width) // 2, (photo.height - height) // 2
        whole.paste(photo.crop((across, down, across + width, down + height)), (left, top))
    path = folder / "three.jpg"
    whole.save(path, quality=92)
    return path


def test_the_main_states(tab: Tabs, built_repository: Path, tmp_path: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(built_repository)}
    address = {"viewport": {"width": 1180, "height": 820}}
    with Server(settings, port=8080) as server:
        server.wait_until_ready()
        one = tab(server, **address)
        page = one.open("efficientnet-lite0")
        page.set_input_files("#file", CAT)
        one.answer()
        page.click("#send")  # warm
        one.answer()
        keep(page, "photo", HOW)

        page = tab(server, **address).open("ssd-mobilenet-oidv4")
        page.set_input_files("#file", collage(tmp_path))
        page.locator(".box").first.wait_for()
        page.locator("[data-code]").first.wait_for()
        keep(page, "boxes", HOW)

        page = tab(server, **address).open("phishing")
        page.click("#send")
        page.locator("[data-code]").first.wait_for()
        keep(page, "table")

        page = tab(server, **address).open("minilm-l6-v2")
        page.click("#send")
        page.locator("[data-code]").first.wait_for()
        keep(page, "similarity")

        page = tab(server, **address).open("efficientnet-lite0")
        text = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no photo"}
        page.set_input_files("#file", text)
        page.locator(".notice").wait_for()
        keep(page, "error")

        page = tab(server, **address, color_scheme="dark", locale="de-DE").open("spam")
        page.fill("#text-1", "You have won! Click here to claim your free prize now.")
        page.click("#send")
        page.locator("[data-code]").first.wait_for()
        keep(page, "dark")

        phone = {"width": 390, "height": 1400}  # all of it is on screen, or it is none for touch
        page = tab(
            server, viewport=phone, has_touch=True, is_mobile=True, device_scale_factor=1.5
        ).open("efficientnet-lite0")
        page.set_input_files("#file", CAT)
        page.locator("[data-code]").first.wait_for()
        keep(page, "phone", ".bars", full_page=False)


def test_a_conversation(tab: Tabs, built_repository: Path) -> None:
    settings = {"ZEROPOINT_MODELS": str(built_repository)}
    with Server(settings, port=8080) as server:
        one = tab(server, viewport={"width": 1180, "height": 820})
        page = one.open("smollm2-135m-instruct")
        page.click("#example")
        page.locator("[data-code]").first.wait_for()
        page.fill("#message", "What can I see there?")
        page.press("#message", "Enter")
        page.locator(".wait").wait_for()
        page.locator("[data-code]").first.wait_for()
        keep(page, "chat", "#work > .card")
