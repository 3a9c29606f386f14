"""Every kind of request, valid and hostile, each checked by who sends it."""

import base64
import contextlib
import http.client
import io
import json
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from PIL import Image

from tiny_models import picture

COLOURS = ("red", "green", "blue")
MAX_BODY_BYTES = 1 << 20
PHOTO = "efficientnet-lite0"
_BOUNDARY = "0" * 16


class Said(NamedTuple):
    """An answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Returns the body, which is JSON."""
        return json.loads(self.body)


class Photo(NamedTuple):
    """A photo, and what the model said of it when it was asked alone."""

    data: bytes
    label: str
    probability: float


def photos(cat: bytes) -> list[bytes]:
    """Returns a photo and what else can be made of it: mirrored, cut, and as a PNG."""
    image = Image.open(io.BytesIO(cat)).convert("RGB")
    width, height = image.size
    made = [
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        image.crop((width // 8, height // 8, width, height)),
    ]
    found = [cat]
    for number, one in enumerate([*made, image.resize((320, 240))]):
        file = io.BytesIO()
        one.save(file, "PNG" if number == len(made) else "JPEG")
        found.append(file.getvalue())
    return found


class Caller:
    """Sends requests on a connection that is kept, and hostile ones on their own.

    Args:
        port: Where the server listens.
        seed: Of all that it chooses.
        known: Photos with their answers.
    """

    def __init__(self, port: int, seed: int, known: list[Photo]) -> None:
        self._port = port
        self._chance = random.Random(seed)  # noqa: S311 - the same at each run
        self._known = known
        self._seed = seed
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._messages = 0
        self._kept: list[socket.socket] = []
        self.sent: Counter[str] = Counter()
        valid: dict[Callable[[], None], int] = {
            self.photo: 15,
            self.colour: 10,
            self.several: 6,
            self.form: 5,
            self.numbers: 10,
            self.tensors: 8,
            self.query: 6,
            self.message: 4,
            self.look: 6,
        }
        hostile: dict[Callable[[], None], int] = {
            self.broken_json: 5,
            self.no_image: 5,
            self.bomb: 2,
            self.misfit: 4,
            self.nowhere: 4,
            self.too_large: 3,
            self.no_http: 3,
            self.half_a_head: 2,
            self.half_a_body: 3,
            self.gone_before_the_answer: 4,
            self.one_that_never_ends: 1,
        }
        kinds = valid | hostile
        self._kinds, self._weights = list(kinds), list(kinds.values())

    def call(self) -> None:
        """Sends one request of any kind and checks what comes of it."""
        (kind,) = self._chance.choices(self._kinds, self._weights)
        kind()
        self.sent[kind.__name__] += 1

    def close(self) -> None:
        """Leaves."""
        self._connection.close()
        for connection in self._kept:
            connection.close()

    # Valid

    def photo(self) -> None:
        """A photo is called what it was called when it was asked alone."""
        known = self._chance.choice(self._known)
        said = self._ask("POST", f"/predict/{PHOTO}?top_k=1", known.data, "image/jpeg", 200)
        (found,) = said.json()["predictions"]
        assert found["label"] == known.label, found
        assert abs(found["probability"] - known.probability) < 0.03, (found, known[1:])

    def colour(self) -> None:
        """A picture of any size and format."""
        colour = self._chance.choice(COLOURS)
        size = (self._chance.randrange(1, 700), self._chance.randrange(1, 700))
        data = picture(colour, size, format=self._chance.choice(["PNG", "BMP", "WEBP"]))
        if len(data) > MAX_BODY_BYTES:
            data = picture(colour)
        said = self._ask("POST", "/predict/colour", data, "image/png", 200)
        assert said.json()["predictions"][0]["label"] == colour

    def several(self) -> None:
        """Pictures in JSON, answered in their order."""
        colours, values = self._pictures()
        body = {"instances": [{"b64": value} for value in values]}
        said = self._json("/predict/colour", body, 200)
        assert [one["label"] for one in said["predictions"]] == colours

    def form(self) -> None:
        """Pictures in a form."""
        colours = self._chance.choices(COLOURS, k=3)
        parts = [
            f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="f"; filename="f.png"\r\n'
            "content-type: image/png\r\n\r\n".encode()
            + picture(colour)
            + b"\r\n"
            for colour in colours
        ]
        body = b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        said = self._ask("POST", "/predict/colour", body, kind, 200)
        assert [one["label"] for one in said.json()["predictions"]] == colours

    def numbers(self) -> None:
        """Numbers to the model that gives them back."""
        rows = [[float(self._chance.randrange(1000))] * 3] * self._chance.choice([1, 1, 20])
        said = self._json("/predict/float", {"instances": rows}, 200)
        assert [one["y"] for one in said["predictions"]] == rows

    def tensors(self) -> None:
        """The same in the Open Inference Protocol."""
        data = [float(self._chance.randrange(1000)) for _ in range(6)]
        tensor = {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": data}
        said = self._json("/v2/models/float/infer", {"inputs": [tensor]}, 200)
        assert [one["data"] for one in said["outputs"]] == [data, data]

    def query(self) -> None:
        """The same from BigQuery, of the default model."""
        colours, values = self._pictures()
        said = self._json("/bigquery", {"calls": [[value] for value in values]}, 200)
        found = [json.loads(one) if isinstance(one, str) else one for one in said["replies"]]
        assert [one["label"] for one in found] == colours

    def message(self) -> None:
        """A message of Pub/Sub, delivered twice."""
        self._messages += 1
        colour = self._chance.choice(COLOURS)
        message = {
            "data": base64.b64encode(picture(colour)).decode(),
            "messageId": f"{self._seed}-{self._messages}-{colour}",
        }
        document = {"message": message, "subscription": "projects/p/subscriptions/s"}
        assert self._json("/pubsub", document, 200)["outcome"] == "written"
        assert self._json("/pubsub", document, 200)["outcome"] == "repeated"

    def look(self) -> None:
        """What can be seen without a prediction."""
        path = self._chance.choice(
            ["/", "/livez", "/readyz", "/models", "/models/colour", "/metrics", "/openapi.json"]
        )
        self._ask("GET", path, b"", "", 200)

    # Hostile

    def broken_json(self) -> None:
        """What is no JSON, or far too deep."""
        body = self._chance.choice(
            [
                b"{",
                b'{"instances": [NaN]}',
                b"[" * 100_000,
                b'{"a":' * 5000,
                b"\xff\xfe",
                b'"\\ud800',
            ]
        )
        said = self._ask("POST", "/predict", body, "application/json", 400)
        assert said.json()["error"]["code"] == "malformed"

    def no_image(self) -> None:
        """What is no image, or half of one."""
        photo = self._known[0].data
        body = self._chance.choice([b"no image", photo[: len(photo) // 3], photo[:20] * 50])
        said = self._ask("POST", f"/predict/{PHOTO}", body, "image/jpeg", 0)
        assert said.status in (400, 415), (said.status, said.body)

    def bomb(self) -> None:
        """A small file of very many pixels."""
        size = struct.pack(">II", 60_000, 60_000)
        data = picture("red", format="PNG")
        said = self._ask("POST", "/predict", data[:16] + size + data[24:], "image/png", 0)
        assert said.status in (400, 413), (said.status, said.body)

    def misfit(self) -> None:
        """What can be read, but not by this model."""
        body = self._chance.choice([[["a"]], [{"x": 1}], [[[[1.0]]]], [None], [[1e999]]])
        text = json.dumps({"instances": body}).replace("Infinity", "1e999")
        said = self._ask("POST", "/predict/float", text.encode(), "application/json", 0)
        assert said.status in (400, 422), (said.status, said.body)

    def nowhere(self) -> None:
        """A route, a model, a method or an encoding that there is not."""
        method, path, status = self._chance.choice(
            [
                ("GET", "/no/route", 404),
                ("POST", "/predict/no-model", 404),
                ("DELETE", "/predict", 405),
                ("POST", "/../../etc/passwd", 404),
            ]
        )
        said = self._ask(method, path, b"x" if method == "POST" else b"", "text/plain", status)
        assert said.json()["error"]["retryable"] is False

    def too_large(self) -> None:
        """More than may be sent, told before it is, or found out on the way."""
        if self._chance.random() < 0.5:
            head = self._head(f"content-length: {MAX_BODY_BYTES * 1000}")
            data = self._raw(head + b"x" * 1000)
        else:
            chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            data = self._raw(self._head("transfer-encoding: chunked") + chunk * 20 + b"0\r\n\r\n")
        # Whoever still sends when the connection is closed may lose the answer.
        assert data == b"" or data.split()[1] == b"413", data[:200]

    def no_http(self) -> None:
        """What is no HTTP."""
        junk = self._chance.choice(
            [
                b"\x16\x03\x01\x02\x00\x01\x00" * 20 + b"\r\n\r\n",
                b"GET /livez HTTP/1.1\r\nhost\r\n\r\n",
                b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
                b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
                b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
            ]
        )
        data = self._raw(junk)
        assert data.split()[1:2] == [b"400"], data[:200]

    def half_a_head(self) -> None:
        """A caller who leaves within the head."""
        self._leave(b"POST /predict HTTP/1.1\r\nhost: x\r\nconte")

    def half_a_body(self) -> None:
        """A caller who leaves within the body."""
        self._leave(self._head("content-length: 100000") + b"x" * self._chance.randrange(60_000))

    def gone_before_the_answer(self) -> None:
        """A caller who leaves as soon as the request is sent."""
        photo = self._chance.choice(self._known).data
        head = self._head(f"content-length: {len(photo)}", f"/predict/{PHOTO}")
        self._leave(head + photo, self._chance.choice([0.0, 0.005]))

    def one_that_never_ends(self) -> None:
        """A caller who sends a little and then waits; the oldest such one leaves."""
        connection = socket.create_connection(("127.0.0.1", self._port), 60)
        connection.sendall(self._head("content-length: 100000") + b"x")
        self._kept.append(connection)
        if len(self._kept) > 5:
            self._kept.pop(0).close()

    def _pictures(self) -> tuple[list[str], list[str]]:
        colours = self._chance.choices(COLOURS, k=self._chance.choice([1, 2, 8]))
        return colours, [base64.b64encode(picture(colour)).decode() for colour in colours]

    def _json(self, path: str, value: Any, status: int) -> Any:
        return self._ask(
            "POST", path, json.dumps(value).encode(), "application/json", status
        ).json()

    def _ask(self, method: str, path: str, body: bytes, media_type: str, status: int) -> Said:
        """Sends a request; checks its status, unless that is 0."""
        headers = {"content-type": media_type} if media_type else {}
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        said = Said(answer.status, answer.read())
        assert said.status == (status or said.status), (path, said.status, said.body[:300])
        return said

    def _head(self, length: str, path: str = "/predict") -> bytes:
        lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: image/png", length]
        return "\r\n".join([*lines, "", ""]).encode()

    def _raw(self, data: bytes) -> bytes:
        """Sends bytes and returns what comes until the server ends the connection."""
        found = b""
        with (
            socket.create_connection(("127.0.0.1", self._port), 60) as connection,
            contextlib.suppress(ConnectionError),
        ):
            connection.sendall(data)
            while part := connection.recv(65536):
                found += part
        return found

    def _leave(self, data: bytes, after_s: float = 0.0) -> None:
        """Sends bytes and leaves, half of the times with a reset."""
        with (
            socket.create_connection(("127.0.0.1", self._port), 60) as connection,
            contextlib.suppress(ConnectionError),
        ):
            connection.sendall(data)
            time.sleep(after_s)
            if self._chance.random() < 0.5:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
