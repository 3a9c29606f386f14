"""Memory at its limit: a request is refused, and the process lives; in groups laid out and real."""

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import requests
from onnx import numpy_helper
from PIL import Image

from servers import SERVE, Server
from tiny_models import colour_graph, picture, sha256, write_colour_model, write_identity_model
from zeropoint import headroom
from zeropoint.errors import InsufficientMemoryError

MIB = 1 << 20
LIMIT = 256 * MIB
NO_LIMIT_V1 = 9223372036854771712
V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


def left(root: Path, cgroup: str, files: Mapping[str, object], meminfo: str = "") -> float:
    """Lays out a root with /proc/self/cgroup and files below /sys/fs/cgroup, and reads it."""
    texts = {"proc/self/cgroup": cgroup, "proc/meminfo": meminfo}
    texts |= {f"sys/fs/cgroup/{name}": f"{text}\n" for name, text in files.items()}
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return headroom.left(root)


def v1(group: str, limit: int, usage: int, stat: str = "") -> dict[str, object]:
    found = {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": usage, "memory.stat": stat}
    return {f"memory{group}/{name}": text for name, text in found.items()}


def v2(group: str, limit: object, usage: int, stat: str = "") -> dict[str, object]:
    found = {"memory.max": limit, "memory.current": usage, "memory.stat": stat}
    return {f"{group}/{name}": text for name, text in found.items()}


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        pytest.param("0::/\n", v2(".", 1000, 400), 600, id="v2"),
        pytest.param(
            "0::/\n",
            v2(".", 1000, 900, "anon 1\ninactive_file 200\nactive_file 100"),
            400,
            id="v2 with pages of files",
        ),
        pytest.param(
            "0::/a/b\n",
            v2("a/b", 1000, 100) | v2("a", 500, 200) | v2(".", "max", 10**9),
            300,
            id="v2 nested, the parent tighter",
        ),
        pytest.param("0::/a\n", v2("a", "max", 5), 2048, id="v2 without a limit"),
        pytest.param("4:memory:/\n", v1("", 1000, 400), 600, id="v1"),
        pytest.param("4:memory:/\n", v1("", NO_LIMIT_V1, 400), 2048, id="v1 without a limit"),
        pytest.param(
            "4:memory:/a\n0::/\n",
            v1("/a", 1000, 900, "inactive_file 7\ntotal_inactive_file 300\ntotal_active_file 50")
            | v1("", NO_LIMIT_V1, 10**9),
            450,
            id="v1 among others, with pages of files",
        ),
        pytest.param(
            "4:memory:/docker/1\n", v1("", 1000, 400), 600, id="v1, the host's path not mounted"
        ),
        pytest.param("0::/\n", v2(".", "nonsense", 5), 2048, id="nonsense"),
        pytest.param("", {}, 2048, id="no cgroups"),
    ],
)
def test_what_is_left_is_of_the_tightest_group_or_of_the_system(
    tmp_path: Path, cgroup: str, files: dict[str, object], expected: int
) -> None:
    meminfo = "MemTotal: 9 kB\nMemAvailable:   2 kB\n"
    assert left(tmp_path, cgroup, files, meminfo) == expected


def test_where_nobody_tells_there_is_no_limit(tmp_path: Path) -> None:
    assert left(tmp_path, "", {}) == float("inf")


