"""What is in the image: how it says that it is run, whose its files are, and what weighs what."""

import os
import re
import shutil
import stat
import tomllib
from pathlib import Path

import pytest

from container import images
from servers import ROOT

_GUIDE = ROOT / "docs" / "guides" / "container.md"
_MEGABYTE = 1e6
# At most 400 MB in all; the official base is given 125 of them.
_MOST_ADDED = 275 * _MEGABYTE
_SITE_PACKAGES = "opt/venv/lib/python3.13/site-packages"
_STDLIBS = ("usr/local/lib/python3.13", "usr/lib/python3.13")  # python.org's, and Debian's
_PARTS = {
    "ONNX Runtime": ("onnxruntime",),
    "NumPy with OpenBLAS": ("numpy", "numpy.libs"),
    "Pillow with its codecs": ("PIL", "pillow.libs"),
    "gRPC": ("grpc",),
    "Google's clients": ("google", "proto"),
    "cryptography": ("cryptography",),
    "tokenizers": ("tokenizers",),
}


def size(folder: Path, pattern: str = "*") -> float:
    """Returns the bytes of the files below a folder."""
    found = [path.lstat() for path in folder.rglob(pattern)]
    return float(sum(one.st_size for one in found if stat.S_ISREG(one.st_mode)))


def stdlib(root: Path) -> Path:
    return next(root / place for place in _STDLIBS if (root / place / "os.py").is_file())


def weights(root: Path) -> dict[str, float]:
    """Returns what each part adds to the base, in bytes."""
    packages = root / _SITE_PACKAGES
    parts = {part: sum(size(packages / name) for name in _PARTS[part]) for part in _PARTS}
    models = size(root / "app" / "model_artifacts")
    return {
        **parts,
        "other packages": size(root / "opt" / "venv") - sum(parts.values()),
        "bytecode of the standard library": size(stdlib(root), "*.pyc"),
        "the function": size(root / "app") - models,
        images.MODEL: models,
    }


def test_the_image_says_how_it_is_run(tag: str) -> None:
    config = images.config(tag)
    assert config["Entrypoint"] == ["python", "-m", "zeropoint"]
    assert config["Cmd"] == ["serve", "--host", "0.0.0.0"]  # noqa: S104 - the container's own
    assert config["StopSignal"] == "SIGTERM"
    assert config["WorkingDir"] == "/app"
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert config["User"] == images.USER  # a number: Kubernetes' runAsNonRoot asks for one
    assert f"ZEROPOINT_COMMIT={images.COMMIT}" in config["Env"]


