"""zeropoint send: the platform's part, played here, to try triggers before they are deployed."""

import base64
import json
import mimetypes
import sys
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent

from zeropoint import gcs, settings
from zeropoint.cli import options
from zeropoint.events import OBJECT_FINALIZED

_FILE_TYPE = "dev.zeropoint.file"
_TIMEOUT_S = 60.0


class _Request(NamedTuple):
    """What the platform would send."""

    path: str
    headers: dict[str, str]
    body: bytes


@click.command(
    "send",
    epilog=options.examples(
        "zeropoint send photo.jpg",
        "zeropoint send photo.jpg --as pubsub --id 1",
        "zeropoint send gs://my-photos/photo.jpg --to http://localhost:8080",
    ),
)
@click.argument("source", metavar="FILE|gs://BUCKET/OBJECT")
@click.option("--to", default="http://localhost:8080", show_default=True, help="The function.")
@click.option(
    "--as",
    "as_",
    type=click.Choice(["eventarc", "pubsub"]),
    default="eventarc",
    show_default=True,
    help="Whose part is played.",
)
@click.option(
    "--id", "id_", help="The event's id; by default a new one. The same id is a redelivery."
)
@click.option("--generation", type=int, help="The object's generation; by default it is looked up.")
def command(source: str, to: str, as_: str, id_: str | None, generation: int | None) -> None:
    """Send a file, or the news of an uploaded object, as Eventarc or Pub/Sub would.

    A FILE is sent as the data of a CloudEvent or of a Pub/Sub message. For gs://BUCKET/OBJECT the
    notification of its upload is sent; the function reads the object itself, from a bucket that
    its ZEROPOINT_BUCKETS allows.

    A function that asks for a key is given that of ZEROPOINT_API_KEY.
    """
    api_key = settings.from_environment().api_key
    if not to.startswith(("http://", "https://")):
        raise click.BadParameter("expected http://… or https://…", param_hint="--to")
    id_ = id_ or str(uuid.uuid4())
    if source.startswith(gcs.SCHEME):
        request = _upload(source, id_, generation, as_)
    else:
        request = _file(source, id_, as_)
    sys.exit(_send(to.rstrip("/"), request, api_key))


def _file(source: str, id_: str, as_: str) -> _Request:
    path = Path(source)
    if not path.is_file():
        raise click.BadParameter(f"expected a file or gs://…, got {source!r}", param_hint="FILE")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if as_ == "pubsub":
        return _pushed(id_, {"content-type": media_type}, path.read_bytes())
    attributes = {"datacontenttype": media_type, "subject": path.name}
    return _published(id_, _FILE_TYPE, "//zeropoint/send", attributes, path.read_bytes())


def _upload(source: str, id_: str, generation: int | None, as_: str) -> _Request:
    bucket, name = gcs.split(source)
    if generation is None:
        generation = gcs.Bucket(bucket).newest(name)
    told = {"bucket": bucket, "name": name, "generation": str(generation)}
    if as_ == "pubsub":
        attributes = {
            "eventType": "OBJECT_FINALIZE",
            "payloadFormat": "JSON_API_V1",
            "bucketId": bucket,
            "objectId": name,
            "objectGeneration": str(generation),
        }
        return _pushed(id_, attributes, json.dumps(told).encode())
    data = json.dumps({"kind": "storage#object", **told}).encode()
    attributes = {"datacontenttype": "application/json", "subject": f"objects/{name}"}
    place = f"//storage.googleapis.com/projects/_/buckets/{bucket}"
    return _published(id_, OBJECT_FINALIZED, place, attributes, data)


def _published(
    id_: str, type_: str, source: str, attributes: dict[str, str], data: bytes
) -> _Request:
    """Returns a CloudEvent in binary mode, as Eventarc sends it."""
    known = {"id": id_, "type": type_, "source": source, "time": _now(), **attributes}
    headers, body = to_binary(CloudEvent(known, data), data_marshaller=lambda kept: kept)
    return _Request("/events", headers, bytes(body))


def _pushed(id_: str, attributes: dict[str, str], data: bytes) -> _Request:
    """Returns a push request of Pub/Sub, wrapped."""
    message: dict[str, Any] = {
        "attributes": attributes,
        "data": base64.b64encode(data).decode(),
        "messageId": id_,
        "message_id": id_,
        "publishTime": _now(),
        "publish_time": _now(),
    }
    envelope = {"message": message, "subscription": "projects/local/subscriptions/zeropoint-send"}
    return _Request("/pubsub", {"content-type": "application/json"}, json.dumps(envelope).encode())


def _send(url: str, request: _Request, api_key: str) -> int:
    """Sends a request, prints the answer, and returns the exit status."""
    message = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url + request.path, request.body, request.headers
    )
    if api_key:
        message.add_unredirected_header("X-API-Key", api_key)
    try:
        with urllib.request.urlopen(message, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            click.echo(answer.read().decode().strip())
            return 0
    except urllib.error.HTTPError as error:
        click.echo(f"{error.code}: {error.read().decode().strip()}", err=True)
        click.echo("not acknowledged: the platform would send it again", err=True)
    except urllib.error.URLError as error:
        click.echo(f"{url}: {error.reason}; is the function served there?", err=True)
    return 1


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
