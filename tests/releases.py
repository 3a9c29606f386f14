"""Releases of the tiny model ``colour`` that tell by their labels which one they are."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import ROOT, environment
from tiny_models import COLOUR_TOML, LABELS, picture, sha256, write_colour_model
from zeropoint import loader
from zeropoint.artifact import LocalRepository
from zeropoint.instances import Blob
from zeropoint.settings import Settings

# Runs `zeropoint models` once a line, each in a process of its own that has its imports done. It
# ends at the given step of those that change the disk or have it settle, and notes them all.
_RUNNER = """
import json, os, sys
from pathlib import Path
import zeropoint.images, zeropoint.session, zeropoint.tasks.image_classification
import zeropoint.versions.source
from zeropoint.cli.models import command
from zeropoint.errors import ZeropointError

CHANGES = {"os.mkdir": "mkdir", "os.remove": "remove", "os.rmdir": "rmdir"}
WRITES = os.O_CREAT | os.O_WRONLY | os.O_RDWR | os.O_TRUNC
steps, stop, root, settle = [], 0, "", os.fsync

def note(what, path, other=""):
    if path.startswith(root):
        if stop and len(steps) + 1 == stop:
            os._exit(9)
        steps.append([what, os.path.relpath(path, root), other])

def absolute(path, folder=-1):
    base = os.getcwd() if folder < 0 else os.readlink(f"/proc/self/fd/{folder}")
    return os.path.join(base, os.fspath(path))

def heard(event, arguments):
    if event in CHANGES:
        note(CHANGES[event], absolute(arguments[0], arguments[-1]))
    elif event == "os.rename":
        note("rename", absolute(arguments[0]), os.path.relpath(absolute(arguments[1]), root))
    elif event == "os.symlink":
        note("symlink", absolute(arguments[1]), arguments[0])
    elif event == "open" and arguments[2] & WRITES and not isinstance(arguments[0], int):
        note("create", absolute(arguments[0]))

def fsync(opened):
    path = os.readlink(f"/proc/self/fd/{opened}")
    data = "" if os.path.isdir(path) else Path(path).read_bytes().hex()
    note("fsync", path, data)
    settle(opened)

print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.environ["ZEROPOINT_MODELS"] = root = asked["models"]
        stop, status = asked["stop"], 0
        os.fsync = fsync
        sys.addaudithook(heard)
        try:
            command(asked["arguments"], standalone_mode=False)
        except ZeropointError as error:
            print(error, file=sys.stderr)
            status = 1
        root = "nowhere"
        print(json.dumps([status, steps]), file=open(asked["to"], "w"), flush=True)
        os._exit(status)
    print(pid, flush=True)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    print("ended", flush=True)
    sys.stdin.readline()  # until the test is done with the id, it stays the process's
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def write_release(repository: Path, version: str) -> Path:
    """Writes the artifact ``colour`` of a version, which its labels tell; returns its folder."""
    toml = COLOUR_TOML.replace('version = "1"', f'version = "{version}"')
    folder = write_colour_model(
        repository, toml=toml.replace('label = "red"', f'label = "red-{version}"')
    )
    labels, manifest = folder / "labels.txt", folder / "model.toml"
    before = sha256(labels)
    labels.write_text("".join(f"{label}-{version}\n" for label in LABELS))
    manifest.write_text(manifest.read_text().replace(before, sha256(labels)))
    return folder


def version_of(models: Path) -> str:
    """Loads ``colour`` anew, asks it, and returns its version if all is of this one."""
    model = loader.load(LocalRepository(models), "colour", Settings(cpus=1))
    told = model.answer([Blob(picture(label)) for label in LABELS]).predictions
    version = model.manifest.version
    assert [one["label"] for one in told] == [f"{label}-{version}" for label in LABELS]
    return version


def kept(models: Path) -> dict[str, bytes | str]:
    """Returns all that is below a folder: bytes of files, targets of links."""
    found: dict[str, bytes | str] = {}
    for path in sorted(models.rglob("*")):
        below = str(path.relative_to(models))
        if path.is_symlink():
            found[below] = str(path.readlink())
        else:
            found[below] = path.read_bytes() if path.is_file() else "folder"
    return found


class Runner:
    """Runs ``zeropoint models``, again and again, without waiting for imports each time."""

    def __init__(self, process: "subprocess.Popen[str]", to: Path) -> None:
        self._process = process
        self._to = to

    def start(self, models: Path, arguments: Sequence[str], stop: int = 0) -> int:
        """Starts the command and returns its process's id, which stays so until `end`.

        Args:
            models: The repository.
            arguments: Of ``zeropoint models``.
            stop: Before which of its steps it ends; 0: before none.
        """
        asked = {"models": str(models), "arguments": [*arguments], "stop": stop}
        self._to.unlink(missing_ok=True)
        self._say(json.dumps({**asked, "to": str(self._to)}))
        return int(self._heard())

    def end(self) -> int:
        """Waits for the command's end and returns its status, as `os.waitpid` does."""
        assert self._heard() == "ended"
        self._say("")
        return int(self._heard())

    def run(self, models: Path, *arguments: str, stop: int = 0) -> list[tuple[str, str, str]]:
        """Runs the command and returns its steps, their paths below the repository's.

        None if it was stopped.
        """
        self.start(models, arguments, stop)
        self.end()
        if not self._to.exists():
            return []
        status, steps = json.loads(self._to.read_text())
        assert status == 0
        return [(what, path, other) for what, path, other in steps]

    def _say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _heard(self) -> str:
        assert self._process.stdout
        while line := self._process.stdout.readline().strip():
            if line.isdigit() or line in ("ready", "ended"):  # else the command's own
                return line
        raise EOFError


@contextmanager
def running(folder: Path, **variables: Any) -> Iterator[Runner]:
    """Gives a runner with a home and files of its own in a folder."""
    folder.mkdir()
    variables["PYTHONPATH"] = str(ROOT / "function")
    with subprocess.Popen(
        [sys.executable, "-c", _RUNNER],
        env=environment(folder, variables, measured=False),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        runner = Runner(process, folder / "steps.json")
        try:
            assert runner._heard() == "ready"
            yield runner
        finally:
            process.kill()
