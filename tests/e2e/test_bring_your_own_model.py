"""The guide's commands, from a newcomer's .onnx file to the answer, in a folder of their own."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from servers import ROOT, Server, free_port

GUIDE = ROOT / "docs" / "guides" / "bring-your-own-model.md"
NEWCOMERS = ROOT / "tests" / "newcomers"
BIN = Path(sys.executable).parent
SERVE = "zeropoint serve &"

pytestmark = pytest.mark.skipif(
    None in (shutil.which("sed"), shutil.which("curl")), reason="there is no sed or curl"
)


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Yields each command of the guide's blocks, and what it says that it prints."""
    blocks = re.findall(r"^```newcomer\n(.*?)^```", text, re.M | re.S)
    yield from re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.M)


def test_the_guide_leads_from_file_to_answer(tmp_path: Path) -> None:
    for path in NEWCOMERS.iterdir():
        if path.suffix in (".onnx", ".png", ".txt"):
            shutil.copy(path, tmp_path)
    env = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    port = free_port()
    done_commands = []
    with ExitStack() as stack:
        for command, printed in steps(GUIDE.read_text()):
            done_commands.append(command)
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                env[name] = value
                continue
            if command == SERVE:
                stack.close()  # as a person would, who starts it again
                serve = (str(BIN / "zeropoint"), "serve")
                stack.enter_context(Server(env, serve, cwd=tmp_path, port=port))
                continue
            done = subprocess.run(  # noqa: S602 - the guide's own text
                command.replace("localhost:8080", f"localhost:{port}"),
                shell=True,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                env=env,
                timeout=60,
            )
            assert done.returncode == printed.startswith("FAIL"), done.stdout + done.stderr
            pattern = ".*".join(re.escape(part) for part in printed.strip().split("…"))
            assert re.fullmatch(pattern, done.stdout.strip(), re.S), f"{command}\n{done.stdout}"
    assert SERVE in done_commands
    assert not [path for path in (tmp_path / "models").iterdir() if path.name.startswith(".")]


def calls(code: str) -> set[str]:
    """Returns every call in a piece of Python, each written in one way."""
    return {ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)}


def test_the_code_of_the_guide_is_what_made_the_models() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S)
    shown = {one for one in calls("".join(blocks)) if not one.startswith(("Path(", "converted."))}
    assert len(blocks) == 3
    assert shown <= calls((NEWCOMERS / "build.py").read_text())
