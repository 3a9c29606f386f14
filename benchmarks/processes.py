"""A server and all its processes: started, possibly slowed, measured, ended."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_GROUPS = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000
_END_S = 15.0


@contextmanager
def started(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    cwd: Path | None = None,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = subprocess.DEVNULL,
    quota: Path | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a program in a session of its own until the block ends, with all that it started.

    Args:
        command: The program and its arguments.
        environment: All its variables.
        cwd: Where it starts.
        stdin: As `subprocess.Popen` takes it.
        stdout: The same.
        quota: The control group that it joins, of `cpu_quota`.
    """
    if quota is not None:
        join = f'echo $$ > "{quota}/cgroup.procs" && exec "$@"'
        command = ["/bin/sh", "-c", join, "sh", *command]
    process = subprocess.Popen(  # noqa: S603 - the programs that are compared
        command,
        env=dict(environment),
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        everyone = tree(process.pid)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        for pid in everyone:  # whoever outlived it
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        _wait_until_gone(everyone)


def tree(pid: int) -> list[int]:
    """Returns the ids of a process, of its descendants and of all others of its session."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                fields = _stat(int(entry.name))
                if fields[0] != "Z":
                    stats[int(entry.name)] = (int(fields[1]), int(fields[3]))
    found = {pid} & stats.keys()
    found |= {one for one, (_, session) in stats.items() if session == pid}
    while more := {one for one, (parent, _) in stats.items() if parent in found} - found:
        found |= more
    return sorted(found)


def cpu_s(pid: int) -> float:
    """Returns the CPU time of a process and all that `tree` names."""
    ticks = 0
    for one in tree(pid):
        with suppress(OSError):
            fields = _stat(one)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def pss_mb(pid: int) -> float:
    """Returns the memory of a process and all that `tree` names.

    A page that several processes share counts for each as its part: the sum is what they hold.
    """
    kib = 0
    for one in tree(pid):
        with suppress(OSError):
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
            kib += int(text.partition("\nPss:")[2].split()[0])
    return kib * 1024 / 1e6


@contextmanager
def cpu_quota(cpus: float) -> Iterator[Path | None]:
    """Makes a control group with a CPU quota, or gives None where that is not allowed."""
    version_1 = (_GROUPS / "cpu" / "cpu.cfs_quota_us").exists()
    group = (_GROUPS / "cpu" if version_1 else _GROUPS) / f"zeropoint-bench-{os.getpid()}"
    quota_us = int(cpus * _PERIOD_US)
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        if version_1:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (group / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
    except OSError:
        group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        group.rmdir()


def forget(files: Sequence[Path]) -> None:
    """Asks the system to drop what it has cached of files; needs no rights.

    What another process has mapped stays, so nobody else should run from the same files.
    """
    for path in files:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _stat(pid: int) -> list[str]:
    """Returns the fields of proc(5) from the third on, the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _wait_until_gone(pids: Sequence[int]) -> None:
    until_s = time.monotonic() + _END_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until_s:
        time.sleep(0.01)
