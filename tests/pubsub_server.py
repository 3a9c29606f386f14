"""A small Pub/Sub server for the tests, speaking gRPC on loopback: Publisher.Publish, no more.

Google's own client talks to it unchanged through `PUBSUB_EMULATOR_HOST`, so what the tests
exercise is the real client over real HTTP/2:

    with PubsubServer("projects/p/topics/t") as server:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.address)

What it does: topics that exist and those that do not; messages kept in the order they came, with
their ids; Pub/Sub's limits on a message; failures and delays that a test asks for. What it does
not do: subscriptions, ordering keys, schemas, authentication.
"""

from __future__ import annotations

import threading
from concurrent import futures
from typing import Any, NamedTuple, NoReturn, Self

import grpc
from google.pubsub_v1 import PublishRequest, PublishResponse

_WORKERS = 16


class Message(NamedTuple):
    """One message that was published."""

    topic: str
    data: bytes
    attributes: dict[str, str]


class _Fault(NamedTuple):
    status: grpc.StatusCode
    kept: bool  # Whether the messages are kept all the same.


class PubsubServer:
    """The server; it answers on a port of 127.0.0.1 while its `with` block runs.

    Args:
        topics: Those that exist, as `projects/P/topics/T`.
        port: Where to listen instead of on a free one.

    Attributes:
        address: Where it listens, as `PUBSUB_EMULATOR_HOST` wants it.
        messages: What was published, in its order.
        calls: How many requests came, refused ones included.
    """

    def __init__(self, *topics: str, port: int = 0) -> None:
        self.messages: list[Message] = []
        self.calls = 0
        self._topics = topics
        self._faults: list[_Fault] = []
        self._delay_s = 0.0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        method = grpc.unary_unary_rpc_method_handler(
            self._publish, PublishRequest.deserialize, PublishResponse.serialize
        )
        handler = grpc.method_handlers_generic_handler(
            "google.pubsub.v1.Publisher", {"Publish": method}
        )
        # Else two servers may share a port, and each get half of the calls.
        alone = ("grpc.so_reuseport", 0)
        size = ("grpc.max_receive_message_length", -1)
        self._server: Any = grpc.server(
            futures.ThreadPoolExecutor(_WORKERS), handlers=[handler], options=[alone, size]
        )
        self.port: int = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.stop(grace=5.0).wait()

    def fail_next(self, status: grpc.StatusCode, count: int = 1, kept: bool = False) -> None:
        """Answers the next requests with an error.

        Args:
            status: What to answer.
            count: For how many requests.
            kept: Whether to keep their messages, as if only the answers were lost.
        """
        with self._lock:
            self._faults += [_Fault(status, kept)] * count

    def delay(self, seconds: float) -> None:
        """Waits so long before carrying out each request from now on; 0 ends that."""
        self._delay_s = seconds

    def _publish(self, request: PublishRequest, context: Any) -> PublishResponse:
        with self._lock:
            self.calls += 1
            fault = self._faults.pop(0) if self._faults else None
        self._closing.wait(self._delay_s)
        if fault and not fault.kept:
            _refuse(context, fault.status, "The test asked for this.")
        if request.topic not in self._topics:
            _refuse(context, grpc.StatusCode.NOT_FOUND, "Resource not found.")
        for message in request.messages:
            _check(message, context)
        with self._lock:
            first = len(self.messages) + 1
            for message in request.messages:
                attributes = dict(message.attributes)
                self.messages.append(Message(request.topic, message.data, attributes))
        if fault:
            _refuse(context, fault.status, "The test asked for this.")
        ids = [str(first + number) for number in range(len(request.messages))]
        return PublishResponse(message_ids=ids)


def _check(message: Any, context: Any) -> None:
    """Refuses what Pub/Sub refuses: see its quotas and limits."""
    sizes = [(len(key.encode()), len(text.encode())) for key, text in message.attributes.items()]
    if (
        len(message.data) > 10_000_000
        or not (message.data or sizes)
        or len(sizes) > 100
        or any(not 0 < key <= 256 or value > 1024 for key, value in sizes)
        or any(key.startswith("goog") for key in message.attributes)
    ):
        _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "The message is over a limit.")


def _refuse(context: Any, status: grpc.StatusCode, message: str) -> NoReturn:
    context.abort(status, message)
    raise AssertionError("abort() raises")
