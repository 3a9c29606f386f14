"""The two build files: what they say, and that their steps, run as they say, ship a commit."""

import os
import re
import shutil
import string
import subprocess
import sys
from collections import ChainMap
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.cloud import COMMIT, DEPLOY, IMAGE, Cloud, Revision
from servers import ROOT

_BUILT_IN = {
    "PROJECT_ID": "p",
    "BUILD_ID": "b1",
    "COMMIT_SHA": COMMIT,
    "REPO_FULL_NAME": "owner/zeropoint",
}
FILES = (ROOT / "cloudbuild.yaml", DEPLOY / "release.yaml")
both = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def read(file: Path) -> dict[str, Any]:
    return dict(msgspec.yaml.decode(file.read_bytes()))


def resolve(file: Path, given: dict[str, str] | None = None) -> dict[str, Any]:
    """Returns a build as Cloud Build sees it, every substitution put in."""
    known = {**_BUILT_IN, **read(file)["substitutions"], **(given or {})}
    for _ in range(3):  # one may name another
        known = {name: string.Template(value).substitute(known) for name, value in known.items()}
    text = re.sub(r"^substitutions:.*", "", file.read_text(), flags=re.M | re.S)
    text = re.sub(r" *#.*", "", text)
    return dict(msgspec.yaml.decode(string.Template(text).substitute(known)))


def settings(build: dict[str, Any], step: dict[str, Any]) -> dict[str, str]:
    """Returns the variables that a step's script gets."""
    lines = [*build["options"].get("env", []), *step.get("env", [])]
    return dict(line.split("=", 1) for line in lines)


def script(step: dict[str, Any]) -> str:
    (path,) = step["args"]
    return str(path).removeprefix("deploy/")


def run(cloud: Cloud, build: dict[str, Any], skip: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Runs a build's steps as Cloud Build would, until one fails; returns those that passed."""
    passed: list[str] = []
    for step in build["steps"]:
        if step["id"] not in skip:
            state = {"STATE": str(cloud.folder / "state")}  # /workspace is Cloud Build's own
            env = {"DIGEST": "", **settings(build, step), **state}
            if cloud.run(script(step), env).returncode:
                break
        passed.append(step["id"])
    return tuple(passed)


@pytest.fixture
def cloud(tmp_path: Path, revision: Revision) -> Cloud:
    """A fake cloud, with all programs that the steps start."""
    return Cloud(tmp_path, f"{revision.url}/ok", ("docker", "slsa-verifier"))


@both
def test_steps_only_call_scripts_of_this_repository(file: Path) -> None:
    for step in read(file)["steps"]:
        assert step.keys() <= {"id", "name", "waitFor", "entrypoint", "args", "env", "timeout"}
        assert step["entrypoint"] == "bash"
        assert os.access(DEPLOY / script(step), os.X_OK)


@both
def test_builders_are_pinned(file: Path) -> None:
    names = {step["name"] for step in read(file)["steps"]}
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", name) for name in names)
    assert len({name.split("@")[0].split(":")[0] for name in names}) == len(names)  # one of each


@both
def test_each_script_gets_what_it_needs(file: Path) -> None:
    build = read(file)
    for step in build["steps"]:
        text = (DEPLOY / script(step)).read_text()
        needed = {word for line in re.findall(r"^need (.*)", text, re.M) for word in line.split()}
        assert needed <= settings(build, step).keys(), step["id"]


@both
def test_every_substitution_is_known_and_used(file: Path) -> None:
    text = re.sub(r" *#.*", "", file.read_text())
    used = set(re.findall(r"\$\{?(\w+)", text))
    assert {name for name in used if name.startswith("_")} == read(file)["substitutions"].keys()
    assert {name for name in used if not name.startswith("_")} <= _BUILT_IN.keys()


@both
def test_builds_run_as_their_own_account(file: Path) -> None:
    build = resolve(file)
    assert build["serviceAccount"] == (
        "projects/p/serviceAccounts/zeropoint-builder@p.iam.gserviceaccount.com"
    )
    assert build["options"]["logging"] == "CLOUD_LOGGING_ONLY"  # or such an account is refused


def test_tests_run_beside_the_build_and_before_anything_leaves() -> None:
    steps = {step["id"]: step["waitFor"] for step in read(FILES[0])["steps"]}
    assert steps == {
        "lint-test": ["-"],
        "build": ["-"],
        "scan": ["build"],
        "hand-over": ["lint-test", "scan"],
    }


def test_the_image_is_pushed_so_that_it_gets_a_provenance() -> None:
    build = resolve(FILES[0])
    assert build["images"] == [f"{IMAGE}:{COMMIT}"]
    assert build["options"]["requestedVerifyOption"] == "VERIFIED"
    assert not any("docker push" in path.read_text() for path in DEPLOY.glob("*.sh"))


def test_the_release_is_given_time_to_roll_back() -> None:
    build = read(FILES[1])
    *_, release = build["steps"]
    assert release["id"] == "release"
    text = (DEPLOY / "release.sh").read_text() + (DEPLOY / "rollback.sh").read_text()
    (whole,) = set(re.findall(r"RELEASE_S:-(\d+)", text))
    (deploy,) = re.findall(r"DEPLOY_S:-(\d+)", text)
    (tries,) = re.findall(r"ROLLBACK_TRIES:-(\d+)", text)
    (call,) = re.findall(r"ROLLBACK_CALL_S:-(\d+)", text)
    one_share = 2000  # each of its calls at its longest
    back = int(tries) * (2 * (int(call) + 10) + 30)
    seconds = int(release["timeout"].removesuffix("s"))
    assert seconds >= int(whole) + int(deploy) + one_share + back
    assert int(build["timeout"].removesuffix("s")) >= seconds + 900 + 300 + 300 + 60


def test_terraform_gives_substitutions_that_are_known() -> None:
    file = ROOT / "terraform" / "build.tf"
    if not file.exists():
        pytest.skip("there is no terraform/build.tf")
    given = set(re.findall(r"^ +(_[A-Z_]+) +=", file.read_text(), re.M))
    assert given <= {name for one in FILES for name in read(one)["substitutions"]}


def test_the_whole_pipeline_ships_a_commit(cloud: Cloud) -> None:
    build = resolve(FILES[0])
    assert run(cloud, build, skip=("lint-test",)) == ("lint-test", "build", "scan", "hand-over")
    (hand_over,) = [call for call in cloud.state["calls"] if "triggers" in call]
    (given,) = [word for word in hand_over if word.startswith("--substitutions=")]
    release = resolve(
        FILES[1], dict(one.split("=") for one in given.removeprefix("--substitutions=").split(","))
    )
    assert run(cloud, release) == ("digest", "provenance", "sbom", "release")
    assert cloud.serving == {"zeropoint-2": 100}


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({"builds": {}}, ()),
        ({"verified": {}}, ("digest",)),
        ({"sbom": ""}, ("digest", "provenance")),
        ({"requests": ["500,1s"]}, ("digest", "provenance", "sbom")),
    ],
)
def test_a_release_that_fails_leaves_the_old_revision(
    cloud: Cloud, changes: dict[str, Any], passed: tuple[str, ...]
) -> None:
    cloud.set(**changes)
    release = resolve(FILES[1], {"_BUILD": "b1", "_COMMIT": COMMIT})
    if "builds" in changes:
        release["steps"][0]["env"].append("BUILD_S=0")
    assert run(cloud, release) == passed
    assert cloud.serving == {"zeropoint-1": 100}


