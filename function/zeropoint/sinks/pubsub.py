"""Records as messages of a Pub/Sub topic: at least once, not once.

A topic has no names and no memory, so nothing here can tell a record that was published before:
an event that is delivered twice is answered twice, and a broker whose confirmation was lost gets
the message again. Each message carries the record's name as its attribute ``name``, by which a
subscriber that minds knows the second from the first. Messages come in no order.
"""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from zeropoint.errors import SettingsError, UnavailableError
from zeropoint.sinks import names
from zeropoint.sinks.refusals import RecordRefusedError

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.pubsub_v1 import PublisherClient

SCHEME = "pubsub://"
_TOPIC = re.compile(r"projects/[a-z0-9][a-z0-9.:-]+/topics/[A-Za-z][\w.~+%-]{2,254}", re.ASCII)
_TIMEOUT_S = 20.0  # for all tries of one message together
_MAX_BYTES = 10_000_000  # Pub/Sub's own limits
_MAX_ATTRIBUTE_BYTES = 1024


class PubsubSink:
    """Records to a topic, as this process's own identity may publish.

    Args:
        uri: ``pubsub://projects/P/topics/T``.
        patience_s: About how long a record may take where the broker is away, at most 20 s.

    Raises:
        ValueError: not such a URI.
    """

    def __init__(self, uri: str, patience_s: float = math.inf) -> None:
        topic = uri.removeprefix(SCHEME)
        if not uri.startswith(SCHEME) or not _TOPIC.fullmatch(topic):
            raise ValueError("expected pubsub://projects/PROJECT/topics/TOPIC")
        self.location = uri
        self._topic = topic
        self._patience_s = patience_s
        self._client: PublisherClient | None = None

    def put(self, name: str, record: bytes, attributes: Mapping[str, str]) -> bool:
        """Publishes a record; attributes over 1024 bytes are cut, as the record has them whole.

        Returns:
            True, once the broker has it; also if it had it before.

        Raises:
            RecordRefusedError: it is larger than a message may be.
            UnavailableError: the broker is away, or refuses; it may have it all the same.
        """
        if len(record) > _MAX_BYTES:
            raise RecordRefusedError(
                "the result is larger than a message may be",
                retry_after_s=60.0,
                detail=f"{self.location}: expected a record of at most {_MAX_BYTES} bytes, got"
                f" {len(record)}: a bucket takes larger ones (ZEROPOINT_RESULTS)",
            )
        client = self._connected()
        from google.pubsub_v1 import PubsubMessage

        told = {key: _cut(value) for key, value in attributes.items()}
        told["name"] = names.shortened(_text(name), _MAX_ATTRIBUTE_BYTES)
        messages = [PubsubMessage(data=record, attributes=told)]
        timeout_s = min(_TIMEOUT_S, self._patience_s)
        retry = _retry(timeout_s)
        try:
            client.publish(topic=self._topic, messages=messages, retry=retry, timeout=timeout_s)
        except Exception as error:  # the client's, its transport's, the credentials'
            raise self._told(error) from error
        return True

    def get(self, name: str) -> bytes | None:
        """Returns None: a topic cannot be asked."""
        return None

    def owns(self, bucket: str, name: str) -> bool:
        """Returns False: what it writes is in no bucket."""
        return False

    def _connected(self) -> "PublisherClient":
        """Returns the client, made at the first use: a channel does not survive a fork."""
        if self._client is None:
            try:
                # Not google.cloud.pubsub_v1: its client adds batches, which cost a wait, and
                # threads that publish after the caller has been told of a failure.
                from google.pubsub_v1 import PublisherClient
            except ImportError:
                raise SettingsError(
                    "pubsub:// needs google-cloud-pubsub: pip install 'zeropoint[pubsub]'"
                ) from None
            try:
                self._client = PublisherClient()
            except Exception as error:  # no credentials, no project: each its own class
                raise self._told(error) from error
        return self._client

    def _told(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            "the topic of results is away, or refuses",
            retry_after_s=5.0,
            detail=f"{self.location}: {type(error).__name__}: {error}",
        )


def _retry(timeout_s: float) -> "Retry":
    from google.api_core import exceptions
    from google.api_core.retry import Retry, if_exception_type

    passing = if_exception_type(
        exceptions.Aborted,
        exceptions.DeadlineExceeded,
        exceptions.InternalServerError,
        exceptions.ResourceExhausted,
        exceptions.ServiceUnavailable,
        exceptions.Unknown,
    )
    return Retry(passing, initial=0.1, maximum=2.0, timeout=timeout_s)


def _text(value: str) -> str:
    """Returns a text that UTF-8 has, as protobuf wants it; lone surrogates become escapes."""
    return value.encode(errors="backslashreplace").decode()


def _cut(value: str) -> str:
    return _text(value).encode()[:_MAX_ATTRIBUTE_BYTES].decode(errors="ignore")
