"""What the function costs beside its model: a model that does nothing, against a constant answer.

    .venv/bin/python benchmarks/overhead.py

Both run under functions-framework's own server with the same threads. Rounds alternate, and the
ratios are those of each round's pair, so that a machine whose speed drifts does not mislead.
"""

import argparse
import hashlib
import json
import statistics
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from load import Load, request, run
from serve import serving

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 4
NATIVE = json.dumps({"instances": [{"x": [1.0, 2.0, 3.0, 4.0]}]}).encode()
V2 = json.dumps(
    {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, WIDTH], "data": [1.0, 2.0, 3.0, 4.0]}
        ]
    }
).encode()


def write_identity(repository: Path) -> None:
    """Writes an artifact whose model gives back what it is given."""
    folder = repository / "identity"
    folder.mkdir(parents=True)
    shape: list[str | int | None] = ["batch", WIDTH]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")
    (folder / "check.json").write_text('{"x": [1, 2, 3, 4]}')
    model, check = (
        hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("model.onnx", "check.json")
    )
    (folder / "model.toml").write_text(
        f"""name = "identity"
version = "1"
task = "tensor"
license = "CC0-1.0"
file = {{ path = "model.onnx", sha256 = "{model}" }}
check = {{ input = "check.json", sha256 = "{check}", expect = {{ y = [1.0, 2.0, 3.0, 4.0] }} }}
"""
    )


def server(source: Path, port: int, models: Path) -> AbstractContextManager[int]:
    """Runs a function under functions-framework; gives the process's id."""
    command = ["functions-framework", "--source", str(source), "--target", "predict"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    return serving(command, models, port)


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--callers", type=int, default=8)
    options = parser.parse_args()
    native = request("/predict", NATIVE, "application/json")
    kinds = {
        "bare": (8601, native),
        "/predict": (8602, native),
        "/v2": (8602, request("/v2/models/identity/infer", V2, "application/json")),
    }
    found: dict[str, list[Load]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        write_identity(models)
        bare_source, source = ROOT / "benchmarks/bare.py", ROOT / "function/main.py"
        with server(bare_source, 8601, models) as bare, server(source, 8602, models) as ours:
            for turn in range(options.rounds + 1):
                for name, (port, message) in kinds.items():
                    pid = bare if name == "bare" else ours
                    load = run(port, pid, [message], options.callers, options.requests)
                    if turn:  # the first warms up
                        found[name].append(load)
    print(f"{options.callers} callers, {options.rounds} rounds of {options.requests} requests\n")
    print("| | requests/s | of bare | CPU µs/request | of bare | p50 ms | p99 ms |")
    print("|---|---|---|---|---|---|---|")
    for name, loads in found.items():
        pairs = list(zip(loads, found["bare"], strict=True))
        print(
            f"| {name} | {statistics.median(one.requests_per_s for one in loads):.0f}"
            f" | {statistics.median(a.requests_per_s / b.requests_per_s for a, b in pairs):.2f}"
            f" | {statistics.median(one.cpu_us for one in loads):.0f}"
            f" | {statistics.median(a.cpu_us / b.cpu_us for a, b in pairs):.2f}"
            f" | {statistics.median(one.p50_ms for one in loads):.2f}"
            f" | {statistics.median(one.p99_ms for one in loads):.2f} |"
        )


if __name__ == "__main__":
    main()
