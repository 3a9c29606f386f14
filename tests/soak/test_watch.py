"""A camera: a photo a second, for as long as a soak runs, or a few quick ones without it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import CAT
from servers import ROOT, environment
from soak.process import SOAK_S, held
from test_draining import wait_for

_EVERY_S = 1.0 if SOAK_S else 0.1
_PHOTOS = int(SOAK_S) or 50
_GROWN_BYTES = 16 << 20


def cpu_s(pid: int) -> float:
    """Returns the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_photo_at_a_time_and_no_growth(tmp_path: Path) -> None:
    photo = CAT.read_bytes()
    camera, out = tmp_path / "in", tmp_path / "out"
    camera.mkdir()
    command = [sys.executable, "-m", "zeropoint", "watch", str(camera), "--out", str(out)]
    settings = {"ZEROPOINT_MODEL": "efficientnet-lite0"}
    process = subprocess.Popen(
        command,
        env=environment(tmp_path, settings, measured=False),
        cwd=ROOT / "function",
        stdout=subprocess.DEVNULL,
    )
    try:
        late_s = []
        shoot_s = time.monotonic()
        for number in range(_PHOTOS):
            (camera / f"{number}.jpg").write_bytes(photo)
            written_s = time.time()
            if number == _PHOTOS // 5:  # what is made once is made
                wait_for(lambda: len(list(out.glob("*.json"))) > _PHOTOS // 5)
                before, cpu_before_s, photos_before = held(process.pid), cpu_s(process.pid), number
            shoot_s += _EVERY_S
            time.sleep(max(0.0, shoot_s - time.monotonic()))
            if found := [*out.glob(f"{number}.jpg@*.json")]:
                late_s.append(found[0].stat().st_mtime - written_s)
        wait_for(lambda: len(list(out.glob("*.json"))) == _PHOTOS)
        after = held(process.pid)
        cpu_ms = 1000 * (cpu_s(process.pid) - cpu_before_s) / (_PHOTOS - 1 - photos_before)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    late_s.sort()
    print(
        f"\n{_PHOTOS} photos, one in {_EVERY_S:g} s: {cpu_ms:.1f} CPU ms each, answered"
        f" {late_s[len(late_s) // 2] * 1000:.0f} ms after they were written (median), at most"
        f" {late_s[-1] * 1000:.0f} ms; {before} -> {after}"
    )
    records = [json.loads(path.read_bytes()) for path in out.glob("*.json")]
    assert {record["file"]["name"] for record in records} == {f"{n}.jpg" for n in range(_PHOTOS)}
    assert {record["predictions"][0]["label"] for record in records} == {"tiger cat"}
    assert after.descriptors <= before.descriptors
    assert after.threads <= before.threads
    assert after.memory_bytes <= before.memory_bytes + _GROWN_BYTES
