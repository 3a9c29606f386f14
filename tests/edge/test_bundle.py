"""A bundle is made here, installed where there is no network, and upgraded."""

import hashlib
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from filelock import FileLock
from packaging.markers import default_environment

from conftest import CAT
from namespaces import namespace
from servers import ROOT, environment
from test_locks import entries
from tiny_models import write_colour_model
from zeropoint.artifact import LocalRepository
from zeropoint.edge import bundle, wheel
from zeropoint.edge.target import Target
from zeropoint.errors import ModelNotFoundError, SettingsError, ZeropointError
from zeropoint.settings import Settings

PACKAGE = ROOT / "function" / "zeropoint"
GUIDE = ROOT / "docs" / "guides" / "device.md"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
TARGET = Target("x86_64", "3.11")
_WAIT_S = 300

needs_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="bundles are for Linux on x86_64 and aarch64",
)


def run(*command: object, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command as a person would who has pip set up, but none of our settings."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("ZEROPOINT_")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=own | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=_WAIT_S,
    )


def install(
    folder: Path, prefix: Path, *options: object, home: Path
) -> "subprocess.CompletedProcess[str]":
    """Runs a bundle's installer where there is no network, with a home that has nothing."""
    command = [*namespace(), "sh", folder / "install.sh", "--prefix", prefix, *options]
    return subprocess.run(
        [str(part) for part in command],
        cwd=home,
        env=environment(home, {"PYTHON": sys.executable}, measured=False),
        capture_output=True,
        text=True,
        check=False,
        timeout=_WAIT_S,
    )


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for this machine, made by the command, once for all processes of the tests."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder = shared / "bundle"
    with FileLock(shared / "bundle.lock"):
        if not folder.exists():
            machine = f"linux-{platform.machine()}"
            done = run(sys.executable, "-m", "zeropoint", "bundle", folder, "--platform", machine)
            if done.returncode and os.environ.get("CI") != "true" and "pip" in done.stderr:
                pytest.skip(f"no wheels could be fetched: {done.stderr.strip()[-300:]}")
            assert done.returncode == 0, done.stderr
            count = len(entries(folder / "requirements.txt"))
            assert (
                f"wrote {folder}: {count} wheels for {machine} and Python {PYTHON}," in done.stdout
            )
            digest = hashlib.sha256((folder / bundle.SUMS).read_bytes()).hexdigest()
            assert digest in done.stdout
    return folder


