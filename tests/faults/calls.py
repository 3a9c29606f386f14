"""What the tests of faults send, and what they expect back."""

import base64
import json
import time

import requests

from storage_server import StorageServer
from tiny_models import picture


def make_buckets(storage: StorageServer, *names: str) -> None:
    """Makes empty buckets."""
    for name in names:
        url = f"{storage.url}/storage/v1/b?project=test"
        assert requests.post(url, json={"name": name}, timeout=10).ok


def predict(url: str, colour: str, timeout_s: float = 30.0) -> float:
    """Has a picture answered rightly; returns the seconds that it took."""
    began_s = time.monotonic()
    answer = requests.post(url + "/predict", picture(colour), timeout=timeout_s)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"][0]["label"] == colour
    return time.monotonic() - began_s


def of_object(url: str, uri: str) -> requests.Response:
    """Asks for a prediction of an object in a bucket."""
    return requests.post(url + "/predict", json={"instances": [{"gcs": uri}]}, timeout=60)


def push(url: str, id_: str, colour: str) -> requests.Response:
    """Delivers a message of Pub/Sub."""
    data = base64.b64encode(picture(colour)).decode()
    document = {
        "message": {"data": data, "messageId": id_},
        "subscription": "projects/p/subscriptions/s",
    }
    return requests.post(url + "/pubsub", json=document, timeout=60)


def to_come_again(answer: requests.Response, *statuses: int) -> None:
    """Checks a refusal after which the same may succeed."""
    assert answer.status_code in (statuses or (503,)), answer.text
    assert answer.json()["error"]["retryable"] is True
    assert int(answer.headers["retry-after"]) >= 1


def acknowledged(answer: requests.Response, outcome: str) -> None:
    """Checks an acknowledgement."""
    assert answer.status_code == 200, answer.text
    assert answer.json()["outcome"] == outcome, answer.text


def label(record: bytes) -> str:
    """Returns what a record says of its one picture."""
    (prediction,) = json.loads(record)["predictions"]
    return str(prediction["label"])
