"""A cloud for the scripts of deploy/: a fake one on PATH, and a revision that answers over HTTP."""

import json
import os
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from servers import ROOT, environment

DEPLOY = ROOT / "deploy"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIGEST = f"sha256:{'d' * 64}"
IMAGE = "europe-west1-docker.pkg.dev/p/zeropoint/zeropoint"
TAG = "c-0123456"
MODEL = tomllib.loads((ROOT / "model_artifacts/efficientnet-lite0/model.toml").read_text())
_FAKE = Path(__file__).with_name("fake_cloud.py")
_PYTHON = Path(sys.executable).parent
SETTINGS = {
    "PROJECT": "p",
    "REGION": "europe-west1",
    "SERVICE": "zeropoint",
    "IMAGE": IMAGE,
    "COMMIT": COMMIT,
    "DIGEST": DIGEST,
    # Nobody has to be waited for.
    "BAKE_S": "0",
    "PAUSE_S": "0",
    "ROLLBACK_PAUSE_S": "0",
    "SMOKE_S": "0",
    "LOG_S": "0",
    "PROVENANCE_S": "0",
    "BUILD_S": "0",
}


class Cloud:
    """A fake cloud with one service, whose revision ``zeropoint-1`` has all traffic.

    Args:
        folder: Where it lives.
        url: Where a new revision answers.
        programs: Which programs it plays, beside gcloud.
    """

    def __init__(self, folder: Path, url: str = "", programs: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self._bin = folder / "bin"
        self._bin.mkdir()
        for name in ("gcloud", *programs):
            program = self._bin / name
            program.write_text(f"#!{sys.executable} -IS\n{_FAKE.read_text()}")
            program.chmod(0o755)
        self.set(
            traffic=[{"revision": "zeropoint-1", "percent": 100}],
            revisions={"zeropoint-1": "hello"},
            url="https://zeropoint.example",
            tag_url=url,
            jobs={},
            requests=["200,0.05s"] * 3,
            person=False,
            plan={},
            calls=[],
            history=[],
            # Vertex AI
            deployed={"42": "the old one"},
            split={"42": "100"},
            models=[],
            label="tiger cat",
            # Builds
            builds={
                "b1": {
                    "value(status)": "SUCCESS",
                    "value(results.images[0].name)": f"{IMAGE}:{COMMIT}",
                    "value(results.images[0].digest)": DIGEST,
                }
            },
            scan="projects/p/locations/europe/scans/s",
            vulnerabilities=[],
            provenance={"provenance_summary": {"provenance": [{"envelope": {}}]}},
            sbom='{"bomFormat": "CycloneDX"}',
            verified={"predicate": {"materials": [{"digest": {"sha1": COMMIT}}]}},
        )

    @property
    def state(self) -> dict[str, Any]:
        """What the cloud is now."""
        file = self.folder / "state.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def set(self, **values: Any) -> None:
        """Changes the cloud, or what it does at which call."""
        (self.folder / "state.json").write_text(json.dumps({**self.state, **values}))

    @property
    def serving(self) -> dict[str, int]:
        """Who answers callers."""
        found: dict[str, int] = {}
        for target in self.state["traffic"]:
            if target.get("percent"):
                name = target["revision"]
                found[name] = found.get(name, 0) + target["percent"]
        return found

    @property
    def tags(self) -> dict[str, str]:
        """The tags, and their revisions."""
        traffic = self.state["traffic"]
        return {target["tag"]: target["revision"] for target in traffic if "tag" in target}

    @property
    def calls(self) -> list[str]:
        """The calls so far, in brief."""
        return [brief(call) for call in self.state["calls"]]

    def start(
        self, script: str, settings: Mapping[str, str] | None = None, folder: Path = DEPLOY
    ) -> "subprocess.Popen[str]":
        """Starts a script; its process id is known to the cloud."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        env = {
            **environment(home),
            **SETTINGS,
            "PATH": os.pathsep.join([str(self._bin), str(_PYTHON), os.environ["PATH"]]),
            "FAKE_CLOUD": str(self.folder),
            "STATE": str(self.folder / "state"),
            **(settings or {}),
        }
        return subprocess.Popen(
            ["/bin/bash", "-c", 'echo $$ >"$FAKE_CLOUD/pid"; exec "$0"', str(folder / script)],
            cwd=self.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_default_signals,
        )

    def run(
        self, script: str, settings: Mapping[str, str] | None = None, folder: Path = DEPLOY
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a script to its end; what it writes is in ``stdout``."""
        with self.start(script, settings, folder) as process:
            try:
                said, _ = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(script, process.returncode, said, "")


def _default_signals() -> None:
    # A shell cannot trap a signal that was ignored when it began.
    for one in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_DFL)


def brief(call: list[str]) -> str:
    """Returns a recorded call without what is the same everywhere."""
    told = ("--to-revisions=", "--update-tags=", "--remove-tags=", "--no-traffic", "--tag=")
    words = [word for word in call[:6] if not word.startswith("-")]
    flags = [word for word in call if word.startswith((*told, "--traffic-split="))]
    return " ".join([*words, *flags])


class Revision(ThreadingHTTPServer):
    """Answers as a revision does; the first part of the path says how it errs, if it does.

    ``/ok`` does not; ``/commit``, ``/digest`` and ``/label`` are of another build or model;
    ``/error`` fails to predict; ``/cold`` is not ready at first; ``/later-…`` errs after a first
    good round.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.counts: dict[str, int] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Revision

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer()

    def _answer(self) -> None:
        _, key, route = self.path.split("/", 2)
        with self.server.lock:
            count = self.server.counts[key] = self.server.counts.get(key, 0) + 1
        errs = key.split(".")[0]  # the rest only tells tests apart
        if errs.startswith("later-"):
            errs = errs.removeprefix("later-") if count > 3 else "ok"
        digest = f"sha256:{'0' * 64 if errs == 'digest' else MODEL['file']['sha256']}"
        status = 200
        match route:
            case "readyz":
                status = 503 if errs == "cold" and count < 3 else 200
                body: dict[str, Any] = {"ready": True, "digest": digest}
            case "predict":
                status = 500 if errs == "error" else 200
                label = "tabby" if errs == "label" else "tiger cat"
                body = {"predictions": [{"label": label}], "digest": digest}
            case _:
                body = {"commit": "another" if errs == "commit" else COMMIT}
        if self.headers["authorization"] != "Bearer token":
            status = 403
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass
