"""The floor of text generation: a greedy loop over the graph, in a process without a server.

    python benchmarks/bare_text.py model.onnx

Reads from stdin a JSON object a line, ``tokens`` of a prompt and the ``count`` of those that are to
follow, and prints the seconds when each of these was there, as JSON. Whatever ends a text, it goes
on. The cache is bound once and changed in place; nothing is made text.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at its import
import onnxruntime as ort

_CAPACITY = 1024  # tokens of the cache
_CHUNK = 128  # tokens of a prompt in one pass
_Array = NDArray[Any]


class Pass:
    """A forward pass of so many tokens over the cache, bound once.

    Args:
        session: The model.
        cache: Arrays by the names of the past's inputs.
        length: Tokens.
        asked: Whether the scores after the last one are wanted.
        vocabulary: How many scores there are.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        cache: dict[str, _Array],
        length: int,
        asked: bool,
        vocabulary: int,
    ) -> None:
        self._session = session
        self._ids = np.zeros((1, length), np.int64)
        self._seqlens_k = np.zeros(1, np.int32)
        self._total = np.zeros((), np.int32)
        self._logits = np.zeros((1, int(asked), vocabulary), np.float32)
        self._binding = session.io_binding()
        self._kept: list[ort.OrtValue] = []  # a binding keeps none of them alive
        inputs: dict[str, _Array] = {
            "input_ids": self._ids,
            "seqlens_k": self._seqlens_k,
            "total_sequence_length": self._total,
            "positions": np.full(int(asked), length - 1, np.int64),
        }
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, self._value(array))
        self._binding.bind_ortvalue_output("logits", self._value(self._logits))
        for name, array in cache.items():
            value = self._value(array)
            self._binding.bind_ortvalue_input(name, value)
            self._binding.bind_ortvalue_output(name.replace("past", "present"), value)

    def run(self, tokens: Sequence[int], past: int) -> int:
        """Returns the likeliest token after those that follow ``past`` others; 0 if not asked."""
        self._ids[0] = tokens
        self._seqlens_k[0] = past + len(tokens) - 1
        self._total[...] = past + len(tokens)
        self._session.run_with_iobinding(self._binding)
        return int(self._logits[0, 0].argmax()) if self._logits.size else 0

    def _value(self, array: _Array) -> ort.OrtValue:
        self._kept.append(ort.OrtValue.ortvalue_from_numpy(array))
        return self._kept[-1]


class Loop:
    """A model and the cache of one text.

    Args:
        path: The model.
    """

    def __init__(self, path: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("THREADS", "1"))
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._vocabulary = self._session.get_outputs()[0].shape[-1]
        self._cache = {
            node.name: np.zeros((1, node.shape[1], _CAPACITY, node.shape[3]), np.float32)
            for node in self._session.get_inputs()
            if node.name.startswith("past_")
        }
        self._step = self._pass(1, True)

    def write(self, prompt: Sequence[int]) -> Iterator[int]:
        """Yields tokens without an end."""
        token = 0
        for start in range(0, len(prompt), _CHUNK):
            part = prompt[start : start + _CHUNK]
            last = start + len(part) == len(prompt)
            token = self._pass(len(part), last).run(part, start)
        past = len(prompt)
        while True:
            yield token
            token = self._step.run([token], past)
            past += 1

    def _pass(self, length: int, asked: bool) -> Pass:
        return Pass(self._session, self._cache, length, asked, self._vocabulary)


def main() -> None:
    """Writes as often as asked."""
    loop = Loop(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        began_s = time.perf_counter()
        texts = zip(range(asked["count"]), loop.write(asked["tokens"]), strict=False)
        print(json.dumps([time.perf_counter() - began_s for _ in texts]), flush=True)


if __name__ == "__main__":
    main()
