"""Plays gcloud, docker, curl or slsa-verifier, by the name it is started with.

It keeps a Cloud Run service and a Vertex AI endpoint in a file, records each call, and fails where
the plan says so: it is a program of its own and imports nothing of the project.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_FILE = Path(os.environ["FAKE_CLOUD"]) / "state.json"

State = dict[str, Any]


def save(state: State) -> None:
    """Writes the state at once: whoever reads it meanwhile sees the old one."""
    new = _FILE.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(state))
    new.replace(_FILE)


def shares(state: State) -> dict[str, int]:
    """Returns who answers callers."""
    found: dict[str, int] = {}
    for target in state["traffic"]:
        if target.get("percent"):
            name = target["revision"]
            found[name] = found.get(name, 0) + target["percent"]
    return found


def pairs(text: str) -> dict[str, str]:
    """Returns what ``a=1,b=2`` says."""
    return dict(one.split("=") for one in text.split(","))


def tag(state: State, name: str, revision: str | None) -> None:
    """Gives a tag to a revision, or takes it away."""
    state["traffic"] = [
        target
        for target in state["traffic"]
        if target.get("tag") != name or target.get("percent")  # Cloud Run keeps the two apart
    ]
    if revision is not None:
        state["traffic"].append({"revision": revision, "tag": name})


def set_shares(state: State, wanted: dict[str, int]) -> None:
    """Sets the traffic; as gcloud does, what is not named keeps the rest."""
    for name in wanted:
        if name not in state["revisions"]:
            sys.exit(f"ERROR: no revision {name}")
    rest = 100 - sum(wanted.values())
    others = {name: share for name, share in shares(state).items() if name not in wanted}
    if rest and not others:
        sys.exit("ERROR: 100% of traffic has not been specified")
    if rest:
        raise NotImplementedError("scaling the rest is gcloud's, and not wanted here")
    tags = [target for target in state["traffic"] if not target.get("percent")]
    targets = [{"revision": name, "percent": share} for name, share in wanted.items() if share]
    state["traffic"] = targets + tags
    state["history"].append(shares(state))


def run(state: State, words: list[str], flags: dict[str, str]) -> str:
    """Does what a gcloud command does, and returns what it prints."""
    match words:
        case ["run", "services", "describe", _]:
            if flags["--format"] == "value(status.url)":
                return str(state["url"])
            lines = []
            for target in state["traffic"]:
                name = target.get("tag", "")
                url = state["tag_url"] if name.startswith("c-") else ""
                lines.append(f"{target['revision']},{target.get('percent', '')},{name},{url}")
            return "\n".join(lines)
        case ["run", "services", "update-traffic", _]:
            if "--to-revisions" in flags:
                wanted = {k: int(v) for k, v in pairs(flags["--to-revisions"]).items()}
                set_shares(state, wanted)
            for name in filter(None, flags.get("--remove-tags", "").split(",")):
                tag(state, name, None)
            if "--update-tags" in flags:
                for name, revision in pairs(flags["--update-tags"]).items():
                    tag(state, name, revision)
        case ["run", "deploy", service]:
            if "--no-traffic" not in flags:
                sys.exit("ERROR: all traffic would go to an untested revision")
            revision = f"{service}-{len(state['revisions']) + 1}"
            state["revisions"][revision] = flags["--image"]
            tag(state, flags["--tag"], revision)
        case ["run", "jobs", "update", job]:
            state["jobs"][job] = flags["--image"]
        case ["auth", "print-identity-token"]:
            if state["person"] and "--audiences" in flags:
                sys.exit("ERROR: Invalid account type for `--audiences`.")
            return "token"
        case ["auth", "print-access-token"]:
            return "token"
        case ["logging", "read", _]:
            return "\n".join(state["requests"])
        case ["builds", "describe", build]:
            return str(state["builds"][build][flags["--format"]])
        case ["builds", "triggers", "run", _]:
            return "a-build"
        case ["artifacts", "docker", "images", "scan", _]:
            return str(state["scan"])
        case ["artifacts", "docker", "images", "list-vulnerabilities", _]:
            return "\n".join(state["vulnerabilities"])
        case ["artifacts", "sbom", "load"]:
            if not Path(flags["--source"]).is_file():
                sys.exit("ERROR: (gcloud.artifacts.sbom.load) no such file")
        case ["artifacts", "docker", "images", "describe", _]:
            return json.dumps(state["provenance"])
        case ["ai", *rest]:
            return vertex(state, rest, flags)
        case _:
            sys.exit(f"ERROR: (gcloud) Invalid choice: {' '.join(words)}")
    return ""


def vertex(state: State, words: list[str], flags: dict[str, str]) -> str:
    """Does what a command of ``gcloud ai`` does."""
    deployed, split = state["deployed"], state["split"]
    match words:
        case ["models", "upload"]:
            state["models"].append(f"projects/1/locations/r/models/{len(state['models']) + 7}")
            return str(state["models"][-1])
        case ["models", "delete", model]:
            state["models"].remove(model)
        case ["endpoints", "describe", _]:
            if flags["--format"] == "value(trafficSplit)":
                return ";".join(f"{name}={share}" for name, share in split.items())
            if flags["--format"] == "value(dedicatedEndpointDns)":
                return "endpoint.example"
            return "\n".join(f"{number},{name}" for number, name in deployed.items())
        case ["endpoints", "deploy-model", _]:
            number = str(100 + len(deployed))
            deployed[number] = flags["--display-name"]
            wanted = pairs(flags["--traffic-split"])
            wanted[number] = wanted.pop("0")
            set_split(state, wanted)
        case ["endpoints", "update", _]:
            set_split(state, pairs(flags["--traffic-split"]))
        case ["endpoints", "undeploy-model", _]:
            number = flags["--deployed-model-id"]
            if int(split.get(number, 0)) > 0 and len(deployed) > 1:
                sys.exit("ERROR: the deployed model has traffic")
            del deployed[number]
            split.pop(number, None)
        case _:
            sys.exit(f"ERROR: (gcloud.ai) Invalid choice: {' '.join(words)}")
    return ""


def set_split(state: State, wanted: dict[str, str]) -> None:
    """Sets an endpoint's traffic; Vertex AI wants the whole of it."""
    if sum(map(int, wanted.values())) != 100 or not wanted.keys() <= state["deployed"].keys():
        sys.exit(f"ERROR: a split {wanted} of {state['deployed']}")
    state["split"] = wanted
    state["history"].append({name: int(share) for name, share in wanted.items() if int(share)})


