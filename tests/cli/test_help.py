"""The command's own words: groups, examples, and lines that fit."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from conftest import CAT
from servers import ROOT, environment, zeropoint
from tiny_models import write_colour_model
from zeropoint.cli import verbs
from zeropoint.settings import table

VERBS = verbs.group.list_commands(None)  # type: ignore[arg-type] # which it does not read


def test_the_verbs_are_in_groups(tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "--help", measured=False)
    assert done.returncode == 0
    listed = re.findall(r"^  ([a-z][a-z-]+)  +\S", done.stdout, re.M)
    assert sorted(listed) == sorted(VERBS)
    titles = re.findall(r"^([A-Z][a-z ]+):$", done.stdout, re.M)
    assert titles == ["Options", "Serve", "Predict here", "Models", "On a device", "This command"]


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_examples_and_fits_a_terminal(tmp_path: Path, verb: str) -> None:
    done = zeropoint(tmp_path, verb, "--help", measured=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\n  Examples:\n    zeropoint {verb}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout  # plain, as this is no terminal
    options = set(
        re.findall(r"--[a-z-]+", done.stdout.partition("Options:")[2].partition("Examples:")[0])
    )
    named = set(re.findall(r"(?<=\s)--[a-z-]+", done.stdout.partition("Examples:")[2]))
    assert named <= options


@pytest.mark.parametrize("verb", ["serve", "predict", "models"])
def test_what_is_misspelt_is_told(tmp_path: Path, verb: str) -> None:
    done = zeropoint(tmp_path, verb, "--no-such-option", measured=False)
    assert done.returncode == 2
    assert "No such option" in done.stderr
    assert f"Try 'zeropoint {verb}" in done.stderr


@pytest.mark.parametrize("verb", ["check", "tune", "predict"])
def test_a_repository_without_models_is_told(tmp_path: Path, verb: str) -> None:
    file = [str(CAT)] if verb == "predict" else []
    done = zeropoint(
        tmp_path, verb, *file, settings={"ZEROPOINT_MODELS": str(tmp_path)}, measured=False
    )
    assert done.returncode == 1
    assert f"expected a model in {tmp_path}, got none (ZEROPOINT_MODELS names" in done.stderr


@pytest.mark.parametrize("arguments", [("check", "none"), ("predict", str(CAT), "--model", "none")])
def test_a_model_that_there_is_not_is_told_with_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = zeropoint(tmp_path, *arguments, measured=False)
    assert done.returncode == 1
    assert "expected a model none, got none" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [("settings",), ("check",), ("models",), ("predict", str(CAT))]
)
def test_what_is_printed_fits_a_terminal_and_is_one_line_each_in_a_pipe(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    write_colour_model(tmp_path / "models", "a-model-whose-name-is-rather-long")
    models = {"ZEROPOINT_MODELS": str(tmp_path / "models")}
    columns = 64
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "zeropoint", *arguments]
    place = {"cwd": ROOT / "function", "env": environment(tmp_path, models)}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, **place) as process:  # type: ignore[call-overload]
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # which is how a terminal tells its end
            while data := os.read(ours, 1 << 16):
                shown += data
    os.close(ours)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")
    paths = (str(tmp_path), str(CAT))  # which may be of any length
    lines = [line for line in text.splitlines() if not any(path in line for path in paths)]
    assert max(map(len, lines)) <= columns
    piped = zeropoint(tmp_path, *arguments, settings=models, measured=False).stdout
    assert "\x1b" not in piped
    if arguments == ("settings",):
        assert piped.count("\n") == len(table())
        assert " ".join(text.split()) == " ".join(piped.split())


def test_a_verb_that_there_is_not(tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "serv", measured=False)
    assert done.returncode == 2
    assert "No such command 'serv'" in done.stderr
