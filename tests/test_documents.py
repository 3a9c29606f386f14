"""The documents say what is so: settings, links, packages, the direction of imports."""

import html
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from servers import ROOT, environment
from zeropoint import settings

README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not any(p.startswith(".") for p in path.parts)
)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def settings_table() -> str:
    rows = ["| variable | default | what |", "|---|---|---|"]
    for row in settings.table():
        default = f"{row.default:g}" if isinstance(row.default, float) else str(row.default)
        rows.append(f"| `{row.variable}` | {f'`{default}`' if default else ''} | {row.help} |")
    return "\n".join(rows)


def pins(path: str) -> dict[str, set[str]]:
    """Returns the versions that a requirements file pins, by package."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", (ROOT / path).read_text(), re.M):
        found.setdefault(name, set()).add(version)
    return found


def test_the_guide_has_every_setting_with_its_default() -> None:
    guide = (ROOT / "docs" / "guides" / "settings.md").read_text()
    table = guide.split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    assert table.strip() == settings_table()


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("path", ["function/requirements.txt", "requirements/dev.txt"])
def test_every_run_time_package_is_pinned_within_its_range(path: str) -> None:
    pinned = pins(path)
    wanted = PYPROJECT["project"]["dependencies"]
    for extra in ("gcs", "metrics", "pubsub"):
        wanted = wanted + PYPROJECT["project"]["optional-dependencies"][extra]
    for requirement in map(Requirement, wanted):
        versions = pinned[requirement.name]
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_the_tests_run_on_the_versions_that_are_deployed() -> None:
    tested = pins("requirements/dev.txt")
    for name, versions in pins("function/requirements.txt").items():
        assert tested[name] == versions, name


LOCKS = (
    "function/zeropoint/edge/installer.txt",
    "function/zeropoint/edge/requirements.txt",
    "function/requirements.txt",
    "requirements/build.txt",
    "requirements/dev.txt",
    "requirements/sbom.txt",
    "tests/beam-requirements.txt",
    "tests/corpora-requirements.txt",
    "tests/kserve-requirements.txt",
    "tests/page-requirements.txt",
    "tests/terraform/checkov-requirements.txt",
)
RECIPES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "model_artifacts").glob("*/recipe/requirements.txt")
)


@pytest.mark.parametrize("path", [*LOCKS, *RECIPES])
def test_requirements_name_no_index(path: str) -> None:
    text = (ROOT / path).read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--extra-index" not in text


PAGES = sorted((ROOT / "docs" / "architecture").glob("*.md"))
MODULES = sorted((ROOT / "function" / "zeropoint").rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_module_stands_on_a_page_of_the_architecture(module: Path) -> None:
    below = module.relative_to(ROOT / "function" / "zeropoint")
    if below.name in ("__main__.py",) or below == Path("__init__.py"):
        return
    names = {f"`{below}`", f"`{below.name}`"}  # of a package that a page is about, its name does
    if below.name == "__init__.py" or below.parts[0] == "cli":
        names |= {f"`{below.parts[0]}/`", f"`{below.parts[0]}/__init__.py`"}
    if below.parts[0] in ("drafting", "optimize", "bench"):
        names.add(f"`{below.parts[0]}/`")
    assert any(name in page.read_text() for name in names for page in PAGES), below


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda path: path.stem)
def test_every_page_of_the_architecture_begins_with_its_promise(page: Path) -> None:
    title, _, promise, *_ = page.read_text().splitlines()
    assert title.startswith(f"# {page.name[:2]} · ")
    assert promise.startswith("**The promise**: ")
    assert f"]({page.name})" in PAGES[0].read_text()


def test_the_drawing_is_of_its_text(tmp_path: Path) -> None:
    """Every word of the drawing's text is in it, and no other; how it is laid out, dot says."""
    text = (ROOT / "docs" / "architecture" / "flow.dot").read_text()
    drawn = (ROOT / "docs" / "architecture" / "flow.svg").read_text()
    labels = re.findall(r'label="([^"]+)"', text)
    wanted = {line for label in labels for line in label.split("\\n")}
    wanted |= {"prepare", "execute", "output"}
    found = {html.unescape(word) for word in re.findall(r"<text[^>]*>([^<]+)</text>", drawn)}
    assert found == wanted


def test_every_pin_has_a_hash() -> None:
    for path in LOCKS:
        for line in re.findall(r"^[a-z0-9._-]+==.*$", (ROOT / path).read_text(), re.M):
            assert line.endswith("\\"), line


def test_imports_point_one_way() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_of_what_serves_only_session_imports_onnxruntime() -> None:
    package = ROOT / "function" / "zeropoint"
    importers = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"^\s*(import|from) onnxruntime", path.read_text(), re.M)
    ]
    assert [name for name in importers if not name.startswith("optimize/")] == ["session.py"]


def test_the_parent_of_a_server_imports_no_runtime_and_no_cloud_client(tmp_path: Path) -> None:
    """What a parent imports, every fork and every cold start pays for."""
    code = (
        "import sys; sys.path.insert(0, 'function'); import zeropoint.function;"
        "print(*sorted(m for m in sys.modules if m in"
        " {'onnxruntime', 'google.cloud.logging', 'google.cloud.storage', 'PIL', 'grpc'}))"
    )
    command = [sys.executable, "-c", code]
    env = environment(tmp_path)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
