"""zeropoint chat, typed in a terminal, in a pipe, and with a model that is served."""

import contextlib
import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from built_models import built
from servers import ROOT, Server, environment, free_port, zeropoint
from tiny_decoders import CONTEXT, write_decoder
from tiny_models import write_colour_model
from zeropoint import load

FRANCE = "What is the capital of France? Answer in one sentence."
PARIS = "The capital of France is Paris."
_LONGEST_S = 60.0
_KEY = "a-key-of-a-test-server"
_CTRL_C, _CTRL_D = "\x03", "\x04"
_STATUS = r"\d+ tokens?, the first one after [\d.]+ s(, [\d.]+ tokens/s)?"


class Terminal:
    """The command in a terminal of its own, with a person who types and reads.

    Args:
        home: The process's.
        arguments: Of the verb.
        settings: Variables.
    """

    def __init__(self, home: Path, *arguments: str, **settings: str) -> None:
        self._home = home
        self._command = [sys.executable, "-m", "zeropoint", "chat", *arguments]
        self._settings = settings
        self._shown = ""

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            self._command,
            cwd=ROOT / "function",
            env=environment(self._home, self._settings),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C is for it then
        )
        os.close(theirs)
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def type(self, text: str) -> None:
        """Presses keys."""
        os.write(self._ours, text.encode())

    def read(self, pattern: str) -> str:
        """Returns what is shown up to a pattern's end; raises TimeoutError."""
        until_s = time.monotonic() + _LONGEST_S
        while (found := re.search(pattern, self._shown, re.S)) is None:
            if not select.select([self._ours], [], [], max(0.0, until_s - time.monotonic()))[0]:
                raise TimeoutError(f"expected {pattern}, got {self._shown!r}")
            data = b""
            with contextlib.suppress(OSError):  # which is how a terminal tells its end
                data = os.read(self._ours, 1 << 16)
            if not data:
                raise TimeoutError(f"expected {pattern}, got {self._shown!r} and the end")
            plain = re.sub(r"\x1b\[[0-9;]*m", "", data.decode())
            self._shown += plain.replace("\r\n", "\n")
        shown, self._shown = self._shown[: found.end()], self._shown[found.end() :]
        return shown

    def end(self) -> int:
        """Reads until it ends; returns its exit status."""
        with contextlib.suppress(TimeoutError):
            self.read("(?!)")
        return self.process.wait(_LONGEST_S)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A repository with a tiny decoder and another model, which is the default one."""
    write_decoder(tmp_path / "models")
    write_colour_model(tmp_path / "models", "efficientnet-lite0")
    return tmp_path / "models"


@pytest.fixture
def url(tiny: Path) -> Iterator[str]:
    """Where the tiny decoder is served, to who has the key."""
    settings = {"ZEROPOINT_MODELS": str(tiny), "ZEROPOINT_API_KEY": _KEY}
    with Server(settings, measured=False) as running:
        yield running.url


def told(repository: Path, *said: str, **parameters: object) -> str:
    """Returns the tiny decoder's answer to a conversation, the first word of which is a user's."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": one} for n, one in enumerate(said)]
    model = load("tiny", models=str(repository))
    answer: str = model.predict({"messages": messages}, **parameters)["text"]
    return answer


def chat(
    home: Path, *arguments: str, said: str = "", **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Runs the command in a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "zeropoint", "chat", *arguments],
        cwd=ROOT / "function",
        env=environment(home, {"ZEROPOINT_MODELS": str(home / "models"), **settings}),
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_S,
    )


# With the real model


def test_a_conversation(tmp_path: Path) -> None:
    """The capital of France, a story that Ctrl-C ends, and a chat that goes on behind it."""
    repository = built("smollm2-135m-instruct").parent
    with Terminal(tmp_path, FRANCE, ZEROPOINT_MODELS=str(repository)) as terminal:
        assert re.fullmatch(rf"{PARIS}\n{_STATUS}\n> ", terminal.read(r"\n> "))
        terminal.type("Tell me a long story about a cat.\n")
        terminal.read("cat\\.\n.* .* .* ")  # some words of it
        terminal.type(_CTRL_C)
        rest = terminal.read(r"\n> ")
        assert "tokens" not in rest  # as a text that came to its end would have
        terminal.type("/new\n")
        terminal.read(r"> ")
        terminal.type(f"{FRANCE}\n")
        assert f"\n{PARIS}\n" in terminal.read(r"tokens/s\n> ")
        terminal.type(_CTRL_D)
        assert terminal.end() == 0


# In a terminal


@pytest.mark.parametrize("served", [False, True], ids=["here", "served"])
def test_what_was_said_is_a_part_of_the_next_answer(
    tmp_path: Path, tiny: Path, request: pytest.FixtureRequest, served: bool
) -> None:
    arguments, settings = [], {"ZEROPOINT_MODELS": str(tiny)}
    if served:
        arguments = ["--url", request.getfixturevalue("url"), "--model", "tiny"]
        settings = {"ZEROPOINT_API_KEY": _KEY}
    first = told(tiny, "it was")
    second = told(tiny, "it was", first, "a cat")
    assert second != told(tiny, "a cat")
    with Terminal(tmp_path, *arguments, **settings) as terminal:
        terminal.read("> ")
        for said, answer in (("it was", first), ("a cat", second)):
            terminal.type(f"{said}\n")
            assert re.fullmatch(
                rf"{said}\n{re.escape(answer)}\n{_STATUS}.*\n> ", terminal.read(r"\n> "), re.S
            )
        terminal.type("/new\n")
        terminal.read("> ")
        terminal.type("a cat\n")
        assert told(tiny, "a cat") in terminal.read(r"\n> ")
        terminal.type("/exit\n")
        assert terminal.end() == 0


