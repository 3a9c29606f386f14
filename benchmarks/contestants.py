"""Who is compared: Zeropoint, the floor and the peers, and how each is started and asked."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from load import request

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "benchmarks"
ARTIFACT = ROOT / "model_artifacts" / "efficientnet-lite0"
PHOTO = ARTIFACT / "check" / "cat.jpg"  # 451 x 300
PORT = 8621
# ImageNet's tiger cat and Egyptian cat: the photo's cat has something of both.
RIGHT = re.compile(
    rb'"label": ?"(tiger|Egyptian) cat"|"index": ?28[25]\b|"data": ?\[28[25]\]|^28[25]\n'
)
_PEERS = ("functions_framework", "mosec", "mlserver", "litserve", "bentoml")
_INSTALL_S = 900
_BOUNDARY = "a-photo"


class Contestant(NamedTuple):
    """A program that answers photos.

    Attributes:
        name: In the tables.
        command: It and its arguments.
        environment: Beside the path and a home.
        message: The HTTP request that asks for the photo's label; empty: no server, but
            `bare_process.py`.
        folders: What it reads as it starts.
    """

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    message: bytes
    folders: Sequence[Path]


def zeropoint(name: str, repository: Path) -> Contestant:
    """Returns Zeropoint with a repository that has the model."""
    python = Path(sys.executable)
    command = [str(python.with_name("zeropoint")), "serve", "--host", "127.0.0.1"]
    return Contestant(
        name,
        [*command, "--port", str(PORT)],
        {"ZEROPOINT_MODELS": str(repository), "ZEROPOINT_MODEL": ARTIFACT.name},
        request("/predict", PHOTO.read_bytes(), "image/jpeg"),
        (ROOT / "function", _packages(python), repository),
    )


def bare(name: str, model: Path) -> Contestant:
    """Returns a bare process with a model."""
    python = Path(sys.executable)
    command = [str(python), str(HERE / "bare_process.py"), str(PHOTO)]
    return Contestant(name, command, _model(model), b"", (_packages(python), model.parent))


def peers(cache: Path) -> list[Contestant]:
    """Returns the peers, each with the command and the request of its own guide.

    Args:
        cache: Where their virtual environments are, or are installed from PyPI.
    """
    found = []
    for name in _PEERS:
        folder = HERE / "peers" / name
        python = _installed(folder / "requirements.in", cache)
        command, message, environment = _PLAIN[name]
        program = [str(python.with_name(command[0])), *command[1:]]
        source = {"PYTHONPATH": f"{HERE}{os.pathsep}{folder}", "PORT": str(PORT)}
        found.append(
            Contestant(
                version(name),
                [part.replace("FOLDER", str(folder)) for part in program],
                {**_model(ARTIFACT / "model.onnx"), **source, **environment},
                message,
                (_packages(python), ARTIFACT, folder),
            )
        )
    return found


def version(name: str) -> str:
    """Returns a peer's name and the version that is compared."""
    first = (HERE / "peers" / name / "requirements.in").read_text("utf-8").split()[0]
    return first.replace("==", " ")


def without_variants(repository: Path, artifact: Path = ARTIFACT) -> Path:
    """Copies a model into a repository, its manifest without the quicker file; returns that."""
    place = repository / artifact.name
    shutil.copytree(artifact, place, ignore=shutil.ignore_patterns("recipe", "report", "variants"))
    manifest = place / "model.toml"
    text = manifest.read_text("utf-8")
    tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    kept = [one for one in tables if not one.startswith(("[[variant]]", "[gate]"))]
    manifest.write_text("".join(kept), "utf-8")
    return repository


def cache_folder() -> Path:
    """Returns the folder outside the source tree for the peers' virtual environments."""
    if own := os.environ.get("ZEROPOINT_TEST_CACHE"):
        return Path(own).absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "zeropoint-tests"


def _installed(requirements: Path, cache: Path) -> Path:
    """Returns an interpreter that has a peer, and installs it if there is none."""
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / f"peer-{requirements.parent.name}-{key}"
    python = folder / "bin" / "python"
    done = folder / "done"  # written last
    if not done.exists():
        print(f"installing {requirements.parent.name}", file=sys.stderr, flush=True)
        venv = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)]
        subprocess.run(venv, check=True)  # noqa: S603 - this interpreter
        command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        command += ["--disable-pip-version-check", "--no-input", f"--requirement={requirements}"]
        subprocess.run(command, check=True, timeout=_INSTALL_S)  # noqa: S603 - as above
        done.touch()
    return python


def _packages(python: Path) -> Path:
    return python.parents[1] / "lib"


def _model(path: Path) -> dict[str, str]:
    return {"MODEL": str(path)}


def _form() -> bytes:
    """Returns a form with the photo as its file."""
    head = (
        f"--{_BOUNDARY}\r\ncontent-disposition: form-data; name=image; filename=cat.jpg\r\n"
        "content-type: image/jpeg\r\n\r\n"
    )
    return head.encode() + PHOTO.read_bytes() + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _v2() -> bytes:
    """Returns the Open Inference Protocol's request with the photo in base64."""
    data = base64.b64encode(PHOTO.read_bytes()).decode()
    photo = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"content_type": "base64"},
        "data": [data],
    }
    return json.dumps({"inputs": [photo]}).encode()


_MULTIPART = f"multipart/form-data; boundary={_BOUNDARY}"
_LISTEN = ["--host", "127.0.0.1", "--port", str(PORT)]
_PLAIN: dict[str, tuple[list[str], bytes, dict[str, str]]] = {
    "functions_framework": (
        ["functions-framework", "--source", "FOLDER/main.py", "--target", "classify", *_LISTEN],
        request("/", PHOTO.read_bytes(), "image/jpeg"),
        {},
    ),
    "mosec": (
        ["python", "FOLDER/service.py", "--address", "127.0.0.1", "--port", str(PORT)],
        request("/inference", PHOTO.read_bytes(), "image/jpeg"),
        {},
    ),
    "mlserver": (
        ["mlserver", "start", "FOLDER"],
        request("/v2/models/classify/infer", _v2(), "application/json"),
        {
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_PARALLEL_WORKERS": "0",  # in one process: the lighter of its ways
            "MLSERVER_HTTP_PORT": str(PORT),
            "MLSERVER_GRPC_PORT": str(PORT + 1),
            "MLSERVER_METRICS_PORT": str(PORT + 2),
        },
    ),
    "litserve": (["python", "FOLDER/service.py"], request("/predict", _form(), _MULTIPART), {}),
    "bentoml": (
        ["bentoml", "serve", "service:Classify", "--working-dir", "FOLDER", *_LISTEN],
        request("/classify", _form(), _MULTIPART),
        {"BENTOML_DO_NOT_TRACK": "True"},
    ),
}
