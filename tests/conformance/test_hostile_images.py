"""Cases 26, 27 and 28: pictures that are huge, of another kind, or broken."""

import base64
import json
import time

import pytest

import corpora
from conformance import wire
from conformance.resources import MIB, Growth
from conformance.wire import JSON, PHOTO, PHOTO_MODEL, Answer, call, photo_is_answered, refused
from servers import Server
from test_images import FORMATS, bombs, chelsea, saved
from tiny_models import picture

PATH = f"/predict/{PHOTO_MODEL}"
MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream", "image/x-none")
# Of Pillow's own corpus: made to harm, or broken on purpose.
HARMFUL = ("crash", "timeout", "oom", "decompression_bomb", "bad", "broken", "truncated", "invalid")


def send(server: Server, data: bytes, media_type: str = "image/jpeg") -> Answer:
    """Sends a file as a body."""
    return call(server, "POST", PATH, data, {"content-type": media_type})


def ways(data: bytes, name: str = "cat.jpg") -> list[tuple[str, bytes, dict[str, str]]]:
    """Returns the requests by which a file can come in, each of which calls it a photo."""
    text = base64.b64encode(data).decode()
    entry = {"name": "instances", "datatype": "BYTES", "shape": [1], "data": [text]}
    form = (
        f'--b\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode()
    query = {"calls": [[text]], "userDefinedContext": {"model": PHOTO_MODEL}}
    return [
        *((PATH, data, {"content-type": kind}) for kind in MEDIA_TYPES),
        (PATH, form + data + b"\r\n--b--\r\n", {"content-type": "multipart/form-data; boundary=b"}),
        (PATH, json.dumps({"instances": [{"b64": text}]}).encode(), JSON),
        (PATH, json.dumps({"instances": [text]}).encode(), JSON),
        ("/bigquery", json.dumps(query).encode(), JSON),
        (f"/v2/models/{PHOTO_MODEL}/infer", json.dumps({"inputs": [entry]}).encode(), JSON),
    ]


def test_26_a_pixel_bomb_is_refused_before_it_is_decoded(server: Server) -> None:
    found = bombs()
    assert len(found["png"]) < 200_000  # 13,000 by 13,000 pixels
    for name, data in found.items():
        for path, body, headers in ways(data):
            growth = Growth(server)
            began_s = time.monotonic()
            message = refused(call(server, "POST", path, body, headers), path, 413)
            assert time.monotonic() - began_s < 2.0, name
            assert growth.most_bytes < 16 * MIB, name
            assert "pixels" in message, name


def test_26_many_at_once_are_too(server: Server) -> None:
    bomb = base64.b64encode(bombs()["png"]).decode()
    photo = base64.b64encode(PHOTO).decode()
    growth = Growth(server)
    body = json.dumps({"instances": [photo, *[bomb] * 50]}).encode()
    message = refused(call(server, "POST", PATH, body, JSON), PATH, 413)
    assert message.startswith("instance 2 of 51: ")
    assert growth.most_bytes < 64 * MIB


@pytest.mark.parametrize("format_", ["AVIF", "ICO", "PDF", "JPEG2000", "PPM", "TGA", "EPS", "SGI"])
def test_27_another_format_is_refused_whatever_its_name(server: Server, format_: str) -> None:
    data = saved(chelsea(), format_)
    for name in ("cat.jpg", "cat.png", f"cat.{format_.lower()}", "../../cat.jpg\0.png"):
        for path, body, headers in ways(data, name):
            message = refused(call(server, "POST", path, body, headers), path, 415)
            assert "expected a JPEG, PNG, WebP, GIF, BMP or TIFF image" in message


@pytest.mark.parametrize(
    "data", [b"<svg/>", b"MZ\x90", b"\x7fELF", b"#!/bin/sh\n", b"PK\3\4", b"{}"]
)
def test_27_what_is_no_picture_is_refused_whatever_its_name(server: Server, data: bytes) -> None:
    for path, body, headers in ways(data):
        refused(call(server, "POST", path, body, headers), path, 415)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("format_", FORMATS)
def test_28_a_picture_cut_short_is_400(server: Server, format_: str, kept: float) -> None:
    data = saved(chelsea(), format_)
    assert send(server, data).status == 200
    message = refused(send(server, data[: int(len(data) * kept)]), PATH, 400)
    assert "damaged or cut short" in message


def test_28_every_hostile_picture_is_refused_or_answered(server: Server) -> None:
    """Pillow's own corpus of odd, broken and hostile files; in the short form a fourth of it."""
    files = corpora.pillow_images()
    assert len(files) > 700
    files = files if wire.FULL else files[::4]
    refusals, harmless = 0, []
    before = len(server.stderr().splitlines())
    for path in files:
        data = path.read_bytes()
        if not data:
            continue
        answer = send(server, data)
        if answer.status == 200:
            (prediction,) = answer.json()["predictions"]
            assert 0.0 < prediction["probability"] <= 1.0
            harmless.append(path.name)
        else:
            refused(answer, PATH)
            refusals += 1
    photo_is_answered(server)
    assert refusals > len(files) / 4
    told = server.stderr().splitlines()[before:]
    assert [line for line in told if not line.startswith(wire.LIBTIFF)] == []
    # Those that were made to harm, and are pictures all the same.
    assert len([name for name in harmless if name.startswith(HARMFUL)]) < 20


def test_28_hostile_pictures_at_once_are_refused_one_by_one(server: Server) -> None:
    broken = saved(chelsea(), "PNG")[:1000]
    photos = [picture("red"), broken, picture("blue")]
    texts = [base64.b64encode(one).decode() for one in photos]
    answer = call(server, "POST", "/predict", json.dumps({"instances": texts}).encode(), JSON)
    assert refused(answer, "/predict", 400).startswith("instance 2 of 3: ")
