"""What /proc tells of a process and of those that it started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zeropoint.bench import processes

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="this system has no /proc"
)

# A process whose child takes memory and time, and which says when it has.
_FAMILY = """
import subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-c", "import sys, time\\nheld = b'a' * 50_000_000\\n"
     "while time.process_time() < 0.3: pass\\nprint('ready', flush=True)\\nsys.stdin.read()"],
    stdin=subprocess.PIPE,
)
sys.stdin.read()
child.communicate()
"""


@needs_proc
def test_descendants_count() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"ready\n"
        cpu_s, pss = processes.cpu_s(parent.pid), processes.pss_bytes(parent.pid)
    assert cpu_s is not None
    assert 0.25 < cpu_s < 5.0
    assert pss is not None
    assert 50_000_000 < pss < 200_000_000


@needs_proc
def test_it_is_at_least_what_the_system_says_of_this_process() -> None:
    before_s = sum(os.times()[:4])
    told = processes.cpu_s(os.getpid())
    assert told is not None
    assert told >= before_s - 0.05  # servers of other tests are its children


def test_where_nothing_is_told_nothing_is_made_up(tmp_path: Path) -> None:
    assert processes.cpu_s(1, tmp_path) is None
    assert processes.pss_bytes(1, tmp_path) is None
    (tmp_path / "1" / "task").mkdir(parents=True)
    (tmp_path / "1" / "smaps_rollup").write_text("Rss: 1 kB\n")
    (tmp_path / "1" / "stat").write_text("1 (a b) R 1")
    assert processes.cpu_s(1, tmp_path) is None
    assert processes.pss_bytes(1, tmp_path) is None
