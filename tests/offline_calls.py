"""Run in a network namespace of its own: has all that the function does, traced for its calls.

    unshare --net python offline_calls.py FOLDER

Each program's network calls, those of native code too, are in a file of FOLDER/calls by its name.
Then a server whose results and log are to go to Google Cloud is untraced, as it does ask.
Prints JSON: what the programs said.
"""

import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from faults.calls import acknowledged, predict, push
from offline import raise_loopback
from servers import ROOT, SERVE, Server, environment
from tiny_models import picture, write_colour_model

_CALLS = "socket,connect,sendto,sendmsg,sendmmsg"
_ENDED_S = 30.0
# Apache Beam has an environment of its own.
_EVERYTHING = """
import importlib, pkgutil, zeropoint
names = [module.name for module in pkgutil.walk_packages(zeropoint.__path__, "zeropoint.")]
names = [name for name in names if name not in ("zeropoint.__main__", "zeropoint.batch.beam")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
# To show that what these tests look for would be seen.
_ELSEWHERE = """
import contextlib, socket
with contextlib.suppress(OSError):
    socket.getaddrinfo("example.com", 443)
with contextlib.suppress(OSError):
    socket.create_connection(("192.0.2.1", 443), 1)
"""


def traced(to: Path, command: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a command that is the same process, its calls written to a file by a tracer."""
    tracer = (shutil.which("strace") or "strace", "-DD", "-f", "--seccomp-bpf")
    return (*tracer, "-e", f"trace={_CALLS}", "-o", str(to), *command)


def wait_until_ended(trace: Path, process: int) -> None:
    """Waits until a tracer has written all; it ends after what it traces."""
    until_s = time.monotonic() + _ENDED_S
    while not any(
        line.startswith(f"{process} ") and "+++ " in line for line in trace.read_text().splitlines()
    ):
        if time.monotonic() > until_s:
            raise TimeoutError(f"no end in {trace} within {_ENDED_S} s")
        time.sleep(0.02)


def run(folder: Path, name: str, *command: str, **settings: str) -> str:
    """Runs a program to its end, traced, and returns what it printed."""
    trace = folder / name
    process = subprocess.Popen(
        traced(trace, command),
        cwd=ROOT,
        env=environment(folder, {"PYTHONPATH": str(ROOT / "function"), **settings}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, _ = process.communicate(timeout=120)
    if process.returncode:
        raise RuntimeError(f"{name} ended with {process.returncode}:\n{said}")
    wait_until_ended(trace, process.pid)
    return said


def ask(url: str) -> dict[str, int]:
    """Asks in every protocol; returns the statuses."""
    photo = picture("red")
    b64 = base64.b64encode(photo).decode()
    inputs = [{"name": "instances", "datatype": "BYTES", "shape": [1], "data": [b64]}]
    event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
    told = {"content-type": "image/png"}
    message = {"message": {"data": b64, "messageId": "1"}, "subscription": "projects/p/s"}
    asked: dict[str, Callable[[], requests.Response]] = {
        "/predict": lambda: requests.post(f"{url}/predict", photo, headers=told, timeout=60),
        "form": lambda: requests.post(f"{url}/predict", files={"p": ("a.png", photo)}, timeout=60),
        "/events": lambda: requests.post(f"{url}/events", photo, headers=told | event, timeout=60),
        "/pubsub": lambda: requests.post(f"{url}/pubsub", json=message, timeout=60),
    }
    native = {"instances": [{"b64": b64}]}
    documents = {
        "/": native,
        "/vertex": native,
        "/predict/colour": native,
        "/bigquery": {"calls": [[b64]]},
        "/v2/models/colour/infer": {"inputs": inputs},
    }
    statuses = {name: call().status_code for name, call in asked.items()}
    for path, document in documents.items():
        statuses[path] = requests.post(url + path, json=document, timeout=60).status_code
    for path in ("/", "/livez", "/readyz", "/openapi.json", "/models", "/metrics", "/v2"):
        statuses[f"GET {path}"] = requests.get(url + path, timeout=60).status_code
    return statuses


def write_identity(path: Path) -> None:
    """Writes the key of a service account that there is not, as a device has one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    told = {
        "type": "service_account",
        "project_id": "a-project",
        "private_key_id": "1",
        "private_key": key.private_bytes(*form).decode(),
        "client_email": "device@a-project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    path.write_text(json.dumps(told))


def unplug(folder: Path, models: Path, results: str) -> dict[str, Any]:
    """Has events answered by a server whose sink and log are away; returns what became of it."""
    write_identity(folder / "key.json")
    outbox = folder / "outbox"
    settings = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "key.json"),
        "ZEROPOINT_LOGGING": "cloud",
        "ZEROPOINT_MODELS": str(models),
        "ZEROPOINT_OUTBOX": str(outbox),
        "ZEROPOINT_RESULTS": results,
    }
    seconds = []
    with Server(settings) as server:
        server.wait_until_ready()
        for number in range(4):
            began_s = time.monotonic()
            acknowledged(push(server.url, f"m-{number}", "red"), "written")
            seconds.append(time.monotonic() - began_s)
        acknowledged(push(server.url, "m-0", "red"), "repeated")
        seconds.append(predict(server.url, "blue"))
        status = server.stop()
        told = [one["message"] for one in server.records() if one["severity"] != "INFO"]
    waiting = len(list(outbox.glob("waiting/*.json")))
    return {"seconds": seconds, "status": status, "told": sorted(told), "waiting": waiting}


def main() -> None:
    """Runs and asks, and tells."""
    raise_loopback()
    folder = Path(sys.argv[1])
    models, photos = folder / "models", folder / "photos"
    write_colour_model(models)
    photos.mkdir()
    (photos / "red.png").write_bytes(picture("red"))
    calls = folder / "calls"
    calls.mkdir()
    settings = {"ZEROPOINT_MODELS": str(models)}
    told: dict[str, Any] = {}
    with Server(
        {**settings, "AIP_PREDICT_ROUTE": "/vertex"}, command=traced(calls / "serve", SERVE)
    ) as server:
        server.wait_until_ready()
        told["statuses"] = ask(server.url)
        process = server.process.pid
    wait_until_ended(calls / "serve", process)
    verbs = {
        "models": (),
        "check": (),
        "predict": (str(photos / "red.png"),),
        "batch": (str(photos), "--out", str(folder / "out")),
    }
    for verb, arguments in verbs.items():
        command = (sys.executable, "-m", "zeropoint", verb, *arguments)
        told[verb] = run(calls, verb, *command, **settings)
    told["imports"] = run(calls, "imports", sys.executable, "-c", _EVERYTHING, **settings)
    run(calls, "elsewhere", sys.executable, "-c", _ELSEWHERE)
    told["unplugged"] = unplug(folder, models, "gs://my-results/device-7")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
