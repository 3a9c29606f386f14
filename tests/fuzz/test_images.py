"""Real photos and odd files, damaged: each is decoded or refused, in bounded time and memory."""

import functools
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import corpora
from fuzz.budget import tries
from fuzz.damage import check_words, damaged
from zeropoint import images
from zeropoint.errors import ClientError

MAX_PIXELS = 1 << 20
MOST_BYTES = 96 << 20  # over what was there before: several copies of so many pixels of 16 bytes
MOST_S = 10.0  # of a machine that does something else too
LARGEST_FILE = 60_000
# What the formats are made of: markers, chunks, tags, and sizes that nothing has.
TOKENS = {
    ".jpg": [b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xff\xdd\0\4\0\1"],
    ".png": [b"IHDR", b"IDAT", b"IEND", b"acTL", b"fcTL", b"iCCP", b"zTXt", b"tRNS", b"eXIf"],
    ".gif": [b"GIF89a", b"\x21\xf9\4", b"\x21\xff\x0bNETSCAPE2.0", b"\x2c", b"\x3b"],
    ".webp": [b"RIFF", b"WEBP", b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"EXIF"],
    ".bmp": [b"BM", b"\x28\0\0\0", b"\x7c\0\0\0", b"\1\0\0\0", b"\2\0\0\0", b"\3\0\0\0"],
    ".tif": [b"II*\0", b"MM\0*", b"II+\0", b"\x11\1", b"\x17\1", b"\3\1", b"\x3d\1", b"\x53\1"],
}


@functools.cache
def seeds(suffix: str) -> list[bytes]:
    """Returns small real files of a format, those that nobody should have made among them."""
    paths: list[Path] = [*corpora.pillow_images(), *corpora.cifar_thumbnails()]
    found = [path.read_bytes() for path in paths if path.suffix == suffix]
    return sorted({data for data in found if len(data) <= LARGEST_FILE}, key=len)


def peak_bytes() -> int:
    """Returns the most memory that this process has held since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize("suffix", list(TOKENS))
@tries(60)
@given(st.data(), st.sampled_from([0, 64, 4000]))
def test_a_damaged_file_is_decoded_or_refused_in_bounds(
    suffix: str, data: st.DataObject, shorter_side: int
) -> None:
    assert len(seeds(suffix)) > 4
    file = data.draw(damaged(seeds(suffix), TOKENS[suffix], most=8))
    forget_peak()
    before_bytes, began_s = peak_bytes(), time.perf_counter()
    try:
        photo = images.photo(file, MAX_PIXELS, shorter_side)
    except ClientError as error:
        check_words(error)
    else:
        assert photo.image.mode == "RGB"
        assert 0 < photo.image.width * photo.image.height <= MAX_PIXELS
        photo.image.tobytes()  # all of it is there
    assert peak_bytes() - before_bytes < MOST_BYTES
    assert time.perf_counter() - began_s < MOST_S
