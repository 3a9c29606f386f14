"""The floor: the pipeline in a process without a server.

    MODEL=model.onnx python benchmarks/bare_process.py photo.jpg

Prints the photo's class index, then waits for numbers on stdin, a line each; it classifies the
photo so many times, and prints how long each took, as JSON.
"""

import json
import sys
import time
from pathlib import Path

from pipeline import Classifier


def main() -> None:
    """Answers at once, then as often as asked."""
    data = Path(sys.argv[1]).read_bytes()
    classifier = Classifier()
    print(classifier.classify(data), flush=True)
    for line in sys.stdin:
        took_s = []
        for _ in range(int(line)):
            began_s = time.perf_counter()
            classifier.classify(data)
            took_s.append(time.perf_counter() - began_s)
        print(json.dumps(took_s), flush=True)


if __name__ == "__main__":
    main()