def test_a_conversation_that_the_context_cannot_hold(tmp_path: Path, tiny: Path) -> None:
    with Terminal(tmp_path, "a cat", ZEROPOINT_MODELS=str(tiny)) as terminal:
        terminal.read("> ")
        terminal.type(f"{'b' * CONTEXT}\n")
        refusal = terminal.read(r"\n> ")
        assert f"expected a prompt of at most {CONTEXT - 1} tokens" in refusal
        assert "/new begins anew" in refusal
        terminal.type("a dog\n")  # what was refused is forgotten
        assert told(tiny, "a cat", told(tiny, "a cat"), "a dog") in terminal.read(r"\n> ")
        terminal.type(_CTRL_D)
        assert terminal.end() == 0


def test_an_answer_that_was_cut_short_is_told(tmp_path: Path, tiny: Path) -> None:
    with Terminal(tmp_path, "--max-tokens", "3", ZEROPOINT_MODELS=str(tiny)) as terminal:
        terminal.read("> ")
        terminal.type("a cat\n")
        shown = terminal.read(r"\n> ")
        assert told(tiny, "a cat", max_tokens=3) in shown
        assert "as many tokens as it may (--max-tokens)" in shown
        terminal.type(_CTRL_D)
        assert terminal.end() == 0


def test_a_message_of_several_lines_is_one(tmp_path: Path, tiny: Path) -> None:
    with Terminal(tmp_path, ZEROPOINT_MODELS=str(tiny)) as terminal:
        terminal.read("> ")
        terminal.type("a cat\\\n")
        terminal.read(r"\n\. ")
        terminal.type("a dog\n")
        assert told(tiny, "a cat\na dog") in terminal.read(r"\n> ")
        terminal.type(_CTRL_C)  # which ends nothing, as there is nothing to end
        terminal.read(r"\n> ")
        terminal.type("/help\n")
        assert "/exit" in terminal.read(r"\n> ")


# Without one


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("it was",), "what is not read"), (("it was", "--once"), ""), ((), "it was\n")],
)
def test_nothing_but_the_answer_is_printed(
    tmp_path: Path, tiny: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = chat(tmp_path, *arguments, said=said)
    assert (done.returncode, done.stdout, done.stderr) == (0, told(tiny, "it was") + "\n", "")


def test_options_are_parameters(tmp_path: Path, tiny: Path) -> None:
    arguments = ["--temperature", "1.5", "--seed", "3", "--top-p", "0.9", "--top-k", "9"]
    arguments += ["--repetition-penalty", "1.3", "--max-tokens", "20", "--stop", "q"]
    done = chat(tmp_path, "it was", "--system", "be a cat", *arguments)
    model = load("tiny", models=str(tiny))
    messages = [{"role": "system", "content": "be a cat"}, {"role": "user", "content": "it was"}]
    found = model.predict(
        {"messages": messages},
        temperature=1.5,
        seed=3,
        top_p=0.9,
        top_k=9,
        repetition_penalty=1.3,
        max_tokens=20,
        stop=["q"],
    )
    assert done.stdout == found["text"] + "\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "expected a MESSAGE, got none"),
        (("a", "--url", "ftp://here"), 2, "expected http://… or https://…"),
        (("a", "--temperature", "3"), 2, "3.0 is not in the range"),
        (("a", "--model", "efficientnet-lite0"), 2, "expected a model that writes text, got eff"),
        (("a", "--model", "none"), 1, "expected a model none, got none"),
        (("a" * CONTEXT,), 1, f"expected a prompt of at most {CONTEXT - 1} tokens"),
        (("a", "--max-tokens", str(CONTEXT)), 1, "expected max_tokens of at most"),
    ],
)
def test_what_cannot_be_answered_is_told(
    tmp_path: Path, tiny: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = chat(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr


def test_a_repository_without_a_model_that_writes_is_told(tmp_path: Path) -> None:
    write_colour_model(tmp_path / "models")
    done = chat(tmp_path, "a")
    assert (done.returncode, done.stdout) == (1, "")
    assert "expected a model that writes text in" in done.stderr


def test_refusals_of_a_server_are_told(tmp_path: Path, url: str) -> None:
    for arguments, key, said in [
        (("--model", "tiny"), "", "expected the function's key"),
        ((), _KEY, "a model that writes text"),
        (("--model", "tiny", "--max-tokens", str(CONTEXT)), _KEY, "expected max_tokens of at most"),
    ]:
        done = chat(tmp_path, "a cat", "--url", url, *arguments, ZEROPOINT_API_KEY=key)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
    nobody = f"http://127.0.0.1:{free_port()}"
    done = chat(tmp_path, "a cat", "--url", nobody)
    assert done.returncode == 1
    assert "is the function served there?" in done.stderr


def test_the_models_are_completed(tmp_path: Path, tiny: Path) -> None:
    settings = {
        "ZEROPOINT_MODELS": str(tiny),
        "_ZEROPOINT_COMPLETE": "bash_complete",
        "COMP_WORDS": "zeropoint chat --model t",
        "COMP_CWORD": "3",
    }
    done = zeropoint(tmp_path, settings=settings)
    assert done.stdout == "plain,tiny\n"
