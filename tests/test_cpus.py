"""How many processors: cgroups built in a folder, real ones, and the affinity."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from servers import ROOT, environment
from zeropoint import cpus

MANY = 4096.0
SCRIPT = "from zeropoint import cpus; print(cpus.available())"
CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def quotas(root: Path, cgroup: str, files: Mapping[str, str]) -> list[float]:
    """Lays out a root with /proc/self/cgroup and files below /sys/fs/cgroup, and reads it."""
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        path = root / (name if name.startswith("proc") else f"sys/fs/cgroup/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = list(cpus._quotas(root))
    affinity = cpus._affinity()
    assert cpus.available(root) == max(0.01, min([affinity, *found]))
    return found


def v1(group: str, quota: object, period: object = 100_000) -> dict[str, str]:
    return {f"{group}/cpu.cfs_quota_us": f"{quota}\n", f"{group}/cpu.cfs_period_us": f"{period}\n"}


def v2(group: str, text: str) -> dict[str, str]:
    return {f"{group}/cpu.max": text + "\n"}


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        pytest.param("0::/\n", v2(".", "150000 100000"), [1.5], id="v2"),
        pytest.param("0::/\n", v2(".", "max 100000"), [], id="v2 without a quota"),
        pytest.param("0::/\n", {}, [], id="v2 at the host's root, where no file is"),
        pytest.param(
            "0::/a/b\n",
            v2("a/b", "300000 100000") | v2("a", "50000 100000") | v2(".", "max 100000"),
            [3.0, 0.5],
            id="v2 nested, the parent tighter",
        ),
        pytest.param(
            "0::/kubepods/pod1/container\n",
            v2(".", "200000 100000"),
            [2.0],
            id="v2 in a container, the host's path not mounted",
        ),
        pytest.param(
            "0::/../other\n", v2(".", "200000 100000"), [2.0], id="v2 outside the namespace"
        ),
        pytest.param("0::/a:b\n", v2("a:b", "20000 100000"), [0.2], id="v2 with a colon"),
        pytest.param("1:cpu:/\n", v1("cpu", 50_000), [0.5], id="v1"),
        pytest.param("1:cpu:/\n", v1("cpu", -1), [], id="v1 without a quota"),
        pytest.param(
            "4:cpu,cpuacct:/g\n", v1("cpu,cpuacct/g", 200_000), [2.0], id="v1 cpu,cpuacct"
        ),
        pytest.param("4:cpuacct,cpu:/g\n", v1("cpu/g", 200_000), [2.0], id="v1 by the link's name"),
        pytest.param(
            "9:name=systemd:/x\n3:cpuset:/\n2:cpuacct:/\n1:cpu:/a/b\n0::/\n",
            v1("cpu/a/b", 400_000) | v1("cpu/a", 100_000, 50_000) | v1("cpu", -1),
            [4.0, 2.0],
            id="v1 among others, nested",
        ),
        pytest.param(
            "1:cpu:/docker/0123\n0::/\n",
            v1("cpu", 25_000),
            [0.25],
            id="v1 in a container, the host's path not mounted",
        ),
        pytest.param("2:cpuacct:/\n", v1("cpuacct", 50_000), [], id="v1 of another controller"),
        pytest.param("", v2(".", "100000 100000"), [], id="no cgroups"),
        pytest.param("0::/\n", v2(".", "100000 0"), [], id="no period"),
        pytest.param("0::/\n", v2(".", "100000"), [], id="half a line"),
        pytest.param("0::/\n", v2(".", "\u00b2 \u00b2"), [], id="digits that are none"),
        pytest.param("0::/\n", v2(".", "-5 -5"), [], id="less than nothing"),
        pytest.param("nonsense\n\n:\n:cpu\n0:-\n", v2(".", "100000 100000"), [], id="garbage"),
    ],
)
def test_the_quotas_of_a_cgroup_and_of_those_above_it(
    tmp_path: Path, cgroup: str, files: dict[str, str], expected: list[float]
) -> None:
    assert quotas(tmp_path, cgroup, files) == expected


def test_the_tightest_counts_and_is_never_nothing(tmp_path: Path) -> None:
    quotas(tmp_path, "0::/a\n", v2("a", "1 1000000") | v2(".", "100000 100000"))
    assert cpus.available(tmp_path) == 0.01


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert cpus.available(tmp_path) == len(os.sched_getaffinity(0))


def test_a_groups_name_may_be_any_bytes(tmp_path: Path) -> None:
    name = b"a\xff\xfe"
    quotas(tmp_path, "", {})
    (tmp_path / "proc/self/cgroup").write_bytes(b"0::/" + name + b"\n")
    group = tmp_path / "sys/fs/cgroup" / os.fsdecode(name)
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("10000 100000")
    assert cpus.available(tmp_path) == 0.1


def test_bytes_that_are_no_text_are_no_quota(tmp_path: Path) -> None:
    quotas(tmp_path, "0::/\n", v2(".", ""))
    (tmp_path / "sys/fs/cgroup/cpu.max").write_bytes(bytes(range(256)))
    assert cpus.available(tmp_path) == cpus._affinity()


def test_an_affinity_below_the_quota_counts(tmp_path: Path) -> None:
    quotas(tmp_path, "0::/\n", v2(".", "102400000 100000"))
    one = min(os.sched_getaffinity(0))
    script = (
        f"import os, pathlib; os.sched_setaffinity(0, [{one}]); from zeropoint import cpus;"
        f"print(cpus.available(pathlib.Path({str(tmp_path)!r})))"
    )
    assert float(run(script, tmp_path)) == 1.0


@pytest.mark.parametrize(
    ("available", "expected"),
    [(0.01, 1), (0.5, 1), (1.0, 1), (1.99, 1), (2.0, 2), (2.5, 2), (64.0, 64)],
)
def test_a_part_of_a_processor_is_no_thread(available: float, expected: int) -> None:
    assert cpus.threads(available) == expected


@settings(max_examples=100, deadline=None, database=None)
@given(strategies.floats(0.01, MANY))
def test_threads_never_outnumber_the_processors_but_for_the_one(available: float) -> None:
    assert cpus.threads(available) == max(1, math.floor(available))


@pytest.fixture
def real_group(tmp_path: Path) -> Iterator[Path]:
    """A real group of cgroups version 1 with a quota of one processor."""
    group = CGROUP_V1 / f"zeropoint-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup (version 1) can be made here: {error}")
    try:
        try:
            (group / "cpu.cfs_period_us").write_text("100000")
            (group / "cpu.cfs_quota_us").write_text("100000")
        except OSError as error:
            pytest.skip(f"no quota can be set in a cgroup here: {error}")
        yield group
    finally:
        group.rmdir()


def test_a_real_cgroup_of_one_processor_is_seen(real_group: Path, tmp_path: Path) -> None:
    join = f"open({str(real_group / 'cgroup.procs')!r}, 'w').write('0')\n"
    assert float(run(join + SCRIPT, tmp_path)) == 1.0


def run(script: str, home: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment(home, {"PYTHONPATH": str(ROOT / "function")}),
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
