"""Reads Kubernetes manifests into the types of the Kubernetes and KServe clients, and out again.

    python kubernetes_models.py < manifests.json

It runs where kserve is installed, not in our tests. What comes out lacks what the types do not
know, so a misspelt or misplaced field is a difference; a wrong type or a missing field raises.
"""

import json
import sys
from typing import Any

from kserve.models import V1beta1PredictorSpec
from kubernetes import client

# What Knative adds to a pod's specification; it has no Python types.
_REVISION = {"containerConcurrency": "int", "timeoutSeconds": "int"}

# What KServe adds to it.
_PREDICTOR = {
    name: V1beta1PredictorSpec.openapi_types[field]
    for field, name in V1beta1PredictorSpec.attribute_map.items()
    if field not in client.V1PodSpec.model_fields
}


def reread(manifest: dict[str, Any]) -> dict[str, Any]:
    """Returns a manifest as its types know it."""
    if manifest["kind"] == "ServiceAccount":
        return convert(manifest, client.V1ServiceAccount)
    metadata = convert(manifest["metadata"], client.V1ObjectMeta)
    top = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata}
    if manifest["kind"] == "InferenceService":
        predictor = pod_specification(manifest["spec"]["predictor"], _PREDICTOR)
        return {**top, "spec": {"predictor": predictor}}
    template = manifest["spec"]["template"]
    revision = {
        "metadata": convert(template["metadata"], client.V1ObjectMeta),
        "spec": pod_specification(template["spec"], _REVISION),
    }
    return {**top, "spec": {"template": revision}}


def pod_specification(spec: dict[str, Any], added: dict[str, str]) -> dict[str, Any]:
    """Returns a pod's specification, and what a platform adds to one, by type."""
    own = {name: value for name, value in spec.items() if type(value).__name__ == added.get(name)}
    pod = {name: value for name, value in spec.items() if name not in own}
    named = [{"name": "user-container", **one} for one in pod["containers"]]  # Knative's default
    typed = convert({**pod, "containers": named}, client.V1PodSpec)
    for container, written in zip(typed["containers"], pod["containers"], strict=True):
        if "name" not in written:
            del container["name"]
    return {**typed, **own}


def convert(value: dict[str, Any], type_: Any) -> dict[str, Any]:
    """Reads a value into a client's type, and writes that."""
    converted: dict[str, Any] = client.ApiClient().sanitize_for_serialization(
        type_.from_dict(value)
    )
    return converted


if __name__ == "__main__":
    print(json.dumps([reread(one) for one in json.load(sys.stdin)]))
