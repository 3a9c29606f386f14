"""A small object-storage server for the tests, speaking Cloud Storage's JSON API on loopback.

Google's own `google-cloud-storage` client talks to it unchanged through
`STORAGE_EMULATOR_HOST`, so what the tests exercise is the real client over real HTTP:

    with StorageServer() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)

What it does: create, get and list buckets; list objects by prefix, delimiter and page; get,
download (whole or one range), upload (media, multipart, resumable in one piece or in chunks)
and delete objects; generations that grow with every write; `ifGenerationMatch` and
`ifGenerationNotMatch`; size, md5Hash and crc32c; errors in the API's own shape.

What it does not do: authentication, ACLs and IAM; object versioning (only the current
generation exists) and soft delete; metagenerations and changing metadata; copy, rewrite and
compose; batches; deleting buckets; gzip transcoding; encryption keys; the XML and gRPC APIs.
A query parameter that it does not know is answered with 501, never ignored. Everything lives
in memory and is gone when the server closes.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import re
import socket
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import google_crc32c

_PATH = re.compile(r"(/upload|/download)?/storage/v1/b(?:/([^/]+)(/o(?:/(.+))?)?)?/?")
_PARAMETERS = {"alt", "fields", "prettyPrint", "project", "projection", "generation"}
_PARAMETERS |= {"ifGenerationMatch", "ifGenerationNotMatch", "name", "uploadType", "upload_id"}
_PARAMETERS |= {"delimiter", "maxResults", "pageToken", "prefix"}
_REASONS = {404: "notFound", 409: "conflict", 412: "conditionNotMet", 501: "notImplemented"}


class _Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        reason = _REASONS.get(status, "backendError" if status >= 500 else "invalid")
        error = {"message": message, "domain": "global", "reason": reason}
        if status == 412:
            error |= {"locationType": "header", "location": "If-Match"}
        content = {"error": {"code": status, "message": message, "errors": [error]}}
        self.answer = _Answer(304) if status == 304 else _json(content, status)


class _Object(NamedTuple):
    data: bytes
    generation: int
    resource: dict[str, Any]


class _Upload(NamedTuple):
    bucket: str
    fields: dict[str, Any]
    query: dict[str, str]
    received: bytearray


# What becomes of an answer: it is sent, or half of it, and then the connection ends, or nothing.
_Sent = Literal["whole", "cut", "hanging"]


class _Fault(NamedTuple):
    what: str
    status: int = 0  # to answer; 0: it is carried out
    sent: _Sent = "whole"


class StorageServer:
    """The server; it answers on a free port of 127.0.0.1 while its `with` block runs.

    Attributes:
        url: Where it listens, as `STORAGE_EMULATOR_HOST` wants it.
        requests: The method and the path, unquoted and without query, of each request so far.
        writes: How often each object was written, by its bucket and name.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.writes: Counter[tuple[str, str]] = Counter()
        self._lock = threading.RLock()
        self._buckets: dict[str, dict[str, _Object]] = {}
        self._uploads: dict[str, _Upload | _Answer] = {}  # The answer, once it's finished.
        self._generation = 0
        self._faults: list[_Fault] = []
        self._stall = ("", 0.0)
        self._share = 0.0
        self._chance = random.Random()  # noqa: S311 - which requests fail is no secret
        self._closing = threading.Event()
        self._http = _HTTPServer(self)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._closing.set()
        self._http.server_close()

    def put(
        self, bucket: str, name: str, data: bytes, content_type: str = "application/octet-stream"
    ) -> int:
        """Stores an object, in a bucket made if need be, and gives its generation."""
        with self._lock:
            self._buckets.setdefault(bucket, {})
            self._insert(bucket, {"name": name, "contentType": content_type}, data, {})
            return self._buckets[bucket][name].generation

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Gives the name and content of each object in a bucket."""
        with self._lock:
            return {name: item.data for name, item in self._buckets.get(bucket, {}).items()}

    def fail_next(self, what: str, status: int, count: int = 1) -> None:
        """Answers the next matching requests with an error, and carries none of them out.

        Args:
            what: How a request begins: `POST`, `GET /download`, `/storage/v1/b/models/o/x`.
            status: The HTTP status to answer.
            count: For how many requests.
        """
        with self._lock:
            self._faults += [_Fault(what, status)] * count

    def truncate_next(self, what: str = "") -> None:
        """Carries out the next request (that begins so), sends half the body and hangs up."""
        with self._lock:
            self._faults.append(_Fault(what, sent="cut"))

    def hang_next(self, what: str = "", count: int = 1) -> None:
        """Carries out the next requests (that begin so), sends half the body and then nothing."""
        with self._lock:
            self._faults += [_Fault(what, sent="hanging")] * count

    def stumble(self, share: float, seed: int = 0) -> None:
        """Has a share of all requests from now on fail: half with 503, half cut short; 0 ends it.

        Those answered with 503 are not carried out, those cut short are.
        """
        with self._lock:
            self._share = share
            self._chance.seed(seed)

    def mend(self) -> None:
        """Ends all that was asked for above and below."""
        with self._lock:
            self._faults.clear()
            self._share, self._stall = 0.0, ("", 0.0)

    def stall(self, seconds: float, what: str = "") -> None:
        """Waits so long before carrying out each request (that begins so) from now on.

        Args:
            seconds: How long; 0 ends it.
            what: As for `fail_next`.
        """
        self._stall = (what, seconds)

    def _answer(
        self, method: str, target: str, headers: Message, body: bytes
    ) -> tuple[_Answer, _Sent]:
        """Carries out one request; also says what becomes of its answer."""
        url = urlsplit(target)
        path = unquote(url.path)
        with self._lock:
            self.requests.append((method, path))
            starts = (f"{method} {path}", path)
            hit = next((f for f in self._faults if any(s.startswith(f.what) for s in starts)), None)
            if hit:
                self._faults.remove(hit)
            elif self._chance.random() < self._share:
                hit = self._chance.choice([_Fault("", 503), _Fault("", sent="cut")])
        what, seconds = self._stall
        if any(start.startswith(what) for start in starts):
            self._closing.wait(seconds)
        if hit and hit.status:
            return _Refusal(hit.status, "The test asked for this.").answer, "whole"
        try:
            query = dict(parse_qsl(url.query, keep_blank_values=True))
            if unknown := query.keys() - _PARAMETERS:
                raise _Refusal(501, f"Not implemented: {', '.join(sorted(unknown))}")
            with self._lock:
                answer = self._route(method, url.path, query, headers, body)
        except _Refusal as refusal:
            answer = refusal.answer
        except (LookupError, ValueError) as error:
            answer = _Refusal(400, f"Malformed request: {error}").answer
        return answer, hit.sent if hit else "whole"

    def _route(
        self, method: str, path: str, query: dict[str, str], headers: Message, body: bytes
    ) -> _Answer:
        if not (match := _PATH.fullmatch(path)):
            raise _Refusal(404, "Not Found")
        service, collection = match[1] or "", bool(match[3])
        bucket, name = unquote(match[2] or ""), unquote(match[4] or "")
        if bucket and bucket not in self._buckets:
            raise _Refusal(404, "The specified bucket does not exist.")
        match method, service, collection, bool(name):
            case "GET", "" | "/download", True, True:
                item = self._find(bucket, name, query, 304)
                media = service or query.get("alt") == "media"
                return _download(item, headers.get("Range", "")) if media else _json(item.resource)
            case "DELETE", "", True, True:
                self._find(bucket, name, query, 412)
                del self._buckets[bucket][name]
                return _Answer(204)
            case "POST", "/upload", True, False:
                return self._upload(bucket, query, headers, body)
            case "PUT", "/upload", True, False:
                return self._continue_upload(query.get("upload_id", ""), headers, body)
            case "GET", "", True, False:
                return self._list(bucket, query)
            case "GET", "", False, False if bucket:
                return _json(_bucket_resource(bucket))
            case "GET", "", False, False:
                buckets = [_bucket_resource(each) for each in sorted(self._buckets)]
                return _json({"kind": "storage#buckets", "items": buckets})
            case "POST", "", False, False if not bucket:
                created = str(json.loads(body)["name"])
                if created in self._buckets:
                    raise _Refusal(409, "The bucket you tried to create already exists.")
                self._buckets[created] = {}
                return _json(_bucket_resource(created))
        raise _Refusal(501, f"Not implemented: {method} {path}")

    def _check(self, bucket: str, name: str, query: dict[str, str], not_match: int = 412) -> None:
        item = self._buckets[bucket].get(name)
        current = item.generation if item else 0
        wanted, unwanted = query.get("ifGenerationMatch"), query.get("ifGenerationNotMatch")
        message = "At least one of the pre-conditions you specified did not hold."
        if wanted is not None and int(wanted) != current:
            raise _Refusal(412, message)
        if unwanted is not None and int(unwanted) == current:
            raise _Refusal(not_match, message)

    def _find(self, bucket: str, name: str, query: dict[str, str], not_match: int) -> _Object:
        item = self._buckets[bucket].get(name)
        if item is None or int(query.get("generation", item.generation)) != item.generation:
            raise _Refusal(404, f"No such object: {bucket}/{name}")
        self._check(bucket, name, query, not_match)
        return item

    def _list(self, bucket: str, query: dict[str, str]) -> _Answer:
        objects = self._buckets[bucket]
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        entries: dict[str, _Object | None] = {}  # In order; a common prefix has no object.
        for name in sorted(name for name in objects if name.startswith(prefix)):
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            common = name[: end + len(delimiter)] if end >= 0 else None
            entries[common or name] = None if common else objects[name]
        after = bytes.fromhex(query.get("pageToken", "")).decode()
        rest = [name for name in entries if name > after]
        page = rest[: int(query.get("maxResults", 1000))]
        content: dict[str, Any] = {
            "kind": "storage#objects",
            "items": [item.resource for name in page if (item := entries[name])],
            "prefixes": [name for name in page if not entries[name]],
        }
        if len(page) < len(rest):
            content["nextPageToken"] = page[-1].encode().hex()
        return _json(content)

    def _upload(self, bucket: str, query: dict[str, str], headers: Message, body: bytes) -> _Answer:
        kind, content_type = query.get("uploadType"), headers.get("Content-Type", "")
        if kind == "media":
            fields: dict[str, Any] = {"name": query["name"], "contentType": content_type}
            return self._insert(bucket, fields, body, query)
        if kind == "multipart":
            return self._insert(bucket, *_multipart(content_type, body), query)
        if kind != "resumable":
            raise _Refusal(501, f"Not implemented: uploadType {kind}")
        fields = {"contentType": headers.get("X-Upload-Content-Type")}
        fields |= {"name": query.get("name")} | json.loads(body or "{}")
        self._check(bucket, str(fields["name"]), query)
        upload_id = f"upload-{len(self._uploads) + 1}"
        self._uploads[upload_id] = _Upload(bucket, fields, query, bytearray())
        path = f"/upload/storage/v1/b/{quote(bucket, safe='')}/o"
        location = f"{self.url}{path}?uploadType=resumable&upload_id={upload_id}"
        return _Answer(200, b"", (("Location", location),))

    def _continue_upload(self, upload_id: str, headers: Message, body: bytes) -> _Answer:
        upload = self._uploads.get(upload_id)
        if upload is None:
            raise _Refusal(404, "No such upload.")
        if isinstance(upload, _Answer):
            return upload
        stated = headers.get("Content-Range", f"bytes 0-/{len(body)}")
        match = re.fullmatch(r"bytes (?:(\d+)-\d*|\*)/(\d+|\*)", stated)
        start = int(match[1] or len(upload.received)) if match else -1
        if not match or not 0 <= start <= len(upload.received):
            raise _Refusal(400, f"Content-Range does not continue the upload: {stated}")
        upload.received[start:] = body
        if match[2] == "*" or len(upload.received) < int(match[2]):
            last = len(upload.received) - 1
            return _Answer(308, b"", (("Range", f"bytes=0-{last}"),) if last >= 0 else ())
        data = bytes(upload.received)
        answer = self._insert(upload.bucket, upload.fields, data, upload.query)
        self._uploads[upload_id] = answer
        return answer

    def _insert(
        self, bucket: str, fields: dict[str, Any], data: bytes, query: dict[str, str]
    ) -> _Answer:
        """Writes an object if the preconditions hold; answers with its resource."""
        name = str(fields.get("name") or query["name"])
        self._check(bucket, name, query)
        checksums = {
            "md5Hash": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
            "crc32c": base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode(),
        }
        for key, value in checksums.items():
            if fields.get(key, value) != value:
                raise _Refusal(400, f"Provided {key} doesn't match the calculated {value}.")
        self._generation = max(self._generation + 1, time.time_ns() // 1000)
        generation = str(self._generation)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        path = f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}"
        media = f"{self.url}/download{path}?generation={generation}&alt=media"
        resource = {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "selfLink": self.url + path,
            "mediaLink": media,
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "contentType": fields.get("contentType") or "application/octet-stream",
            "metadata": fields.get("metadata") or {},
            "size": str(len(data)),
            "etag": generation,
            "storageClass": "STANDARD",
            "timeCreated": now,
            "updated": now,
            **checksums,
        }
        self.writes[bucket, name] += 1
        self._buckets[bucket][name] = _Object(data, self._generation, resource)
        return _json(resource)


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = False  # So that closing joins them.
    request_queue_size = 128

    def __init__(self, storage: StorageServer) -> None:
        self.storage = storage
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in self.connections.copy():  # Idle ones wait for a request for ever.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HTTPServer

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if len(body := self.rfile.read(length)) < length or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return
        storage = self.server.storage
        answer, sent = storage._answer(self.command, self.path, self.headers, body)
        self.send_response(answer.status)
        for header, value in answer.headers:
            self.send_header(header, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body if sent == "whole" else answer.body[: len(answer.body) // 2])
        if sent == "hanging":
            storage._closing.wait()
        self.close_connection = sent != "whole" or self.close_connection

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # The client has left, as after its time-out.
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def _json(content: dict[str, Any], status: int = 200) -> _Answer:
    kind = ("Content-Type", "application/json; charset=UTF-8")
    return _Answer(status, json.dumps(content).encode(), (kind,))


def _bucket_resource(bucket: str) -> dict[str, Any]:
    return {"kind": "storage#bucket", "id": bucket, "name": bucket, "location": "US"}


def _download(item: _Object, wanted: str) -> _Answer:
    """Answers with an object's content, or with the one range of it that is wanted."""
    hashes = f"crc32c={item.resource['crc32c']},md5={item.resource['md5Hash']}"
    headers = (
        ("Content-Type", item.resource["contentType"]),
        ("X-Goog-Generation", item.resource["generation"]),
        ("X-Goog-Hash", hashes),
    )
    size = len(item.data)
    match = re.fullmatch(r"bytes=(?:(\d+)-(\d*)|-(\d+))", wanted)
    if not match:
        return _Answer(200, item.data, headers)
    start = int(match[1]) if match[1] else max(0, size - int(match[3]))
    end = min(size, int(match[2]) + 1) if match[2] else size
    if start >= end:
        return _Answer(416, b"", (("Content-Range", f"bytes */{size}"),))
    span = ("Content-Range", f"bytes {start}-{end - 1}/{size}")
    return _Answer(206, item.data[start:end], (*headers, span))


def _multipart(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """Takes an upload of two parts, metadata and content, apart."""
    header = Message()
    header["Content-Type"] = content_type
    mark = f"--{header.get_param('boundary')}".encode()
    _, metadata, content = (b"\r\n" + body).split(b"\r\n" + mark, 2)
    content = content[: content.rindex(b"\r\n" + mark + b"--")]
    kind, data = content.partition(b"\r\n\r\n")[::2]
    given = re.search(rb"(?i)content-type: *([^\r\n]+)", kind)
    fields = {"contentType": given[1].decode()} if given else {}
    return fields | json.loads(metadata.partition(b"\r\n\r\n")[2]), data
