"""Run in a network namespace of its own: what a bundle installed answers there.

    unshare --net python carried.py PREFIX

Prints JSON: the label of a photo as the body, in a form and over V2; what two activations by
systemd's protocol answered, and the exit status of each; and what was lost on the way.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests

from edge.caller import call
from offline import lost, raise_loopback
from servers import ROOT, Server, environment

_CAT = ROOT / "model_artifacts" / "efficientnet-lite0" / "check" / "cat.jpg"
_WAIT_S = 60
_PORT = 8080


def main() -> None:
    """Serves by the installed command, predicts and tells."""
    raise_loopback()
    command = (str(Path(sys.argv[1]) / "bin" / "zeropoint"), "serve")
    photo = _CAT.read_bytes()
    with Server(command=command, cwd=Path("/")) as server:
        server.wait_until_ready()
        url = f"{server.url}/predict"
        plain = requests.post(url, photo, headers={"content-type": "image/jpeg"}, timeout=_WAIT_S)
        form = requests.post(url, files={"a": photo, "b": photo}, timeout=_WAIT_S)
        model = f"{server.url}/v2/models/efficientnet-lite0"
        body, headers = _v2(photo)
        open_inference = requests.post(f"{model}/infer", body, headers=headers, timeout=_WAIT_S)
        metrics = requests.get(f"{server.url}/metrics", timeout=_WAIT_S)
    told = {
        "photo": [one["label"] for one in plain.json()["predictions"]],
        "form": [one["label"] for one in form.json()["predictions"]],
        "v2": [json.loads(one)["label"] for one in open_inference.json()["outputs"][0]["data"]],
        "activated": [activated(command, photo) for _ in range(2)],
        "metrics": "zeropoint_predictions_total" in metrics.text,
        "lost": lost(),
    }
    print(json.dumps(told))


def activated(command: tuple[str, ...], photo: bytes) -> list[object]:
    """Returns what the first request gets, and how the process ends that it started."""
    program = shutil.which("systemd-socket-activate")
    if program is None:
        return []
    with tempfile.TemporaryDirectory() as home:
        settings = environment(Path(home), {"ZEROPOINT_IDLE_EXIT_S": "0.5"}, measured=False)
        options = [f"--setenv={name}={value}" for name, value in settings.items()]
        with subprocess.Popen(
            [program, f"--listen=127.0.0.1:{_PORT}", *options, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            body: Any = call(_PORT, "/predict", "image/jpeg", photo)["body"]
            return [body["predictions"][0]["label"], process.wait(_WAIT_S)]


def _v2(photo: bytes) -> tuple[bytes, dict[str, str]]:
    """Returns the body and headers of a request with the photo as a binary tensor."""
    data = len(photo).to_bytes(4, "little") + photo
    size = {"binary_data_size": len(data)}
    tensor = {"name": "instances", "shape": [1], "datatype": "BYTES", "parameters": size}
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + data, {"inference-header-content-length": str(len(head))}


if __name__ == "__main__":
    main()
