"""JSON and CSV of very many tiny values are refused, or take a bounded multiple of their length."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from servers import ROOT, environment
from zeropoint import json_bounds
from zeropoint.errors import BodyTooLargeError

# A body as large as may be, of one unit again and again, read and made a tensor: what it takes.
_READ = """
import io, json, re, sys
from pathlib import Path
import numpy as np
from zeropoint.errors import BodyTooLargeError
from zeropoint.protocols import native, open_inference
from zeropoint.settings import Settings
from zeropoint.tasks.tensor import TensorTask
from zeropoint.tensors import TensorSpec
from zeropoint.wsgi import Request

def peak_bytes():
    return int(re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0]) << 10

kind, head, unit, tail, rank = sys.argv[1:]
settings = Settings()
count = (settings.max_body_bytes - len(head) - len(tail) - 10) // len(unit)
head = head.replace("COUNT", str(count))
body = (head + (unit * count).rstrip(",") + tail).encode()
environ = {
    "REQUEST_METHOD": "POST", "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)),
    "wsgi.input": io.BytesIO(body),
}
before_bytes = peak_bytes()
try:
    protocol = open_inference if rank == "0" else native
    call = protocol.decode(Request(environ), settings)
    if kind == "application/json" and rank != "0":
        spec = TensorSpec("x", np.dtype(np.float32), (None,) * (int(rank) + 1))
        TensorTask([spec]).prepare(call.instances[0])
    said = "read"
except BodyTooLargeError:
    said = "refused"
print(json.dumps([said, peak_bytes() - before_bytes]))
"""
JSON, CSV = "application/json", "text/csv"
NATIVE = '{"instances":[['
V2 = '{"inputs":[{"name":"x","datatype":"FP32","shape":[COUNT],"data":['
HEADER = ",".join(map(str, range(20_000))) + "\n"


@pytest.mark.parametrize(
    ("kind", "head", "unit", "tail", "rank", "outcome"),
    [
        (JSON, NATIVE, "1,", "]]}", 1, "read"),
        (JSON, NATIVE, "1.5,", "]]}", 1, "read"),
        (JSON, NATIVE, "[],", "]]}", 2, "refused"),
        (JSON, NATIVE, "[0],", "]]}", 2, "refused"),
        (JSON, NATIVE, "[" * 60 + "]" * 60 + ",", "]]}", 2, "refused"),
        (JSON, NATIVE, "{},", "]]}", 1, "refused"),
        (JSON, NATIVE, '{"a":1},', "]]}", 1, "refused"),
        (JSON, NATIVE, '"ab",', "]]}", 1, "refused"),
        (JSON, '{"instances":[', "1,", "]}", 1, "refused"),
        (JSON, V2, "1,", "]}]}", 0, "read"),
        (JSON, V2.replace("COUNT", "COUNT,0"), "[],", "]}]}", 0, "refused"),
        (JSON, V2.replace("FP32", "BYTES"), '"ab",', "]}]}", 0, "refused"),
        (CSV, HEADER, "1," * 19_999 + "1\n", "", 1, "refused"),
        (CSV, "a\n", "\n", "", 1, "refused"),
        (CSV, "", "1,", "", 1, "refused"),
        (CSV, "a,b\n", '"' + "x" * 99_999 + '",1\n', "", 1, "read"),
    ],
    ids=lambda one: one[:8].strip() if isinstance(one, str) else "",
)
def test_no_body_takes_more_than_sixteen_times_its_length(
    kind: str, head: str, unit: str, tail: str, rank: int, outcome: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _READ, kind, head, unit, tail, str(rank)],
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT / "function")}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said, taken_bytes = json.loads(done.stdout)
    assert said == outcome
    assert taken_bytes < (200 << 20 if outcome == "refused" else 512 << 20)


@pytest.mark.parametrize("token", ["[", "{", '"'])
def test_what_is_reasonable_to_send_passes(token: str) -> None:
    json_bounds.refuse_costly(token * 600_000)
    json_bounds.refuse_costly(token.encode() * 600_000)
    with pytest.raises(BodyTooLargeError):
        json_bounds.refuse_costly(token * 5_000_000)
    with pytest.raises(BodyTooLargeError):
        json_bounds.refuse_costly(token.encode() * 5_000_000)


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("1", 0),
        ('"[[["', 0),
        ("[]", 1),
        ('{"a": [{}, []]}', 3),
        ('["]", [1]]', 2),
        (r'["\"[[", "\\", [[]]]', 3),
        ("[[],[],[[]]]", 3),
        ('{"[": {"{": "}"}}', 2),
    ],
)
def test_the_depth_of_json_is_that_of_its_brackets(text: str, depth: int) -> None:
    json.loads(text)
    assert json_bounds.depth(text.encode()) == depth