def test_what_is_promised_is_not_promised_again() -> None:
    most = int(headroom.left())
    with headroom.reserve(most // 2):
        with (
            pytest.raises(InsufficientMemoryError, match=r"^insufficient memory: expected"),
            headroom.reserve(most // 2),
        ):
            pass
        with headroom.reserve(MIB - 1):  # too small to be asked for
            pass
    with headroom.reserve(most // 2):
        pass
    assert headroom._promised == 0


@pytest.fixture
def group() -> Iterator[Path]:
    """A real group with a limit."""
    base = V1 if V1.is_dir() else V2
    group = base / f"zeropoint-test-memory-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        limit = group / ("memory.limit_in_bytes" if base is V1 else "memory.max")
        try:
            limit.write_text(str(LIMIT))
        except OSError as error:
            pytest.skip(f"no limit can be set in a cgroup here: {error}")
        yield group
    finally:
        group.rmdir()


@pytest.fixture
def tight(group: Path, tmp_path: Path) -> Iterator[Server]:
    """A server in that group."""
    write_colour_model(tmp_path)
    write_identity_model(tmp_path, "FLOAT", rank=1)
    settings = {"ZEROPOINT_MODELS": str(tmp_path), "ZEROPOINT_MODEL": "colour"}
    join = f'echo $$ > {group}/cgroup.procs; exec "$@"'
    with Server(settings, command=("sh", "-c", join, "sh", *SERVE)) as running:
        running.wait_until_ready()
        yield running
        assert predict(running, picture("red")).json()["predictions"][0]["label"] == "red"
        for name in ("memory.oom_control", "memory.events"):
            if (group / name).is_file():
                assert re.search(r"^oom_kill 0$", (group / name).read_text(), re.M)


def predict(server: Server, data: bytes, media_type: str = "image/png") -> requests.Response:
    headers = {"content-type": media_type}
    return requests.post(server.url + "/predict", data=data, headers=headers, timeout=60)


def photo(mode: str, width: int, height: int, format_: str) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height), "red").save(file, format_, compress_level=1)
    return file.getvalue()


def code(response: requests.Response) -> str:
    return "" if response.ok else str(response.json()["error"]["code"])


def test_a_photo_too_large_for_the_memory_is_refused_and_smaller_ones_are_not(
    tight: Server,
) -> None:
    large = predict(tight, photo("RGBA", 7000, 7000, "PNG"))
    assert large.status_code == 503
    assert int(large.headers["Retry-After"]) >= 1
    error = large.json()["error"]
    assert (error["code"], error["retryable"]) == ("insufficient_memory", True)
    assert error["message"].startswith("insufficient memory: expected")
    assert predict(tight, photo("RGB", 3000, 3000, "PNG")).ok


def test_many_large_photos_at_once_are_answered_or_refused(tight: Server) -> None:
    photos = [
        photo("RGBA", 2500, 2500, "PNG"),
        photo("RGB", 3500, 3500, "WEBP"),
        photo("L", 4000, 4000, "TIFF"),
    ]
    with ThreadPoolExecutor(12) as pool:
        found = [*pool.map(lambda n: predict(tight, photos[n % 3]), range(24))]
    assert {code(one) for one in found} <= {"", "insufficient_memory"}
    assert any(one.ok for one in found)


def test_many_large_bodies_at_once_are_refused_before_they_are_whole(tight: Server) -> None:
    body = picture("red") + bytes(30 * MIB)
    with ThreadPoolExecutor(12) as pool:
        found = [*pool.map(lambda _: predict(tight, body), range(24))]
    codes = {code(one) for one in found}
    assert codes <= {"", "insufficient_memory", "overloaded"}
    assert "insufficient_memory" in codes


@pytest.mark.parametrize("values", ["0.125", "[]", "{}", '""'])
def test_json_that_would_take_more_than_there_is_is_refused(tight: Server, values: str) -> None:
    count = 30 * MIB // (len(values) + 1)
    body = b'{"instances":[' + ",".join([values] * count).encode() + b"]}"
    url = tight.url + "/predict/float"
    headers = {"content-type": "application/json"}
    with ThreadPoolExecutor(3) as pool:
        found = [
            *pool.map(lambda _: requests.post(url, data=body, headers=headers, timeout=60), "123")
        ]
    for response in found:
        assert response.status_code in (413, 422, 503), json.dumps(response.json())


def test_a_model_too_large_for_the_memory_is_refused_alone(tight: Server, tmp_path: Path) -> None:
    graph = colour_graph()
    ballast = numpy_helper.from_array(np.zeros(LIMIT // 4 - MIB, np.float32), "ballast")
    graph.graph.initializer.append(ballast)
    folder = write_colour_model(tmp_path, "large")
    before = sha256(folder / "model.onnx")
    onnx.save(graph, folder / "model.onnx")
    toml = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(toml.replace(before, sha256(folder / "model.onnx")))
    refused = requests.post(tight.url + "/predict/large", data=picture("red"), timeout=60)
    assert (refused.status_code, code(refused)) == (503, "model_unavailable")
    (told,) = [one["message"] for one in tight.records() if one["severity"] == "ERROR"]
    assert told.startswith("model large not loaded: insufficient memory: expected")
