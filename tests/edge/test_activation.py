"""A socket that systemd passes is served, and nothing else; a wrong one is told in one line."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from edge import passing
from servers import SERVE, free_port, zeropoint
from tiny_models import picture
from zeropoint.bench import processes

_LISTENS = "0A"  # of /proc/net/tcp
_ALIVE = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
_KEY = "a-key-of-this-test-only"


def settings(repository: Path, **more: str) -> dict[str, str]:
    return {"ZEROPOINT_MODELS": str(repository), **more}


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    said, _ = process.communicate(timeout=passing.TIMEOUT_S)
    return process.returncode, said


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_serves_the_passed_socket_and_binds_no_other(
    colour_repository: Path, tmp_path: Path, host: str
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    unused = free_port()
    chosen = settings(colour_repository, PORT=str(unused))
    with (
        socket.create_server((host, 0), family=family) as bound,
        passing.started([bound], tmp_path, chosen) as process,
    ):
        place = f"[{host}]" if ":" in host else host
        place += f":{bound.getsockname()[1]}"
        answer = requests.post(f"http://{place}/predict", data=picture("red"), timeout=30).json()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", unused), timeout=5).close()
        found = listening(process.pid)
        said = passing.stop(process)
        assert answer["predictions"][0]["label"] == "red"
        assert f"http://{place}, passed by systemd" in said
        assert process.returncode == 0
        assert found == {os.fstat(bound.fileno()).st_ino}


def listening(pid: int) -> set[int]:
    """Returns the inodes of the sockets that a process listens at."""
    own = set()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has just been closed
            if os.readlink(one).startswith("socket:"):
                own.add(os.stat(one).st_ino)
    tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return own & {int(row[9]) for row in rows if row[3] == _LISTENS}


def test_no_child_is_told_of_it(tmp_path: Path) -> None:
    program = (
        "import os; from zeropoint import activation; found = activation.passed();"
        " print([*filter(lambda name: 'LISTEN' in name, os.environ)], found.get_inheritable(),"
        " found is activation.passed())"
    )
    with socket.create_server(("127.0.0.1", 0)) as bound:
        process = passing.start([bound], tmp_path, {}, (sys.executable, "-c", program))
        assert ended(process) == (0, "[] False True\n")


def test_who_connects_while_it_ends_is_answered_by_the_next(
    colour_repository: Path, tmp_path: Path
) -> None:
    """And the process that ends does not look at them over and over."""
    chosen = settings(colour_repository, ZEROPOINT_DRAIN_S="1.5")
    with socket.create_server(("127.0.0.1", 0)) as bound:
        address = bound.getsockname()
        with (
            passing.started([bound], tmp_path, chosen) as first,
            socket.create_connection(address) as half,
        ):
            half.sendall(b"GET /livez HTTP/1.1\r\n")
            passing.wait_until(lambda: "200" in _asked(address))
            first.terminate()
            passing.wait_until(lambda: not listening(first.pid))
            waiting = socket.create_connection(address, timeout=30)
            waiting.sendall(_ALIVE)
            before_s = processes.cpu_s(first.pid)
            time.sleep(0.7)
            after_s = processes.cpu_s(first.pid)
            assert ended(first)[0] == 0
            assert (after_s or 0.0) - (before_s or 0.0) < 0.35
        with waiting, passing.started([bound], tmp_path, chosen):
            assert waiting.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def _asked(address: tuple[str, int]) -> str:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(_ALIVE)
        return connection.recv(1 << 16).decode()


def test_variables_of_another_process_are_none_of_its(colour_repository: Path) -> None:
    """As in a shell that systemd started: LISTEN_PID is not this process."""
    wrong = {"LISTEN_PID": "1", "LISTEN_FDS": "7", **settings(colour_repository)}
    port = free_port()
    done = zeropoint(
        colour_repository, "serve", "--port", str(port), "--host", "192.0.2.1", settings=wrong
    )
    assert "expected a free port" in done.stderr  # it went on to bind its own


def passed(kind: str) -> list[socket.socket]:
    if kind == "two":
        return [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    if kind == "unix":
        made = socket.socket(socket.AF_UNIX)
        made.bind("")  # a name that the kernel makes
        made.listen()
    elif kind == "datagrams":
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
    else:
        made = socket.socket()
    return [made]


@pytest.mark.parametrize(
    ("kind", "count", "expected"),
    [
        ("two", "", "expected one socket from systemd (one ListenStream=), got 2"),
        ("unix", "", "of another family, AF_UNIX"),
        ("datagrams", "", "that takes no connections (ListenStream= makes one)"),
        ("deaf", "", "that does not listen (Accept=no makes one)"),
        ("deaf", "x", "LISTEN_FDS: expected a number of sockets, got another text"),
        ("none", "1", "expected a socket from systemd at descriptor 3: Bad file descriptor"),
    ],
)
def test_what_is_no_socket_to_serve_is_told(
    colour_repository: Path, tmp_path: Path, kind: str, count: str, expected: str
) -> None:
    sockets = [] if kind == "none" else passed(kind)
    more = {"COUNT": count} if count else {}
    status, said = ended(passing.start(sockets, tmp_path, settings(colour_repository, **more)))
    for one in sockets:
        one.close()
    assert status == 78
    (line,) = said.splitlines()
    record = json.loads(line)
    assert record["severity"] == "CRITICAL"
    assert expected in record["message"]


def test_no_socket_at_all_is_none_passed(colour_repository: Path, tmp_path: Path) -> None:
    command = (*SERVE, "--host", "192.0.2.1", "--port", "8080")
    status, said = ended(passing.start([], tmp_path, settings(colour_repository), command))
    assert (status, "expected a free port" in said) == (1, True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - what is refused
def test_an_open_socket_is_refused_without_a_key(
    colour_repository: Path, tmp_path: Path, host: str
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as bound:
        status, said = ended(passing.start([bound], tmp_path, settings(colour_repository)))
        assert status == 78
        assert "expected ZEROPOINT_API_KEY, as others can reach the passed socket" in said
        keyed = settings(colour_repository, ZEROPOINT_API_KEY=_KEY)
        reached = "[::1]" if ":" in host else "127.0.0.1"
        url = f"http://{reached}:{bound.getsockname()[1]}/models"
        with passing.started([bound], tmp_path, keyed):
            found = [
                requests.get(url, headers=headers, timeout=30).status_code
                for headers in ({}, {"X-API-Key": _KEY})
            ]
    assert found == [401, 200]
