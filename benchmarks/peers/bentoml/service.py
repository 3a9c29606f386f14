"""A service with one route, which takes a photo."""

import bentoml  # type: ignore[import-not-found]
from PIL.Image import Image

from pipeline import Classifier


@bentoml.service
class Classify:
    """Answers a photo with the index of its label."""

    def __init__(self) -> None:
        self._classifier = Classifier()

    @bentoml.api  # type: ignore[untyped-decorator]
    def classify(self, image: Image) -> dict[str, int]:
        """Answers a photo."""
        return {"index": self._classifier.classify_image(image)}
