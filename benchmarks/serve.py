"""A server for the time of a benchmark, on the loopback."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_TRIES = 300  # of a twentieth of a second


@contextmanager
def serving(command: list[str], models: Path, port: int, **settings: str) -> Iterator[int]:
    """Runs a server of a repository until the block ends, and yields the process's id.

    Args:
        command: One beside this Python, and its arguments.
        models: The repository, and the process's home.
        port: Where the command has it listen.
        settings: Further variables.
    """
    program, *arguments = command
    process = subprocess.Popen(  # noqa: S603 - this project's own server
        [str(Path(sys.executable).with_name(program)), *arguments],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(models),
            "ZEROPOINT_MODELS": str(models),
            **settings,
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_answered(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def wait_until_answered(port: int) -> None:
    """Asks /readyz until it answers 200; raises TimeoutError."""
    for _ in range(_START_TRIES):
        time.sleep(0.05)
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
        except (urllib.error.URLError, ConnectionError):
            continue
        return
    raise TimeoutError(f"expected a server that is ready at port {port}, got none")
