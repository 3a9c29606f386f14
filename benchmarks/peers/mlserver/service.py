"""A custom runtime, for a photo in base64."""

import numpy as np
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import Base64Codec, NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]

from pipeline import Classifier


class Classify(MLModel):  # type: ignore[misc]
    """Answers a photo with the index of its label."""

    async def load(self) -> bool:
        """Loads the model, in a worker."""
        self._classifier = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answers a photo."""
        (data,) = Base64Codec.decode_input(payload.inputs[0])
        index = np.array([self._classifier.classify(data)])
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("index", index)]
        )
