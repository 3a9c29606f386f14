"""The four steps of a LitAPI, for a photo sent as a form's file."""

import os

import litserve  # type: ignore[import-not-found]
from starlette.datastructures import UploadFile
from starlette.requests import Request

from pipeline import Classifier


class Classify(litserve.LitAPI):  # type: ignore[misc]
    """Answers a photo with the index of its label."""

    def setup(self, device: str) -> None:
        """Loads the model, in a worker."""
        self._classifier = Classifier()

    def decode_request(self, request: Request) -> bytes:
        """Reads the file of what LitServe gives for a request with a form: the form."""
        photo = request["image"]
        assert isinstance(photo, UploadFile)  # noqa: S101 - a file, as the request says
        return photo.file.read()

    def predict(self, data: bytes) -> int:
        """Answers a photo."""
        return self._classifier.classify(data)

    def encode_response(self, index: int) -> dict[str, int]:
        """Names what was found."""
        return {"index": index}


if __name__ == "__main__":
    server = litserve.LitServer(Classify(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)
