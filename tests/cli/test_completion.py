"""zeropoint completion: what the shell of a person completes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from servers import environment, zeropoint
from tiny_models import write_colour_model

_BIN = str(Path(sys.executable).parent)


def completed(home: Path, *words: str) -> list[str]:
    """Returns what bash offers for the last word, after the completion was installed."""
    place = home / ".local/share/bash-completion/completions/zeropoint"
    typed = " ".join(f"'{word}'" for word in words)
    script = f"""
source '{place}'
COMP_WORDS=({typed}) COMP_CWORD={len(words) - 1}
_zeropoint_completion zeropoint
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    settings = {"PATH": f"{_BIN}:{os.environ['PATH']}", "ZEROPOINT_MODELS": str(home / "models")}
    done = subprocess.run(
        ["bash", "-c", script],  # noqa: S607 - the machine's own
        env=environment(home, settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_verbs_options_and_models(tmp_path: Path) -> None:
    write_colour_model(tmp_path / "models")
    done = zeropoint(tmp_path, "completion", "bash", "--install")
    assert done.returncode == 0, done.stderr
    assert completed(tmp_path, "zeropoint", "se") == ["serve", "send", "settings"]
    assert completed(tmp_path, "zeropoint", "predict", "--dr") == ["--draw"]
    assert completed(tmp_path, "zeropoint", "predict", "--model", "col") == ["colour"]
    assert completed(tmp_path, "zeropoint", "predict", "--model", "other") == []
    assert completed(tmp_path, "zeropoint", "check", "c") == ["colour"]


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".local/share/bash-completion/completions/zeropoint"),
        ("zsh", ".local/share/zsh/site-functions/_zeropoint"),
        ("fish", ".config/fish/completions/zeropoint.fish"),
    ],
)
def test_it_is_written_to_where_the_shell_looks(tmp_path: Path, shell: str, place: str) -> None:
    printed = zeropoint(tmp_path, "completion", settings={"SHELL": f"/bin/{shell}"})
    assert printed.returncode == 0, printed.stderr
    done = zeropoint(tmp_path, "completion", shell, "--install")
    assert f"written to {tmp_path / place}" in done.stdout
    assert (tmp_path / place).read_text() == printed.stdout


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    done = zeropoint(tmp_path, "completion", settings={"SHELL": "/bin/tcsh"})
    assert done.returncode == 2
    assert "expected a SHELL of bash, zsh or fish, got 'tcsh'" in done.stderr
    (tmp_path / ".config").write_text("in the way")
    done = zeropoint(tmp_path, "completion", "fish", "--install")
    assert done.returncode == 1
    assert "expected a place to write to, got" in done.stderr
