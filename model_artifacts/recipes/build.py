"""Build the artifacts that are too large to commit: `make models`.

    python model_artifacts/recipes/build.py [--out REPOSITORY] [NAME]...

Each recipe runs in a virtual environment of its own, kept with the downloads in a cache folder
(``$XDG_CACHE_HOME/zeropoint-recipes`` or ``~/.cache/zeropoint-recipes``). An artifact is moved
into the repository once every file of it has the digest that its model.toml gives. What is there
already is left alone: delete the folder's model.toml to build it again.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from isolated import MODELS, BuildError, cache_folder, follow
from zeropoint.tasks.image import ImageTable


def names() -> list[str]:
    """Returns the models that have to be built: those whose manifest lies in their recipe."""
    return sorted(path.parent.parent.name for path in MODELS.glob("*/recipe/model.toml"))


def build(name: str, repository: Path) -> Path:
    """Builds a model's artifact into a repository, over what is there; returns its folder.

    Raises:
        BuildError: the recipe failed, or a file has another digest than its model.toml gives.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        out = Path(temporary, name)
        out.mkdir()
        follow(name, out)
        _vary(out)
        if (report := MODELS / name / "recipe" / "report").is_dir():
            shutil.copytree(report, out / "report")
        _verify(name, out)
        folder = repository / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(out, folder, dirs_exist_ok=True)
    return folder


def _vary(folder: Path) -> None:
    """Makes a model's variants again, as `zeropoint optimize` made them.

    Raises:
        BuildError: one cannot be made, as it needs samples.
    """
    manifest = tomllib.loads((folder / "model.toml").read_text("utf-8"))
    wanted = {one["name"]: folder / one["file"]["path"] for one in manifest.get("variant", [])}
    if not wanted:
        return
    # Only here, as the extra `optimize` has the packages.
    from zeropoint.optimize.candidates import Job, cache_of, candidates

    image = manifest.get("image")
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        job = Job(
            source=folder / manifest["file"]["path"],
            calibration=(),
            folder=Path(work),
            image=msgspec.convert(image, ImageTable) if image else None,
            judge=lambda path: 0.0,
            only=frozenset(wanted),
            cache=cache_of(manifest),
        )
        problems: list[str] = []
        for made in candidates(job, problems.append):
            target = wanted.pop(made.name)
            target.parent.mkdir(exist_ok=True)
            made.path.replace(target)
    if wanted:
        raise BuildError(f"{folder.name}: expected {', '.join(wanted)}, got {problems[-1]}")


def _verify(name: str, folder: Path) -> None:
    manifest = tomllib.loads((folder / "model.toml").read_text("utf-8"))
    for path, sha256 in _files(manifest):
        got = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        if got != sha256:
            raise BuildError(f"{name}/{path}: expected sha256 {sha256}, got {got}")


def _files(table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the path and digest of every file that a manifest names."""
    if "sha256" in table:
        yield table["path"] if "path" in table else table["input"], table["sha256"]
    for value in table.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from _files(inner)


def main() -> int:
    """Builds the models that the command line names, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--out", type=Path, default=MODELS, help="the repository to build into")
    options = parser.parse_args()
    try:
        for name in options.names or names():
            if name not in names():
                raise BuildError(f"expected one of {', '.join(names())}, got {name!r}")
            if (options.out / name / "model.toml").exists():
                continue
            print(f"{build(name, options.out)}: built", flush=True)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
