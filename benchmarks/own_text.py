"""The same texts as `bare_text.py` writes, by ``load().stream``, in a process without a server.

    ZEROPOINT_MODELS=… python benchmarks/own_text.py model

Reads from stdin a JSON object a line, a ``prompt`` and the ``count`` of tokens that are to follow,
and prints the seconds when each piece was there, as JSON.
"""

import json
import sys
import time
from typing import cast

from zeropoint import load
from zeropoint.writer import Writer


def main() -> None:
    """Writes as often as asked."""
    writer = cast(Writer, load(sys.argv[1]))
    for line in sys.stdin:
        asked = json.loads(line)
        began_s = time.perf_counter()
        with writer.stream({"prompt": asked["prompt"]}, {"max_tokens": asked["count"]}) as stream:
            came_s = [time.perf_counter() - began_s for _ in stream]
        if stream.completion_tokens != asked["count"]:
            raise RuntimeError(f"expected {asked['count']} tokens, got {stream.completion_tokens}")
        print(json.dumps(came_s), flush=True)


if __name__ == "__main__":
    main()
