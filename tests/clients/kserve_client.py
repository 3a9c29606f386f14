"""What a caller does with KServe's own client; it runs where kserve is installed, not in our tests.

    python kserve_client.py URL PHOTO

It prints what came back as one JSON object.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.protocol.rest.v2_datamodels import ModelMetadataResponse, ServerMetadataResponse


async def main(url: str, photo: Path) -> dict[str, Any]:
    """Asks a server of the model ``colour`` all that this client can ask."""
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        found: dict[str, Any] = {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, "colour"),
            "nope_ready": await client.is_model_ready(url, "nope"),
            "labels": [],
            "scores": [],
        }
        for binary in (False, True):  # how the answer comes; a photo itself goes as bytes
            photos = InferInput("instances", [1], "BYTES")
            photos.set_data_from_numpy(np.array([photo.read_bytes()], object), binary_data=True)
            request = InferRequest(
                "colour", [photos], "abc", parameters={"binary_data_output": binary, "top_k": 1}
            )
            answer = await client.infer(url, request, "colour")
            found["labels"].append([json.loads(one) for one in answer.outputs[0].data])
            found["id"] = answer.id

            pixels = np.full((2, 3, 8, 8), 0.5, np.float32)
            tensor = InferInput("input", [2, 3, 8, 8], "FP32")
            tensor.set_data_from_numpy(pixels, binary_data=binary)
            outputs = [RequestedOutput("scores", {"binary_data": binary})]
            request = InferRequest("colour", [tensor], request_outputs=outputs)
            answer = await client.infer(url, request, "colour")
            found["scores"].append(answer.outputs[0].as_numpy().tolist())
        try:
            await client.infer(url, InferRequest("colour", [photos]), "nope")
        except httpx.HTTPStatusError as error:
            found["refusal"] = [error.response.status_code, str(error)]
    async with httpx.AsyncClient() as plain:  # the client cannot ask for metadata, but reads it
        server = (await plain.get(f"{url}/v2")).json()
        model = (await plain.get(f"{url}/v2/models/colour")).json()
    found["server"] = ServerMetadataResponse.model_validate(server).name
    found["inputs"] = [one.model_dump() for one in ModelMetadataResponse(**model).inputs]
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], Path(sys.argv[2])))))
