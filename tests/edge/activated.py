"""Run in a network namespace of its own: is started by systemd-socket-activate, twice.

    unshare --net python activated.py HOME MODELS PHOTO

Prints JSON: of each activation the answer, and the exit status of the process.
"""

import json
import subprocess
import sys
from pathlib import Path

from edge.caller import TIMEOUT_S, call
from offline import raise_loopback
from servers import ROOT, SERVE, environment

_PORT = 8080
_ACTIVATIONS = 2


def main() -> None:
    """Activates and tells."""
    home, models, photo = sys.argv[1:]
    raise_loopback()
    settings = {"ZEROPOINT_MODELS": models, "ZEROPOINT_IDLE_EXIT_S": "0.5"}
    options = [
        f"--setenv={name}={value}"
        for name, value in environment(Path(home), settings, measured=False).items()
    ]
    told = []
    for _ in range(_ACTIVATIONS):  # it becomes what it starts
        with subprocess.Popen(
            ["systemd-socket-activate", f"--listen=127.0.0.1:{_PORT}", *options, *SERVE],  # noqa: S607
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            answer = call(_PORT, "/predict", "image/png", Path(photo).read_bytes())
            _, said = process.communicate(timeout=TIMEOUT_S)
        told.append({**answer, "exit": process.returncode, "said": said})
    print(json.dumps(told))


if __name__ == "__main__":
    main()
