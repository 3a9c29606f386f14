"""What batching gains: the same model with its manifest's max_batch, and with max_batch = 1.

    .venv/bin/python benchmarks/batching.py [--repository model_artifacts]

Both are served by `zeropoint serve` on one core; the callers have another. Rounds alternate, and
the ratios are those of each round's pair.
"""

import argparse
import json
import os
import re
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from load import Load, request, run
from serve import serving

ROOT = Path(__file__).resolve().parents[1]
SENTENCES = (
    "A man is playing a guitar.",
    "The parcel arrived two days late.",
    "How do I reset my password?",
    "Shares dropped in heavy trading.",
    "Please send me the invoice for May.",
    "The cat sleeps on the warm stove.",
    "Is there a later train to Bern?",
    "It rained all day in the mountains.",
)
CORES = sorted(os.sched_getaffinity(0))
PORTS = {"batched": 8611, "alone": 8612}


def messages(repository: Path, name: str) -> list[bytes]:
    """Returns requests with one instance each."""
    if name == "phishing":
        check = json.loads((repository / name / "check" / "site.json").read_bytes())
        instances = [check]
    else:
        instances = list(SENTENCES)
    bodies = [json.dumps({"instances": [one]}).encode() for one in instances]
    return [request("/predict", body, "application/json") for body in bodies]


def copy_of(folder: Path, repository: Path, max_batch: int | None) -> None:
    """Links an artifact's files into a repository, its manifest with another max_batch."""
    place = repository / folder.name
    place.mkdir(parents=True)
    for path in folder.iterdir():
        if path.name == "model.toml":
            text = path.read_text("utf-8")
            # Without variants: those in integers may let each row go alone.
            text = re.sub(r"^\[\[variant\]\]\n(?:.+\n)*", "", text, flags=re.M)
            if max_batch is not None:
                text = re.sub(r"^max_batch = .*$", f"max_batch = {max_batch}", text, flags=re.M)
            (place / path.name).write_text(text, "utf-8")
        elif path.is_dir():
            copy_of(path, place, None)
        else:
            os.link(path.resolve(), place / path.name)


@contextmanager
def server(models: Path, port: int) -> Iterator[int]:
    """Serves a repository on the first core, and yields the process's id."""
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES[:1])  # which the server inherits
    with serving(
        ["zeropoint", "serve", "--port", str(port)], models, port, ZEROPOINT_CPUS="1"
    ) as pid:
        os.sched_setaffinity(0, here)
        yield pid


def compare(repository: Path, name: str, callers: int, rounds: int, count: int) -> None:
    """Measures a model, and prints a line of the table."""
    found: dict[str, list[Load]] = {"batched": [], "alone": []}
    sent = messages(repository, name)
    with tempfile.TemporaryDirectory(dir=repository.parent) as folder:
        for kind in PORTS:
            copy_of(repository / name, Path(folder, kind), 1 if kind == "alone" else None)
        batched, alone = (Path(folder, kind) for kind in PORTS)
        with server(batched, PORTS["batched"]) as one, server(alone, PORTS["alone"]) as other:
            pids = {"batched": one, "alone": other}
            for turn in range(rounds + 1):
                for kind, port in PORTS.items():
                    load = run(port, pids[kind], sent, callers, count)
                    if turn:  # the first warms up
                        found[kind].append(load)
    pairs = list(zip(found["batched"], found["alone"], strict=True))
    rates = {kind: statistics.median(one.requests_per_s for one in found[kind]) for kind in PORTS}
    p50s = {kind: statistics.median(one.p50_ms for one in found[kind]) for kind in PORTS}
    print(
        f"| {name} | {callers} | {rates['batched']:.0f} | {rates['alone']:.0f}"
        f" | {statistics.median(a.requests_per_s / b.requests_per_s for a, b in pairs):.2f}"
        f" | {p50s['batched']:.2f} | {p50s['alone']:.2f}"
        f" | {statistics.median(a.p50_ms / b.p50_ms for a, b in pairs):.2f} |",
        flush=True,
    )


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_artifacts")
    parser.add_argument("--models", nargs="+", default=["minilm-l6-v2", "phishing"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1000)
    options = parser.parse_args()
    os.sched_setaffinity(0, CORES[1:] or CORES)
    print("| model | callers | requests/s | with max_batch = 1 | ratio | p50 ms | with 1 | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.models:
        compare(options.repository, name, 32, options.rounds, options.requests)
        compare(options.repository, name, 1, options.rounds, options.requests // 4)


if __name__ == "__main__":
    main()
