"""Real server processes for the tests: started, waited for, stopped, and their port freed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

ROOT = Path(__file__).resolve().parents[1]
_START_S = 30.0
_STOP_S = 15.0

FRAMEWORK = (
    str(Path(sys.executable).with_name("functions-framework")),
    "--source",
    str(ROOT / "function" / "main.py"),
    "--target",
    "predict",
    "--host",
    "127.0.0.1",
)
SERVE = (sys.executable, "-m", "zeropoint", "serve")


def free_port() -> int:
    """Returns a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(
    home: Path, settings: Mapping[str, str] | None = None, measured: bool = True
) -> dict[str, str]:
    """Returns an environment with nothing of the caller's but the path and ``settings``.

    Args:
        home: The process's own.
        settings: Other variables.
        measured: Whether its coverage is, where that of the tests is.
    """
    coverage = [name for name in os.environ if name.startswith("COVERAGE_")] if measured else []
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        **{name: os.environ[name] for name in coverage},
        **(settings or {}),
    }


class Server:
    """A server process, by default zeropoint serve.

    Args:
        settings: Its environment, beside the path and a home of its own.
        command: What to start instead; ``PORT`` names the port.
        cwd: The folder to start it in.
        port: Where it listens; 0: wherever nobody does.
        measured: Whether its coverage is; see `environment`.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        command: tuple[str, ...] = SERVE,
        cwd: Path = ROOT,
        port: int = 0,
        measured: bool = True,
    ) -> None:
        self._measured = measured
        self._settings = dict(settings or {})
        self.command = command
        self._cwd = cwd
        self._wanted_port = port

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory()
        self.home = home = Path(self._home.name)
        self.port = self._wanted_port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._logs = tempfile.TemporaryDirectory()
        logs = Path(self._logs.name)
        self.results = logs / "results"
        self._out = (logs / "stdout").open("w+")
        self._err = (logs / "stderr").open("w+")
        self.process = subprocess.Popen(
            self.command,
            cwd=self._cwd,
            env=environment(
                home,
                {
                    "ZEROPOINT_RESULTS": f"file://{self.results}",
                    "PORT": str(self.port),
                    **self._settings,
                },
                self._measured,
            ),
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,
        )
        try:
            self._wait_for_port()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def records(self) -> list[dict[str, Any]]:
        """Returns the JSON lines that the process has written to stdout."""
        return [json.loads(line) for line in self.stdout().splitlines()]

    def stdout(self) -> str:
        """Returns what the process has written to stdout."""
        return Path(self._out.name).read_text()

    def stderr(self) -> str:
        """Returns what the process has written to stderr."""
        return Path(self._err.name).read_text()

    def wait_until_ready(self) -> None:
        """Asks /readyz until it answers 200."""
        until_s = time.monotonic() + _START_S
        while requests.get(self.url + "/readyz", timeout=5).status_code != 200:
            if time.monotonic() > until_s:
                raise TimeoutError(f"not ready within {_START_S} s:\n{self.stdout()}")
            time.sleep(0.02)

    def stop(self) -> int:
        """Asks the process to end and returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_S)

    def _wait_for_port(self) -> None:
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s:
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended at once:\n{self.stdout()}{self.stderr()}")
            with socket.socket() as probe:
                probe.settimeout(1.0)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise TimeoutError(f"no port within {_START_S} s:\n{self.stderr()}")

    def _close(self) -> None:
        try:
            if self.process.poll() is None:
                self.stop()
        finally:
            # The whole group, so that no worker outlives a failed test; it is ours alone.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._out.close()
            self._err.close()
            self._home.cleanup()
            self._logs.cleanup()
        _check_freed(self.port)


def _check_freed(port: int) -> None:
    """Raises OSError if somebody listens still; a killed worker takes a moment to be gone."""
    until_s = time.monotonic() + _STOP_S
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                return probe.bind(("127.0.0.1", port))
            except OSError:
                if time.monotonic() > until_s:
                    raise
        time.sleep(0.01)


def zeropoint(
    home: Path, *arguments: str, settings: dict[str, str] | None = None, measured: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Runs the command to its end, with a home of its own; see `environment`."""
    return subprocess.run(
        [sys.executable, "-m", "zeropoint", *arguments],
        cwd=ROOT / "function",
        env=environment(home, settings, measured),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
