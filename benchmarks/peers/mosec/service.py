"""A worker that takes the body as it is."""

from mosec import Server, Worker  # type: ignore[import-not-found]

from pipeline import Classifier


class Classify(Worker):  # type: ignore[misc]
    """Answers a photo with the index of its label."""

    def __init__(self) -> None:
        super().__init__()
        self._classifier = Classifier()

    def deserialize(self, data: bytes) -> bytes:
        """Passes a body on."""
        return data

    def forward(self, data: bytes) -> dict[str, int]:
        """Answers a photo."""
        return {"index": self._classifier.classify(data)}


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classify)
    server.run()
