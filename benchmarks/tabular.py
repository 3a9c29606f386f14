"""What one row costs beside a constant answer, both through the server of `zeropoint serve`.

    .venv/bin/python benchmarks/tabular.py

Rounds alternate, and the ratios are those of each round's pair.
"""

import argparse
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack

from contestants import HERE, PORT, ROOT
from load import Load, request, run
from processes import started
from serve import wait_until_answered

_REPOSITORY = ROOT / "model_artifacts"
_LIMIT = 1.25


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--callers", type=int, default=32)
    options = parser.parse_args()
    row = json.loads((_REPOSITORY / "phishing" / "check" / "site.json").read_bytes())
    message = request("/predict", json.dumps({"instances": [row]}).encode(), "application/json")
    python = sys.executable
    commands = {
        "constant": [python, str(HERE / "constant.py"), str(PORT)],
        "phishing": [python, "-m", "zeropoint", "serve", "--port", str(PORT + 1)],
    }
    found: dict[str, list[Load]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": home,
            "ZEROPOINT_MODELS": str(_REPOSITORY),
            "ZEROPOINT_MODEL": "phishing",
        }
        servers = [
            (name, port, stack.enter_context(started(command, environment)).pid)
            for port, (name, command) in enumerate(commands.items(), PORT)
        ]
        for _, port, _ in servers:
            wait_until_answered(port)
        for turn in range(options.rounds + 1):
            for name, port, pid in servers:
                load = run(port, pid, [message], options.callers, options.requests)
                if turn:  # the first warms up
                    found[name].append(load)
    print(f"{options.callers} callers, {options.rounds} rounds of {options.requests} requests\n")
    print("| | requests/s | CPU µs/request | of the constant | p50 ms | p99 ms |")
    print("|---|---|---|---|---|---|")
    for name, loads in found.items():
        pairs = list(zip(loads, found["constant"], strict=True))
        print(
            f"| {name} | {statistics.median(one.requests_per_s for one in loads):.0f}"
            f" | {statistics.median(one.cpu_us for one in loads):.0f}"
            f" | {statistics.median(a.cpu_us / b.cpu_us for a, b in pairs):.2f}"
            f" | {statistics.median(one.p50_ms for one in loads):.2f}"
            f" | {statistics.median(one.p99_ms for one in loads):.2f} |"
        )
    print(f"\nThe goal is at most {_LIMIT:g} of the constant's CPU time.")


if __name__ == "__main__":
    main()
