"""What a function at rest costs on a device: its first answer, started by systemd, and its memory.

    .venv/bin/python benchmarks/edge.py

systemd-socket-activate holds the socket, as systemd itself would, and becomes the function when
somebody connects. A round is one activation: the first answer to a photo, those that follow, what
the process takes, and that none is left once nobody asks.
"""

import argparse
import http.client
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from processes import pss_mb, started, tree

ROOT = Path(__file__).resolve().parents[1]
_PHOTO = ROOT / "model_artifacts" / "efficientnet-lite0" / "check" / "cat.jpg"
_PORT = 8611
_IDLE_S = 1.0
_LATEST_S = 30.0
_LISTENS = "0A"  # of /proc/net/tcp


class Round(NamedTuple):
    """One activation."""

    first_ms: float  # from the connect to the whole answer
    warm_ms: list[float]
    up_mb: float  # PSS after those
    rest_mb: float  # of all its processes, once it has ended by itself
    ended_s: float  # after the last answer


def activation(models: Path, home: Path, photo: bytes, warm: int) -> Round:
    """Has the function started by a connect, asks it, and waits until it is at rest."""
    serve = [str(Path(sys.executable).with_name("zeropoint")), "serve"]
    settings = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "ZEROPOINT_MODELS": str(models),
        "ZEROPOINT_IDLE_EXIT_S": str(_IDLE_S),
    }
    options = [f"--setenv={name}={value}" for name, value in settings.items()]
    listen = f"--listen=127.0.0.1:{_PORT}"
    command = ["systemd-socket-activate", listen, *options, *serve]
    with started(command, settings) as process:
        _wait_until(_is_listening)
        first_ms = _ask(photo)
        warm_ms = [_ask(photo) for _ in range(warm)]
        answered_s = time.perf_counter()
        up_mb = pss_mb(process.pid)
        _wait_until(lambda: process.poll() is not None)
        ended_s = time.perf_counter() - answered_s
        if process.returncode != 0:
            raise RuntimeError(f"expected a function that ends in order, got {process.returncode}")
        rest_mb = sum(pss_mb(pid) for pid in tree(process.pid))
    return Round(first_ms, warm_ms, up_mb, rest_mb, ended_s)


def _ask(photo: bytes) -> float:
    """Returns the milliseconds from the connect to the whole answer."""
    began_s = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", _PORT, timeout=_LATEST_S)
    connection.request("POST", "/predict", photo, {"Content-Type": "image/jpeg"})
    response = connection.getresponse()
    body = response.read()
    ms = (time.perf_counter() - began_s) * 1000
    connection.close()
    if response.status != 200 or b'"tiger cat"' not in body:
        raise RuntimeError(f"expected a tiger cat, got {response.status}")
    return ms


def _is_listening() -> bool:
    """Tells whether somebody listens; who connects to find out has the function started."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{_PORT:04X}") and row[3] == _LISTENS for row in rows)


def _wait_until(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _LATEST_S
    while not condition():
        if time.monotonic() > until_s:
            raise TimeoutError(f"not so within {_LATEST_S:g} s")
        time.sleep(0.005)


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warm", type=int, default=20, help="requests after the first")
    options = parser.parse_args()
    if shutil.which("systemd-socket-activate") is None:
        sys.exit("expected systemd-socket-activate (of the package systemd), got none")
    photo = _PHOTO.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        found = [
            activation(ROOT / "model_artifacts", Path(folder), photo, options.warm)
            for _ in range(options.rounds + 1)
        ][1:]  # the first warms up the files
    first = sorted(one.first_ms for one in found)
    warm = sorted(ms for one in found for ms in one.warm_ms)
    print(f"{len(found)} activations, each with {options.warm} requests after the first\n")
    print("| a photo, from the connect to its answer | p50 ms | p90 ms | most ms |")
    print("|---|---|---|---|")
    for name, values in (("at rest: started by the connect", first), ("warm", warm)):
        p90 = values[int(0.9 * (len(values) - 1))]
        print(f"| {name} | {statistics.median(values):.1f} | {p90:.1f} | {values[-1]:.1f} |")
    print("\n| | MB (PSS) |")
    print("|---|---|")
    print(
        f"| up, after {options.warm + 1} photos | {statistics.median(o.up_mb for o in found):.1f} |"
    )
    print(f"| at rest | {max(one.rest_mb for one in found):.0f}: no process |")
    ended_s = statistics.median(one.ended_s for one in found)
    print(
        f"\nIt ended {ended_s:.2f} s after the last answer, with ZEROPOINT_IDLE_EXIT_S={_IDLE_S:g}."
    )


if __name__ == "__main__":
    main()
