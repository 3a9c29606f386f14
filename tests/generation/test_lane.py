"""Who writes when: parts of a prompt between the others' tokens, and rows that are filled again."""

import errno
import mmap
import threading
import time
from collections.abc import Sequence as Many
from pathlib import Path

import numpy as np
import pytest

import tiny_decoders
from tiny_decoders import write_decoder
from zeropoint import headroom, load
from zeropoint.errors import InsufficientMemoryError, OverloadedError
from zeropoint.generation import scheduler as scheduling
from zeropoint.generation.cache import SharedCache
from zeropoint.generation.layout import Scores, Tokens
from zeropoint.generation.sampling import Sampler
from zeropoint.generation.scheduler import Scheduler
from zeropoint.generation.sequence import Rules, Sequence
from zeropoint.session import Session
from zeropoint.settings import Settings
from zeropoint.tasks.text_generation import TextGeneration

_WAIT_S = 20.0


class Told(SharedCache):
    """A cache that keeps what was asked of it."""

    log: list[str]

    def read(self, row: int, tokens: Tokens, past: int, asked: Tokens | None = None) -> Scores:
        """Reads a part of a prompt."""
        self.log.append(f"read {row}")
        return super().read(row, tokens, past, np.empty(0, np.int64) if asked is None else asked)

    def step(self, tokens: Many[int], pasts: Many[int]) -> Scores:
        """Writes a token of each."""
        self.log.append(f"step {len(tokens)}")
        return super().step(tokens, pasts)


class Lanes:
    """A scheduler of one lane over a tiny decoder, and what its caches were asked."""

    def __init__(self, repository: Path, max_bytes: int = 1 << 26, max_batch: int = 4) -> None:
        folder = write_decoder(repository)
        model = load("tiny", models=str(repository), limits=Settings(cpus=1))
        assert isinstance(model.task, TextGeneration)
        self.task: TextGeneration = model.task
        self.log: list[str] = []
        layout = self.task.layout
        session = Session(folder / "model.onnx", 1)

        def make(capacity: int) -> Told:
            cache = Told(session, layout, capacity)
            cache.log = self.log
            return cache

        self.scheduler: Scheduler = Scheduler(
            make, layout.token_bytes, tiny_decoders.CONTEXT, 8, max_batch, 1, max_bytes
        )

    def sequence(self, prompt: str, max_tokens: int) -> Sequence:
        """Returns a text that nobody writes yet."""
        tokens = np.array(tiny_decoders.encode(prompt), np.int64)
        rules = Rules(max_tokens, frozenset(), Sampler())
        return Sequence(tokens, rules, self.task.vocabulary.decoder())

    def rest(self) -> None:
        """Waits until nothing is written."""
        until_s = time.monotonic() + _WAIT_S
        while self.scheduler.counts.texts:
            assert time.monotonic() < until_s
            time.sleep(0.002)


@pytest.fixture
def lanes(tmp_path: Path) -> Lanes:
    return Lanes(tmp_path)


def test_between_two_parts_of_a_prompt_the_others_get_a_token(lanes: Lanes) -> None:
    first = lanes.sequence("a", 1900)
    lanes.scheduler.submit(first)
    assert first.next() is not None
    lanes.log.clear()
    lanes.scheduler.submit(lanes.sequence("b" * 200, 100))
    lanes.rest()
    kinds = [one.partition(" ")[0] for one in lanes.log]
    assert kinds.count("read") == 25
    assert "read read" not in " ".join(kinds)


def test_prompts_are_read_by_turns(lanes: Lanes) -> None:
    for letter in "ab":
        lanes.scheduler.submit(lanes.sequence(letter * 304, 4))
    lanes.rest()
    reads = [one for one in lanes.log if one.startswith("read")]
    assert reads.count("read 0") == reads.count("read 1") == 38
    begun = reads.index("read 1")
    assert reads[begun : begun + 40] == ["read 1", "read 0"] * 20


def test_texts_of_one_size_share_a_pass_and_free_rows_are_filled(lanes: Lanes) -> None:
    texts = [lanes.sequence("hello", count) for count in (200, 8, 150, 30, 90, 12)]
    for text in texts:
        lanes.scheduler.submit(text)
    lanes.rest()
    assert "step 4" in lanes.log
    assert lanes.log[-1] == "step 1"
    for text in texts:
        pieces = []
        while (piece := text.next()) is not None:
            pieces.append(piece)
        assert "".join(pieces).startswith(tiny_decoders.written("hello", text.completion_tokens))


def test_memory_is_given_back(tmp_path: Path) -> None:
    size = 2 * tiny_decoders.LAYERS * tiny_decoders.HEADS * tiny_decoders.SIZE * 4
    lanes = Lanes(tmp_path, max_bytes=2 * 2000 * size)
    for _ in range(20):
        texts = [lanes.sequence("hello", 1900) for _ in range(2)]
        for text in texts:
            lanes.scheduler.submit(text)
        with pytest.raises(OverloadedError):
            lanes.scheduler.submit(lanes.sequence("hello", 4))
        for text in texts:
            text.close()
        lanes.rest()


def test_what_the_process_has_no_memory_for_is_refused(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = lanes.sequence("a", 1900)
    lanes.scheduler.submit(running)
    assert running.next() is not None
    monkeypatch.setattr(headroom, "left", lambda: 0)
    monkeypatch.setattr(headroom, "_SMALL_BYTES", 0)
    with pytest.raises(OverloadedError):  # which ends
        lanes.scheduler.submit(lanes.sequence("b", 8))
    running.close()
    lanes.rest()
    with pytest.raises(InsufficientMemoryError):  # which does not
        lanes.scheduler.submit(lanes.sequence("b", 8))


def test_memory_that_the_system_does_not_give_is_a_refusal(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: int) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    running, text = (lanes.sequence(prompt, 1900) for prompt in ("hello", "a"))
    lanes.scheduler.submit(running)
    assert running.next() is not None
    monkeypatch.setattr(mmap, "mmap", none)
    lanes.scheduler.submit(text)
    with pytest.raises(InsufficientMemoryError):
        text.next()
    lanes.rest()
    assert running.finish_reason == "length"  # what was being written is not dropped for it


def test_where_there_is_no_thread_a_text_is_refused_and_holds_nothing(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none)
        with pytest.raises(OverloadedError):
            lanes.scheduler.submit(lanes.sequence("a", 8))
    assert headroom._promised == 0
    text = lanes.sequence("a", 8)
    lanes.scheduler.submit(text)
    assert text.next() is not None
    lanes.rest()


def test_what_nobody_foresaw_leaves_nobody_waiting(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: int) -> None:
        raise ZeroDivisionError

    texts = [lanes.sequence("a", count) for count in (1600, 1900)]  # of one size
    with monkeypatch.context() as patched:
        patched.setattr(Told, "move", broken)
        for text in texts:
            lanes.scheduler.submit(text)
        with pytest.raises(ZeroDivisionError):
            list(iter(texts[1].next, None))
    lanes.rest()
    lanes.scheduler.submit(again := lanes.sequence("a", 8))
    assert again.next() is not None
    lanes.rest()


@pytest.mark.parametrize(
    ("tokens", "capacity"),
    [(1, 256), (256, 256), (257, 384), (385, 512), (513, 768), (769, 1024), (1025, 1500)],
)
def test_a_rows_memory_is_of_few_sizes(tokens: int, capacity: int) -> None:
    assert scheduling._rounded(tokens, 1500) == capacity
