"""A loop over the rows of a table without anything around it, and without output.

    MODEL=model.onnx python benchmarks/bare_rows.py TABLE.csv|MATRIX.npy ROWS_OF_A_BATCH

NumPy reads the table a hundred thousand rows at a time, or has the matrix in memory.
"""

import os
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

_ROWS = 100_000


def matrices(path: str) -> Iterator[NDArray[Any]]:
    """Yields the rows of a file, float32."""
    if path.endswith(".npy"):
        yield np.load(path)
        return
    with open(path) as file:
        next(file)
        while lines := list(islice(file, _ROWS)):
            yield np.loadtxt(lines, np.float32, delimiter=",", ndmin=2)


if __name__ == "__main__":
    session = ort.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])
    (node,) = session.get_inputs()
    size = int(sys.argv[2])
    for matrix in matrices(sys.argv[1]):
        for start in range(0, len(matrix), size):
            session.run(None, {node.name: matrix[start : start + size]})
