"""The real thing: systemd checks the units, starts the function when asked, and has it at rest."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import boot
from edge.passing import TIMEOUT_S, wait_until
from namespaces import namespace
from servers import ROOT, environment, zeropoint
from tiny_models import picture, write_colour_model

_TESTS = ROOT / "tests"
_NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_MORE_NAMESPACES = ("--cgroup", "--net", "--uts", "--ipc")
_MOST_EXPOSED = 20  # in tenths; systemd's own word for it is OK
_DYNAMIC_USERS = range(61184, 65520)
_AWAY = {"ZEROPOINT_RESULTS": "gs://bucket", "ZEROPOINT_OUTBOX": "/var/lib/zeropoint/outbox"}


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"there is no {program}")
    return found


def paths(home: Path) -> dict[str, str]:
    return environment(home, {"PYTHONPATH": f"{ROOT / 'function'}:{_TESTS}"}, measured=False)


@pytest.mark.parametrize("options", [(), ("--user",)], ids=["system", "user"])
@pytest.mark.parametrize("settings", [{}, _AWAY], ids=["offline", "away"])
def test_systemd_has_nothing_against_the_units(
    tmp_path: Path, options: tuple[str, ...], settings: dict[str, str]
) -> None:
    analyze = needs("systemd-analyze")
    done = zeropoint(tmp_path, "install-edge", "--to", str(tmp_path), *options, settings=settings)
    assert done.returncode == 0, done.stderr
    written = sorted(map(str, tmp_path.glob("zeropoint*.*")))
    units = [one for one in written if not one.endswith(".env")]
    assert len(units) == (4 if settings else 2)
    own = environment(tmp_path, {"XDG_RUNTIME_DIR": str(tmp_path)})
    for command in (["verify", *units], ["security", f"--threshold={_MOST_EXPOSED}"]):
        if command[0] == "security":
            if options:  # what counts most there a user's systemd cannot do
                continue
            command += ["--offline=yes", *(one for one in units if one.endswith(".service"))]
        found = subprocess.run(
            [analyze, *options, "--no-pager", *command],
            env=own,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        assert command[0] == "security" or not found.stderr, found.stderr


@pytest.mark.parametrize("user", [True, False])
def test_on_a_machine_that_systemd_runs_the_units_go_where_it_looks(
    tmp_path: Path, colour_repository: Path, user: bool
) -> None:
    """In a namespace with a /run as systemd makes it, and folders of its own."""
    unshare = needs("unshare")
    (tmp_path / "etc").mkdir()
    folder = tmp_path / "systemd" / "user" if user else tmp_path / "etc"
    place = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system"
    if not user:
        place += f" && mount --bind {tmp_path}/etc /etc/systemd/system"
    program = [sys.executable, "-m", "zeropoint", "install-edge", *(["--user"] if user else [])]
    into = [unshare, "--mount", "sh", "-c", f'{place} || exit {boot.CANNOT}; exec "$@"', "sh"]
    done = subprocess.run(
        [*into, *program, "--models", str(colour_repository)],
        env={**paths(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    if done.returncode == boot.CANNOT or "unshare failed" in done.stderr:
        pytest.skip("no such namespace can be made here")
    assert done.returncode == 0, done.stderr
    found = {path.name for path in folder.iterdir()}
    assert found == {"zeropoint.env", "zeropoint.service", "zeropoint.socket"}
    systemctl = "systemctl --user" if user else "systemctl"
    assert done.stdout.splitlines()[-2:] == [
        f"  {systemctl} daemon-reload",
        f"  {systemctl} enable --now zeropoint.socket",
    ]


def test_it_is_started_by_systemd_socket_activate_without_a_network(
    tmp_path: Path, colour_repository: Path
) -> None:
    needs("systemd-socket-activate")
    (tmp_path / "red.png").write_bytes(picture("red"))
    arguments = [str(tmp_path), str(colour_repository), str(tmp_path / "red.png")]
    done = subprocess.run(
        [*namespace(), sys.executable, str(_TESTS / "edge" / "activated.py"), *arguments],
        env=paths(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert len(told) == 2
    for one in told:
        assert (one["status"], one["exit"]) == (200, 0), one["said"]
        assert one["body"]["predictions"][0]["label"] == "red"
        assert "passed by systemd" in one["said"]


class Device:
    """A systemd with our units only, in namespaces of its own; its first process is ``pid``."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self.folder = folder

    def services(self) -> list[int]:
        """Returns the processes that it has started and that are there still."""
        return [int(one) for one in children(self.pid)]

    def call(self, path: str, media_type: str, body: bytes) -> dict[str, Any]:
        """Sends a request from within the network of the device."""
        (self.folder / "body").write_bytes(body)
        caller = [sys.executable, str(_TESTS / "edge" / "caller.py")]
        into = ["nsenter", f"--target={self.pid}", "--net"]
        done = subprocess.run(
            [*into, *caller, "8080", path, media_type, str(self.folder / "body")],
            env=paths(self.folder),
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def predict(self) -> str:
        """Asks for a prediction; returns the label."""
        found = self.call("/predict", "image/png", picture("red"))
        assert found["status"] == 200, found
        label: str = found["body"]["predictions"][0]["label"]
        return label


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """The units, installed and enabled; systemd listens, and nothing else runs."""
    unshare = needs("unshare")
    needs("nsenter")
    if os.geteuid() != 0 or not boot.SYSTEMD.exists():
        pytest.skip("a systemd of its own wants root, and systemd")
    namespaces = [unshare, *_NAMESPACES, *_MORE_NAMESPACES]
    if subprocess.run([*namespaces, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no such namespaces can be made here")
    folder = tmp_path / "device"
    write_colour_model(folder / "models")
    folder.chmod(0o755)
    options = ["--models", "/mnt/models", "--idle", "2"]
    program = [sys.executable, str(_TESTS / "edge" / "boot.py"), str(folder), *options]
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [*namespaces, *program],
            env=paths(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            wait_until(lambda: process.poll() is not None or booted(process.pid))
            if process.poll() is not None:
                said.seek(0)
                reason = said.read()
                assert process.returncode == boot.CANNOT, reason
                pytest.skip(f"no systemd of its own can be started here: {reason}")
            yield Device(int(children(process.pid)[0]), folder)
        finally:
            process.kill()  # and with it all of the namespace: --kill-child
            process.wait()


def booted(pid: int) -> bool:
    with contextlib.suppress(OSError):  # it has just ended
        return any(Path(f"/proc/{one}/comm").read_text() == "systemd\n" for one in children(pid))
    return False


def test_a_real_systemd_starts_it_when_asked_and_nothing_runs_at_rest(device: Device) -> None:
    assert device.services() == []
    for _ in range(2):
        assert device.predict() == "red"
        assert len(device.services()) == 1
        wait_until(lambda: not device.services())  # memory at rest: that of no process


def test_the_service_is_confined_and_keeps_its_results(device: Device) -> None:
    assert device.predict() == "red"
    (pid,) = device.services()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(status["Uid"].split()[0]) in _DYNAMIC_USERS
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    network = [os.readlink(f"/proc/{one}/ns/net") for one in (pid, device.pid)]
    assert network[0] != network[1]  # it has none, but for the socket
    message = {
        "data": base64.b64encode(picture("blue")).decode(),
        "attributes": {"content-type": "image/png"},
        "messageId": "1",
    }
    body = json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()
    receipt = device.call("/pubsub", "application/json", body)
    assert receipt["status"] == 200, receipt
    assert receipt["body"]["outcome"] == "written", receipt
    wait_until(lambda: not device.services())
    state = Path(f"/proc/{device.pid}/root/var/lib/private/zeropoint/results")
    (record,) = state.rglob("*.json")
    assert json.loads(record.read_bytes())["predictions"][0]["label"] == "blue"
