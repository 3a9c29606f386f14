"""What the platforms deliver, and servers of functions that they deliver it to."""

import base64
import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import requests

from servers import Server
from storage_server import StorageServer
from zeropoint.events import OBJECT_FINALIZED

STRUCTURED = "application/cloudevents+json"


class Running(NamedTuple):
    """A server, and the storage that it reads and writes."""

    server: Server
    storage: StorageServer

    @property
    def results(self) -> dict[str, Any]:
        """The records below the sink's prefix, read."""
        found = self.storage.objects("results")
        assert all(name.startswith("out/") for name in found)
        return {name.removeprefix("out/"): json.loads(data) for name, data in found.items()}

    def send(self, path: str, headers: dict[str, str], body: bytes) -> requests.Response:
        """Delivers once."""
        return requests.post(self.server.url + path, body, headers=headers, timeout=30)


@contextlib.contextmanager
def storage_of_buckets() -> Iterator[StorageServer]:
    """Gives a storage with an empty bucket for uploads, and one for results."""
    with StorageServer() as found:
        for name in ("photos", "results"):
            url = f"{found.url}/storage/v1/b?project=test"
            assert requests.post(url, json={"name": name}, timeout=10).ok
        yield found


def settings_of(storage: StorageServer, models: Path, **settings: str) -> dict[str, str]:
    """Returns the settings of a server of models that reads and writes a storage."""
    return {
        "STORAGE_EMULATOR_HOST": storage.url,
        "ZEROPOINT_MODELS": str(models),
        "ZEROPOINT_BUCKETS": "photos",
        "ZEROPOINT_RESULTS": "gs://results/out",
        **settings,
    }


def now(late_s: float = 0.0) -> str:
    """Returns a time so long ago, as events have it."""
    return (datetime.now(UTC) - timedelta(seconds=late_s)).isoformat().replace("+00:00", "Z")


def uploaded(
    name: str,
    generation: int,
    bucket: str = "photos",
    late_s: float = 0.0,
    changed: dict[str, str] | None = None,
) -> tuple[str, dict[str, str], bytes]:
    """Returns the delivery of an upload as Eventarc sends it, in binary mode."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": f"{bucket}-{generation}",
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
        "ce-type": OBJECT_FINALIZED,
        "ce-time": now(late_s),
        "content-type": "application/json; charset=utf-8",
        **(changed or {}),
    }
    data = {"bucket": bucket, "name": name, "generation": str(generation), "size": "1"}
    return "/events", headers, json.dumps(data, ensure_ascii=False).encode()


def structured(delivery: tuple[str, dict[str, str], bytes]) -> tuple[str, dict[str, str], bytes]:
    """Returns the same delivery in structured mode."""
    path, headers, body = delivery
    event = {key.removeprefix("ce-"): value for key, value in headers.items() if "ce-" in key}
    document = {**event, "datacontenttype": "application/json", "data": json.loads(body)}
    headers = {"content-type": f"{STRUCTURED}; charset=utf-8"}
    return path, headers, json.dumps(document).encode()


def pushed(
    id_: str, data: bytes, late_s: float = 0.0, attributes: dict[str, str] | None = None
) -> tuple[str, dict[str, str], bytes]:
    """Returns the delivery of a Pub/Sub message, wrapped."""
    message = {
        "data": base64.b64encode(data).decode(),
        "messageId": id_,
        "message_id": id_,
        "publishTime": now(late_s),
        "publish_time": now(late_s),
        "attributes": attributes or {},
    }
    document = {"message": message, "subscription": "projects/p/subscriptions/s"}
    headers = {"content-type": "application/json; charset=utf-8"}
    return "/pubsub", headers, json.dumps(document).encode()


def acknowledged(response: requests.Response, outcome: str) -> str:
    """Checks an acknowledgement and returns the name of its record."""
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["outcome"] == outcome, body
    return str(body["record"])
