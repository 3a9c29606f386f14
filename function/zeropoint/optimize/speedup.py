"""Whether a forward pass is worth more than one thread.

Integers leave so little to do that threads which wait for each other may cost more than they save,
while one pass for each processor goes on at full speed.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from zeropoint.session import Session
from zeropoint.tensors import Tensors

_ROUNDS = 15
_LEAST_ROUND_S = 0.02
# Of each further processor so much has to come back as speed.
_LEAST_GAIN = 0.3


def most_threads(path: Path, asked: Sequence[Tensors], processors: int) -> int:
    """Returns how many threads of a pass pay: 1, or 0, which is one for each processor.

    Args:
        path: An .onnx file.
        asked: Prepared samples.
        processors: Those there are; of one nothing can be told, and the answer is 0.
    """
    if processors < 2:
        return 0
    one, all_ = (Session(path, threads) for threads in (1, processors))
    for tensors in asked:  # warm
        one.run(tensors)
        all_.run(tensors)
    repeats = max(1, round(_LEAST_ROUND_S / max(_pass_s(one, asked), 1e-9)))
    ratios = [_pass_s(one, asked, repeats) / _pass_s(all_, asked, repeats) for _ in range(_ROUNDS)]
    return 1 if statistics.median(ratios) < 1.0 + _LEAST_GAIN * (processors - 1) else 0


def _pass_s(session: Session, asked: Sequence[Tensors], repeats: int = 1) -> float:
    began_s = time.perf_counter()
    for _ in range(repeats):
        for tensors in asked:
            session.run(tensors)
    return time.perf_counter() - began_s
