"""The routes that are attacked, and a document that each of them takes."""

import json

from conformance.wire import call
from servers import Server

ANSWERING = (
    "/",
    "/predict",
    "/predict/colour",
    "/v1/predict",
    "/bigquery",
    "/v2/models/colour/infer",
    "/v2/models/colour/versions/1/infer",
)
CHAT = "/v1/chat/completions"  # for the three that are written alike
TAKING = (*ANSWERING, "/events", "/pubsub")


def listed(server: Server) -> dict[str, set[str]]:
    """Returns the methods of each path that the server lists, its arguments filled in."""
    found: dict[str, set[str]] = {}
    for route in call(server, "GET", "/").json()["routes"]:
        method, path = route.split()
        path = path.replace("<model>", "colour").replace("<version>", "1")
        found.setdefault(path, set()).update({method} if method != "GET" else {"GET", "HEAD"})
    return found


def document_of(path: str, instance: object) -> bytes:
    """Returns a document with one instance, as a path takes it."""
    if path == "/bigquery":
        return json.dumps({"calls": [[instance]]}).encode()
    if path == CHAT:
        return json.dumps({"messages": [{"role": "user", "content": instance}]}).encode()
    if path.startswith("/v2"):
        entry = {"name": "input", "datatype": "FP32", "shape": [1, 1], "data": [instance]}
        return json.dumps({"inputs": [entry]}).encode()
    return json.dumps({"instances": [instance]}).encode()