def other(state: State, program: str, arguments: list[str]) -> str:
    """Does what another program than gcloud does."""
    if program == "curl":
        answer = {"predictions": [{"label": state["label"]}]}
        Path(arguments[arguments.index("--output") + 1]).write_text(json.dumps(answer))
    if program == "docker" and arguments[0] == "run":
        return str(state["sbom"])
    if program == "slsa-verifier":
        return json.dumps(state["verified"])
    return ""


def main() -> None:
    """Answers one call."""
    program, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    state = json.loads(_FILE.read_text())
    number = len(state["calls"])
    state["calls"].append([program, *arguments])
    save(state)
    mode = state["plan"].get(str(number))
    if mode == "before":
        sys.exit("ERROR: fails as planned, and did nothing")
    if mode == "hang":
        time.sleep(60)
    if mode == "signal":
        pid = int((_FILE.parent / "pid").read_text())
        os.kill(pid, signal.Signals[state["signal"]])
    if mode == "steal":
        state["revisions"]["zeropoint-other"] = "another"
        set_shares(state, {"zeropoint-other": 100})
    if program == "gcloud":
        if arguments.pop(0) != "--quiet":
            sys.exit("ERROR: it would ask a question")
        words = [one for one in arguments if not one.startswith("--")]
        flags = {k: v for k, _, v in (one.partition("=") for one in arguments if one[:2] == "--")}
        said = run(state, words, flags)
    else:
        said = other(state, program, arguments)
    save(state)
    if said:
        print(said)
    if mode == "after":
        sys.exit("ERROR: fails as planned, and yet did it")


if __name__ == "__main__":
    main()