def test_the_image_says_what_it_is(tag: str) -> None:
    prefix = "org.opencontainers.image."
    found = images.config(tag)["Labels"]
    labels = {key.removeprefix(prefix): value for key, value in found.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert labels["title"] == project["name"]
    assert labels["description"] == project["description"]
    assert labels["licenses"] == project["license"]
    assert labels["revision"] == images.COMMIT
    assert labels["base.name"].partition("@")[0].endswith("python:3.13-slim")


def test_nothing_in_it_installs_or_compiles(root: Path) -> None:
    folders = [root / place for place in ("opt/venv/bin", "usr/local/bin", "usr/bin", "usr/sbin")]
    programs = {path.name for folder in folders for path in folder.iterdir()}
    assert "python3" in programs
    tools = re.compile(r"pip[\d.]*|uv|easy_install|(.*-)?(gcc|g\+\+|cc|c\+\+|clang|ld|as|make)")
    assert [name for name in programs if tools.fullmatch(name)] == []
    packages = [root / "opt", stdlib(root), root / "usr/lib/python3", root / "usr/share"]
    found = [path for folder in packages for path in folder.rglob("pip*")]
    named = re.compile(r"pip|pip-.*\.(dist-info|whl)")
    assert [path for path in found if named.fullmatch(path.name)] == []
    assert not (stdlib(root) / "ensurepip").exists()


def test_its_user_can_read_all_of_it_and_write_none(root: Path) -> None:
    for folder in (root / "app", root / "opt" / "venv"):
        for path in (folder, *folder.rglob("*")):
            found = path.lstat()
            assert (found.st_uid, found.st_gid) == (0, 0), path
            if stat.S_ISLNK(found.st_mode):
                continue
            wanted = 0o555 if stat.S_ISDIR(found.st_mode) else 0o444
            assert found.st_mode & wanted == wanted, path
            assert found.st_mode & 0o022 == 0, path


def test_it_holds_the_chosen_model_without_its_recipe(root: Path) -> None:
    models = root / "app" / "model_artifacts"
    assert os.listdir(models) == [images.MODEL]
    source = ROOT / "model_artifacts" / images.MODEL
    left_out = {"recipe", "report"}
    assert set(os.listdir(models / images.MODEL)) == set(os.listdir(source)) - left_out
    assert not list((root / "app").rglob("*.egg-info"))


def test_every_module_has_bytecode_that_is_believed(root: Path) -> None:
    """A time in it would be compared with the file's, which image tools rewrite."""
    folders = [root / "app", root / "opt/venv/lib", stdlib(root)]
    unlike = [
        path
        for folder in folders
        for path in folder.rglob("*.py")
        if not re.search(r"/(test|idlelib|tkinter|turtledemo)/", str(path))
        and bytecode_flags(path) != 0b01  # by hash, not checked: PEP 552
    ]
    assert unlike == []


def bytecode_flags(source: Path) -> int | None:
    cached = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
    if not cached.is_file():
        return None
    with cached.open("rb") as file:
        return int.from_bytes(file.read(8)[4:], "little")


def test_the_image_is_small(root: Path) -> None:
    found = weights(root)
    assert sum(found.values()) <= _MOST_ADDED, found


def test_the_guide_says_what_weighs_what(root: Path) -> None:
    """A figure may be half a megabyte or a tenth off."""
    section = _GUIDE.read_text().split("<!-- weights -->")[1].split("<!-- /weights -->")[0]
    told = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+) \|", section, re.M))
    found = {part: f"{bytes_ / _MEGABYTE:.1f}" for part, bytes_ in weights(root).items()}
    found["added in all"] = f"{sum(weights(root).values()) / _MEGABYTE:.1f}"
    rows = "\n".join(f"| {part} | {megabytes} |" for part, megabytes in found.items())
    assert list(told) == list(found), rows
    for part, megabytes in found.items():
        assert float(told[part]) == pytest.approx(float(megabytes), rel=0.1, abs=0.5), rows


def test_models_are_chosen_by_name(tmp_path: Path) -> None:
    context = context_with_models(tmp_path, "colour", "shape", "unwanted")
    images.need_buildah()
    chosen = images.build_stage(context, "models", MODELS="colour shape")
    try:
        made = images.buildah("from", chosen).stdout.strip()
        folder = Path(images.buildah("mount", made).stdout.strip()) / "chosen"
        assert sorted(os.listdir(folder)) == ["colour", "shape"]
        assert os.listdir(folder / "colour") == ["model.toml"]
        assert stat.S_IMODE((folder / "colour" / "model.toml").stat().st_mode) == 0o644
        images.buildah("rm", made)
    finally:
        images.buildah("rmi", chosen)


def test_a_model_that_is_not_there_stops_the_build(tmp_path: Path) -> None:
    context = context_with_models(tmp_path, "colour")
    (context / "model_artifacts" / "recipe-only").mkdir()
    images.need_buildah()
    with pytest.raises(AssertionError, match=r"recipe-only has none \(make models builds those"):
        images.build_stage(context, "models", MODELS="colour recipe-only")


def context_with_models(context: Path, *names: str) -> Path:
    """Makes a build context with models that a strict umask has made its owner's alone."""
    shutil.copy(ROOT / ".dockerignore", context)
    for name in names:
        model = context / "model_artifacts" / name
        for part in (model, model / "recipe", model / "report"):
            part.mkdir(parents=True)
            (part / "model.toml").touch(mode=0o600)
    return context
