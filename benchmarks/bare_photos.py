"""A loop over photos without anything around it.

    MODEL=model.onnx python benchmarks/bare_photos.py FOLDER FIRST END

Classifies those of a folder's photos, in the order of their names.
"""

import sys
from pathlib import Path

from pipeline import Classifier

if __name__ == "__main__":
    classifier = Classifier()
    for path in sorted(Path(sys.argv[1]).iterdir())[int(sys.argv[2]) : int(sys.argv[3])]:
        classifier.classify(path.read_bytes())
