"""What a model that writes does beside a bare loop over its graph, for one caller and for several.

    .venv/bin/python benchmarks/generation.py

The loop, ``load().stream`` and a server's events have a process each, and write the same texts in
turns; the ratios are those of each round's pair. All that they write is greedy.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

import streams
from contestants import HERE, PORT, ROOT, without_variants
from processes import cpu_s, pss_mb, started
from serve import wait_until_answered

_STORY = (
    " a cat who lived in a small house by the sea with a dog and an old man who told stories of"
)
_PROMPTS = (40, 400)  # tokens
_CALLERS = (1, 2, 4, 8)
_STARTS = 5
_GOAL = 0.9
_LONGEST_S = 60.0


class Written(NamedTuple):
    """A text of a contestant."""

    first_ms: float
    per_s: float  # tokens, after the first one
    cpu_ms: float  # of a token, that of its part of the prompt too


class Crowd(NamedTuple):
    """Texts of several callers at once."""

    per_s: float  # tokens, of all
    cpu_ms: float
    first_ms: float  # of who waited the longest


def prompts(tokenizer: Tokenizer, tokens: int, count: int) -> list[str]:
    """Returns different texts of so many tokens each."""
    words = _STORY.split()
    found = []
    for first in range(count):
        turned = [*words[first:], *words[:first]]
        text = "Once upon a time there was " + " ".join(turned * (tokens // len(words) + 2))
        ids = tokenizer.encode(text, add_special_tokens=False).ids[:tokens]
        found.append(tokenizer.decode(ids))
    return found


class Process:
    """A process that writes texts as it is told on stdin."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.pid = process.pid
        self._process = process

    def read(self, asked: dict[str, object]) -> list[float]:
        """Returns the seconds when each part of a text was there."""
        assert self._process.stdin  # noqa: S101 - a pipe
        assert self._process.stdout  # noqa: S101 - a pipe
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("expected a text, the process ended")
        found: list[float] = json.loads(line)
        return found


class Graph:
    """A model's file, with a process of each contestant.

    Args:
        stack: Ends them.
        repository: Has the model.
        name: The model's.
        port: Of its server.
    """

    def __init__(self, stack: ExitStack, repository: Path, name: str, port: int) -> None:
        folder = repository / name
        self.port = port
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(repository),
            "ZEROPOINT_MODELS": str(repository),
            "ZEROPOINT_MODEL": name,
        }
        self.command = [sys.executable, "-m", "zeropoint", "serve", "--port", str(port)]
        self.server = stack.enter_context(started(self.command, self.environment)).pid
        wait_until_answered(port)
        variants = sorted((folder / "variants").glob("*.onnx"))  # of which it has one, or none
        self.path = variants[0] if variants else folder / "model.onnx"
        self._bare = self._process(stack, "bare_text.py", str(self.path))
        self._own = self._process(stack, "own_text.py", name)

    def write(self, contestant: str, prompt: str, count: int) -> Written:
        """Has a contestant write a text."""
        if contestant == "bare loop":
            tokens = self.tokenizer.encode(prompt, add_special_tokens=False).ids
            return self._timed(self._bare, {"tokens": tokens, "count": count})
        if contestant == "load().stream":
            return self._timed(self._own, {"prompt": prompt, "count": count})
        before_s = cpu_s(self.server)
        text = streams.read(self.port, prompt, count)
        return _written(text.came_s, count, cpu_s(self.server) - before_s)

    def crowd(self, callers: int, count: int) -> Crowd:
        """Has callers read texts over HTTP at the same time."""
        asked = prompts(self.tokenizer, _PROMPTS[0], callers)
        before_s, began_s = cpu_s(self.server), time.perf_counter()
        texts = streams.read_all(self.port, asked, count)
        all_s = time.perf_counter() - began_s
        cpu_ms = (cpu_s(self.server) - before_s) * 1000.0 / (callers * count)
        return Crowd(callers * count / all_s, cpu_ms, max(one.came_s[0] for one in texts) * 1000.0)

    def _process(self, stack: ExitStack, script: str, argument: str) -> Process:
        command = [sys.executable, str(HERE / script), argument]
        pipe = subprocess.PIPE
        running = started(command, self.environment, stdin=pipe, stdout=pipe)
        return Process(stack.enter_context(running))

    def _timed(self, process: Process, asked: dict[str, object]) -> Written:
        before_s = cpu_s(process.pid)
        came_s = process.read(asked)
        return _written(came_s, int(str(asked["count"])), cpu_s(process.pid) - before_s)


def _written(came_s: list[float], count: int, used_s: float) -> Written:
    per_s = (count - 1) / (came_s[-1] - came_s[0])
    return Written(came_s[0] * 1000.0, per_s, used_s * 1000.0 / count)


