"""Nothing that the function does asks the network for anything, not even for a name.

The kernel's counters (tests/e2e/test_offline.py) show what found no way; here each call is seen,
of native code too, whatever came of it.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from namespaces import namespace, works
from servers import ROOT, environment

_PROGRAM = ROOT / "tests" / "offline_calls.py"
_HERE = {"127.0.0.1", "::1"}
_NAMES = 53


class Seen(NamedTuple):
    """What programs called, by their names, and what they said."""

    calls: Path
    told: dict[str, Any]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("offline")
    if not works(shutil.which("strace") or "strace", "-DD", "-f", "--seccomp-bpf", "true"):
        pytest.skip("there is no strace here, or it may not trace")
    done = subprocess.run(
        [*namespace(), sys.executable, str(_PROGRAM), str(folder)],
        cwd=ROOT,
        env=environment(folder, {"PYTHONPATH": f"{ROOT / 'function'}:{ROOT / 'tests'}"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Seen(folder / "calls", json.loads(done.stdout))


def asked(trace: Path) -> set[str]:
    """Returns whom a program asked, beside this machine's own addresses."""
    found = set()
    for line in trace.read_text().splitlines():
        address = re.search(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"', line)
        port = re.search(r"htons\((\d+)\)", line)
        path = re.search(r'sun_path=@?"([^"]*)"', line)
        if address and (address[1] not in _HERE or (port and int(port[1]) == _NAMES)):
            found.add(f"{address[1]}:{port[1] if port else ''}")
        if path:  # whoever resolves names
            found.add(path[1])
    return found


def test_what_is_looked_for_would_be_seen(seen: Seen) -> None:
    found = asked(seen.calls / "elsewhere")
    assert "192.0.2.1:443" in found
    assert len(found) > 1  # a name server, or a service of this machine that asks one


def test_every_protocol_answers_without_a_network(seen: Seen) -> None:
    assert set(seen.told["statuses"].values()) == {200}, seen.told["statuses"]
    trace = (seen.calls / "serve").read_text()
    assert trace.count('"HTTP/1.1 200 OK') >= len(seen.told["statuses"])  # its threads are traced
    assert asked(seen.calls / "serve") == set()


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("models", "colour  1"),
        ("check", "ok    colour"),
        ("predict", "red"),
        ("batch", "1 row in"),
        ("imports", ""),
    ],
)
def test_no_verb_and_no_import_asks_anybody(seen: Seen, verb: str, said: str) -> None:
    assert said in seen.told[verb]
    trace = (seen.calls / verb).read_text()
    assert "+++ exited with 0 +++" in trace
    assert asked(seen.calls / verb) == set()


def test_unplugged_from_its_cloud_it_answers_keeps_and_ends(seen: Seen) -> None:
    """With Google's own clients, an identity, and a name that nobody resolves."""
    unplugged = seen.told["unplugged"]
    first, *others = unplugged["seconds"]
    assert first < 15  # it tries, and imports the client for that
    assert max(others) < 2
    assert (unplugged["status"], unplugged["waiting"]) == (0, 4)
    # But for what is refused while the model loads.
    log, sink = (one for one in unplugged["told"] if not one.startswith("refused: "))
    assert log == "google-cloud-logging failed; records are on stdout only"
    assert sink.startswith("the sink is away: results wait in ")