def test_the_scripts_pass_shellcheck() -> None:
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("shellcheck is not installed")
    scripts = sorted(map(str, DEPLOY.glob("*.sh")))
    done = subprocess.run(
        [program, "--external-sources", *scripts], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_page_tells_every_variable_that_has_a_default() -> None:
    page = (ROOT / "docs" / "architecture" / "05-delivery.md").read_text()
    told = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) ?\|", page, re.M))
    text = "".join(path.read_text() for path in sorted(DEPLOY.glob("*.sh")))
    assert told.keys() == set(re.findall(r"\$\{([A-Z][A-Z0-9_]+)(?::[-+]|\+)", text))
    plain = set(re.findall(r"\$\{([A-Z][A-Z0-9_]+):-([\w. -]+)\}", text))
    assert plain == {(name, told[name]) for name, _ in plain}


def completions() -> dict[str, Any]:
    """Returns the commands of the installed gcloud, with their flags."""
    program = shutil.which("gcloud")
    root = Path(os.path.realpath(program)).parents[1] if program else Path()
    file = root / "data" / "cli" / "gcloud_completions.py"
    if not file.exists():
        pytest.skip("the Google Cloud CLI is not installed")
    known: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), known)  # noqa: S102  a table, by Google
    return dict(known["STATIC_COMPLETION_CLI_TREE"])


def test_gcloud_has_the_commands_and_flags(cloud: Cloud, tmp_path: Path) -> None:
    tree = completions()
    run(cloud, resolve(FILES[0]), skip=("lint-test",))
    run(cloud, resolve(FILES[1], {"_BUILD": "b1", "_COMMIT": COMMIT}))
    cloud.run("sbom.sh", {"SBOMS": "bills"})
    (tmp_path / "vertex").mkdir()
    vertex = Cloud(tmp_path / "vertex", programs=("curl",))
    vertex.set(label="tabby")  # and so it is rolled back
    vertex.run("vertex.sh", {"ENDPOINT": "7"})
    calls = [*cloud.state["calls"], *vertex.state["calls"]]
    found = {" ".join(check(tree, call[1:])) for call in calls if call[0] == "gcloud"}
    assert {"run deploy", "logging read", "artifacts sbom load"} <= found
    assert "ai endpoints undeploy-model" in found


def check(tree: dict[str, Any], arguments: list[str]) -> list[str]:
    """Returns the command of a call; it and every flag are gcloud's."""
    node, command = tree, []
    flags = ChainMap(dict.fromkeys(tree["flags"]))
    for word in arguments:
        if word.startswith("--"):
            continue
        if word not in node["commands"]:
            break
        node = node["commands"][word]
        flags = flags.new_child(dict.fromkeys(node["flags"]))
        command.append(word)
    for word in arguments:
        if word.startswith("--"):
            assert word.split("=")[0] in flags, (command, word)
    return command