def print_alone(graph: Graph, rounds: int, count: int) -> None:
    """Measures one caller, and prints a table."""
    contestants = ("bare loop", "load().stream", "HTTP, events")
    found: dict[tuple[str, int], list[Written]] = {}
    for turn in range(rounds + 1):
        for tokens in _PROMPTS:
            (prompt,) = prompts(graph.tokenizer, tokens, 1)
            for contestant in contestants:
                written = graph.write(contestant, prompt, count)
                if turn:  # the first warms up
                    found.setdefault((contestant, tokens), []).append(written)
    print(f"\n{graph.path.stem}: one caller, {rounds} rounds of {count} tokens\n")
    told = " | ".join(
        f"tokens/s, prompt of {tokens} | of bare | CPU ms/token | first token ms"
        for tokens in _PROMPTS
    )
    print(f"| | {told} |")
    print("|---" * (1 + 4 * len(_PROMPTS)) + "|")
    for contestant in contestants:
        cells = []
        for tokens in _PROMPTS:
            ours, bare = found[contestant, tokens], found["bare loop", tokens]
            ratio = statistics.median(a.per_s / b.per_s for a, b in zip(ours, bare, strict=True))
            cells += [
                f"{statistics.median(one.per_s for one in ours):.1f}",
                f"{ratio:.2f}",
                f"{statistics.median(one.cpu_ms for one in ours):.1f}",
                f"{statistics.median(one.first_ms for one in ours):.0f}",
            ]
        print(f"| {contestant} | {' | '.join(cells)} |")


def print_crowds(graph: Graph, rounds: int, count: int) -> None:
    """Measures several callers, and the memory meanwhile, and prints tables."""
    rest_mb = pss_mb(graph.server)
    found: dict[int, list[Crowd]] = {callers: [] for callers in _CALLERS}
    for _ in range(rounds):
        for callers in _CALLERS:
            found[callers].append(graph.crowd(callers, count))
    with _watched(graph.server) as watched:
        graph.crowd(4, count)
    after_mb = pss_mb(graph.server)
    print(f"\n{graph.path.stem}: callers at once, {rounds} rounds of {count} tokens each\n")
    print("| callers | tokens/s in sum | of one caller | CPU ms/token | last first token ms |")
    print("|---|---|---|---|---|")
    for callers, crowds in found.items():
        pairs = zip(crowds, found[1], strict=True)
        print(
            f"| {callers} | {statistics.median(one.per_s for one in crowds):.1f}"
            f" | {statistics.median(a.per_s / b.per_s for a, b in pairs):.2f}"
            f" | {statistics.median(one.cpu_ms for one in crowds):.1f}"
            f" | {statistics.median(one.first_ms for one in crowds):.0f} |"
        )
    during_mb = max(watched)
    print(
        f"\nMemory: {rest_mb:.0f} MB before, {during_mb:.0f} with 4 callers, {after_mb:.0f} after"
    )


def print_starts(graph: Graph, starts: int) -> None:
    """Measures cold starts, and prints them."""
    (prompt,) = prompts(graph.tokenizer, _PROMPTS[0], 1)
    port = graph.port + 10
    walls_s, phases = [], []
    for _ in range(starts):
        began_s = time.perf_counter()
        command = [*graph.command[:-1], str(port)]
        with started(command, graph.environment):
            text, asked_s = _first(port, prompt)
            walls_s.append(asked_s - began_s + text.came_s[0])
            phases.append(text.phases_ms)
    told = ", ".join(
        f"{name} {statistics.median(one[name] for one in phases):.0f}" for name in phases[0]
    )
    wall_ms = statistics.median(walls_s) * 1000.0
    print(
        f"\n{graph.path.stem}: cold start, from the process to the first token: {wall_ms:.0f} ms,"
        f" the median of {starts}; in it {told}"
    )


def _first(port: int, prompt: str) -> tuple[streams.Text, float]:
    """Asks until somebody listens; returns the text, and when it was asked for."""
    until_s = time.perf_counter() + _LONGEST_S
    while True:
        asked_s = time.perf_counter()
        try:
            return streams.read(port, prompt, 8), asked_s
        except ConnectionError:
            if asked_s > until_s:
                raise
            time.sleep(0.005)


@contextmanager
def _watched(pid: int) -> Iterator[list[float]]:
    """Collects a process's memory in MB meanwhile."""
    found: list[float] = [pss_mb(pid)]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            found.append(pss_mb(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def main() -> None:
    """Measures, and prints tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--starts", type=int, default=_STARTS)
    parser.add_argument("--models", type=Path, default=ROOT / "model_artifacts")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = without_variants(Path(folder), options.models / options.model)
        for number, repository in enumerate((plain, options.models)):
            with ExitStack() as stack:
                graph = Graph(stack, repository, options.model, PORT + number)
                print_alone(graph, options.rounds, options.tokens)
                print_crowds(graph, max(1, options.rounds // 2), options.tokens)
            print_starts(graph, options.starts)
    print(f"\nThe goal for one caller is at least {_GOAL:g} of the bare loop's tokens/s.")


if __name__ == "__main__":
    main()