@pytest.fixture(scope="module")
def installed(bundled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of an installation, with units in a folder beside it; one test upgrades it."""
    prefix = tmp_path_factory.mktemp("device") / "zeropoint"
    units = prefix.parent / "units"
    done = install(bundled, prefix, "--", "--to", units, home=prefix.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return prefix


def changed(bundled: Path, place: Path, change: Callable[[Path], None]) -> Path:
    """Returns a bundle of its own digest: the same files but for what is changed."""
    folder = place / "bundle"
    shutil.copytree(bundled, folder, copy_function=os.link)
    names = (bundle.SUMS, "target", "requirements.txt")
    for path in (*map(folder.joinpath, names), *folder.glob("models/*/model.toml")):
        text = path.read_text()
        path.unlink()  # and not the bundle's own, which it is linked to
        path.write_text(text)
    change(folder)
    sums = folder / bundle.SUMS
    lines = [line.split("  ", 1)[1] for line in sums.read_text().splitlines()]
    sums.write_text(
        "".join(
            f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
            for name in lines
        )
    )
    return folder


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def model_toml(folder: Path) -> Path:
    return folder / "models" / "efficientnet-lite0" / "model.toml"


@needs_linux
def test_what_was_carried_predicts_without_a_network(installed: Path, tmp_path: Path) -> None:
    zeropoint = str(installed / "bin" / "zeropoint")
    command = [*namespace(), zeropoint, "predict", str(CAT), "--json"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(tmp_path, measured=False),
        capture_output=True,
        text=True,
        check=False,
        timeout=_WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prediction"]["label"] == "tiger cat"
    program = Path(__file__).with_name("carried.py")
    paths = {"PYTHONPATH": f"{ROOT / 'function'}:{ROOT / 'tests'}"}
    done = subprocess.run(
        [*namespace(), sys.executable, str(program), str(installed)],
        env=environment(tmp_path, paths, measured=False),
        capture_output=True,
        text=True,
        check=False,
        timeout=_WAIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {
        "photo": ["tiger cat"],
        "form": ["tiger cat"] * 2,
        "v2": ["tiger cat"],
        "activated": [["tiger cat", 0]] * 2
        if shutil.which("systemd-socket-activate")
        else [[]] * 2,
        "metrics": True,
        "lost": 0,
    }


@needs_linux
def test_a_lean_device_has_nothing_of_google_cloud_and_says_what_is_missing(
    installed: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [installed / "bin" / "zeropoint", "models"],
        env=environment(tmp_path, {"ZEROPOINT_MODELS": "gs://bucket/models"}, measured=False),
        capture_output=True,
        text=True,
        check=False,
        timeout=_WAIT_S,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("zeropoint: gs:// needs google-cloud-storage: pip install")
    done = subprocess.run(
        [installed / "bin" / "zeropoint", "bundle", tmp_path / "out", "--all"],
        env=environment(tmp_path, measured=False),
        capture_output=True,
        text=True,
        check=False,
        timeout=_WAIT_S,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("zeropoint: expected a clone of the repository for --all")
    (packages,) = installed.glob("current/lib/python3*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert not {"google", "grpc", "flask", "functions_framework", "huggingface_hub", "pip"} & names


@needs_linux
def test_the_guide_has_the_size_of_an_installation(bundled: Path, installed: Path) -> None:
    (told,) = re.findall(r"^\| a lean bundle, installed \| ([0-9]+) \|", GUIDE.read_text(), re.M)
    release = (installed / "current").resolve()
    files = [
        path
        for folder in (release, bundled / "models")
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    ]
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    assert size_mb < 260
    if platform.machine() == "x86_64" and PYTHON == "3.11":  # which the guide's is of
        assert size_mb == pytest.approx(int(told), rel=0.05)
    assert any(path.suffix == ".pyc" for path in files), "a service could write none"


@needs_linux
def test_an_upgrade_switches_once_all_of_it_works(
    bundled: Path, installed: Path, tmp_path: Path
) -> None:
    units = installed.parent / "units"
    service = (units / "zeropoint.service").read_text()
    assert f"{installed}/current/bin/python" in service, "it would stay with this release"
    first = (installed / "current").resolve()

    def break_it(folder: Path) -> None:
        replace(model_toml(folder), 'label = "tiger cat"', 'label = "teapot"')

    (tmp_path / "broken").mkdir()
    broken = changed(bundled, tmp_path / "broken", break_it)
    done = install(broken, installed, home=tmp_path)
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert (installed / "current").resolve() == first
    assert versions(installed, tmp_path) == ["1"]

    (tmp_path / "newer").mkdir()
    newer = changed(bundled, tmp_path / "newer", renew)
    half = installed / "releases" / release_of(newer)  # as after a power cut
    half.mkdir()
    (half / "bin").touch()
    before = {path: path.stat().st_mtime_ns for path in units.iterdir()}
    done = install(newer, installed, home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    second = (installed / "current").resolve()
    assert second == half
    assert {path.name for path in second.parent.iterdir()} == {first.name, second.name}
    assert versions(installed, tmp_path) == ["2"]
    assert {path: path.stat().st_mtime_ns for path in units.iterdir()} == before

    done = install(newer, installed, home=tmp_path)  # and again: nothing to do
    assert done.returncode == 0, done.stdout + done.stderr
    assert (installed / "current").resolve() == second
    assert first.exists()


def renew(folder: Path) -> None:
    """Makes a bundle of a newer model, and of another release: other lines, other digest."""
    replace(model_toml(folder), 'version = "1"', 'version = "2"')
    lines = (folder / "requirements.txt").read_text().splitlines(keepends=True)
    (folder / "requirements.txt").write_text("".join(reversed(lines)))


def release_of(folder: Path) -> str:
    """Returns the name of the release that a bundle makes."""
    version = (folder / "target").read_text().split()[-1]
    digest = hashlib.sha256((folder / "requirements.txt").read_bytes()).hexdigest()
    return f"{version}-{digest[:12]}"


@needs_linux
@pytest.mark.skipif("ZEROPOINT_KILLS" not in os.environ, reason="the long form: ZEROPOINT_KILLS=20")
def test_an_installer_killed_at_any_moment_leaves_one_that_predicts(
    bundled: Path, tmp_path: Path
) -> None:
    prefix = tmp_path / "zeropoint"
    (tmp_path / "newer").mkdir()
    newer = changed(bundled, tmp_path / "newer", renew)
    began_s = time.monotonic()
    done = install(bundled, prefix, "--no-units", home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    whole_s = time.monotonic() - began_s
    moments = random.Random(11)  # noqa: S311 - the moments of a test
    for kill in range(int(os.environ["ZEROPOINT_KILLS"])):
        folder = (newer, bundled)[kill % 2]
        process = subprocess.Popen(
            ["/bin/sh", str(folder / "install.sh"), "--prefix", str(prefix), "--no-units"],
            env=environment(tmp_path, {"PYTHON": sys.executable}, measured=False),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(moments.uniform(0.0, 1.3 * whole_s))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        done = subprocess.run(
            [prefix / "bin" / "zeropoint", "predict", CAT, "--json"],
            env=environment(tmp_path, measured=False),
            capture_output=True,
            text=True,
            check=False,
            timeout=_WAIT_S,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["prediction"]["label"] == "tiger cat"
    done = install(newer, prefix, "--no-units", home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (prefix / "current").resolve().name == release_of(newer)


def versions(prefix: Path, home: Path) -> list[str]:
    done = subprocess.run(
        [prefix / "bin" / "zeropoint", "models", "--json"],
        env=environment(home, measured=False),
        capture_output=True,
        text=True,
        check=True,
        timeout=_WAIT_S,
    )
    return [one["version"] for one in json.loads(done.stdout)["models"]]


@needs_linux
def test_a_damaged_bundle_is_refused_before_anything_is_written(
    bundled: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundled, folder, copy_function=os.link)
    model = folder / "models" / "efficientnet-lite0" / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.unlink()
    model.write_bytes(data)
    done = install(folder, tmp_path / "zeropoint", home=tmp_path)
    assert done.returncode == 1
    assert "install.sh: the bundle is damaged" in done.stderr
    assert not (tmp_path / "zeropoint").exists()


@needs_linux
@pytest.mark.parametrize(
    ("machine", "python", "glibc", "told"),
    [
        ("riscv64", PYTHON, "2.28", "for a processor riscv64, and this is "),
        (platform.machine(), "3.9", "2.28", "for CPython 3.9, and this is CPython 3."),
        (platform.machine(), PYTHON, "9.9", "for glibc 9.9 or newer, and this is glibc 2."),
    ],
)
def test_another_machine_is_told_what_does_not_fit(
    bundled: Path, tmp_path: Path, machine: str, python: str, glibc: str, told: str
) -> None:
    def move(folder: Path) -> None:
        (folder / "target").write_text(f"{machine} {python} {glibc} 1\n")

    folder = changed(bundled, tmp_path, move)
    done = install(folder, tmp_path / "zeropoint", home=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert not (tmp_path / "zeropoint").exists()


@needs_linux
@pytest.mark.parametrize("options", [("--prefix", "a b"), ("--prefix", "/x;y"), ("--fast",)])
def test_the_installer_refuses_what_it_does_not_know(
    bundled: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = install(bundled, tmp_path / "zeropoint", *options, home=tmp_path)
    assert done.returncode == 1
    assert "install.sh: expected" in done.stderr
    assert not (tmp_path / "zeropoint").exists()


@needs_linux
def test_every_file_of_a_bundle_has_its_digest(bundled: Path) -> None:
    told = {}
    for line in (bundled / bundle.SUMS).read_text().splitlines():
        digest, name = line.split("  ", 1)
        told[name] = digest
    found = {
        path.relative_to(bundled).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in bundled.rglob("*")
        if path.is_file() and path.name != bundle.SUMS
    }
    assert told == found
    assert not any("recipe" in name for name in found)
    wheels = {path.name for path in (bundled / "wheels").iterdir()}
    assert len(entries(bundled / "requirements.txt")) == len(wheels) - 1, "but for pip's own"


@pytest.mark.skipif(
    os.environ.get("ZEROPOINT_WHEELS") != "full", reason="the long form: ZEROPOINT_WHEELS=full"
)
def test_a_bundle_of_all_packages_is_made_for_another_machine(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--platform", "linux-aarch64", "--python", "3.13", "--all")
    done = run(sys.executable, "-m", "zeropoint", "bundle", out, *options)
    assert done.returncode == 0, done.stderr
    lock = (ROOT / "function" / "requirements.txt").read_text()
    wheels = {path.name for path in (out / "wheels").iterdir()}
    assert len(wheels) == len(Target("aarch64", "3.13").lines(lock)) + 2, "with zeropoint, pip"
    assert not any("x86_64" in name and "aarch64" not in name for name in wheels)
    assert any(name.startswith("grpcio-") and "cp313" in name for name in wheels)


def repository(place: Path) -> LocalRepository:
    write_colour_model(place / "models")
    return LocalRepository(place / "models")


def test_out_must_be_free(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(SettingsError, match="expected no such folder, or an empty one"):
        bundle.make(out, repository(tmp_path), ["colour"], TARGET, Settings())
    assert [path.name for path in out.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["grey", "../colour"])
def test_an_unknown_model_is_told_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="expected a model"):
        bundle.make(tmp_path / "out", repository(tmp_path), [name], TARGET, Settings())
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_a_model_that_does_not_give_its_answer_is_not_packed(tmp_path: Path) -> None:
    models = repository(tmp_path)
    (tmp_path / "models" / "colour" / "model.onnx").write_bytes(b"")
    with pytest.raises(ZeropointError, match="expected sha256"):
        bundle.make(tmp_path / "out", models, ["colour"], TARGET, Settings())
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_what_pip_cannot_fetch_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = repository(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "models"))
    with pytest.raises(SettingsError, match=r"linux-x86_64 and Python 3\.11, got: .*pip==") as told:
        bundle.make(tmp_path / "out", models, ["colour"], TARGET, Settings())
    assert "\n" not in told.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


@pytest.mark.parametrize(
    ("system", "python"),
    [("linux-armv7l", "3.11"), ("darwin-arm64", "3.11"), ("linux-x86_64", "3.10")],
)
def test_machines_without_wheels_are_refused(system: str, python: str) -> None:
    with pytest.raises(SettingsError, match=r"expected .*, got"):
        Target.of(system, python)


def test_models_of_a_bucket_cannot_be_packed(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "zeropoint", "bundle", tmp_path / "out")
    done = run(*command, ZEROPOINT_MODELS="gs://bucket/models")
    assert done.returncode == 1
    assert done.stderr.startswith("zeropoint: expected ZEROPOINT_MODELS to be a folder")


@pytest.mark.parametrize("lock", ["requirements.txt", "zeropoint/edge/requirements.txt"])
def test_the_markers_mean_what_they_mean_on_the_machine_itself(
    lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "function" / lock).read_text()
    if sys.platform == "linux":
        target = Target(platform.machine(), PYTHON)
        ours = target.lines(text)
        monkeypatch.setattr(Target, "_environment", lambda self: dict(default_environment()))
        assert target.lines(text) == ours
    monkeypatch.undo()
    old, new = (Target("aarch64", python).lines(text) for python in ("3.11", "3.12"))
    assert [line.split()[0] for line in old] != [line.split()[0] for line in new], "of NumPy"
    assert all(" --hash=sha256:" in line and ";" not in line for line in old + new)


def test_the_wheel_is_the_package_that_runs_byte_by_byte(tmp_path: Path) -> None:
    path = wheel.write(tmp_path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        assert archive.read("zeropoint/cli/serve.py") == (PACKAGE / "cli/serve.py").read_bytes()
        record = archive.read("zeropoint-0.1.0.dist-info/RECORD").decode()
        entry_points = archive.read("zeropoint-0.1.0.dist-info/entry_points.txt").decode()
    assert {line.split(",")[0] for line in record.splitlines()} == names
    assert entry_points == metadata.distribution("zeropoint").read_text("entry_points.txt")
    assert {"zeropoint/py.typed", "zeropoint/edge/install.sh"} <= names
    assert not any("__pycache__" in name for name in names)
    assert wheel.write(tmp_path).read_bytes() == data


def test_a_built_package_has_every_file_that_is_no_module() -> None:
    """What pyproject.toml does not name, pip leaves out of a wheel that it builds."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = told["package-data"]["zeropoint"]
    others = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    named = {path.relative_to(PACKAGE).as_posix() for one in patterns for path in PACKAGE.glob(one)}
    assert others <= named
