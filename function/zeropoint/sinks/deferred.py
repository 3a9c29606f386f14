"""Records to a sink that may be away, and meanwhile to the outbox, from which they are sent later.

No thread and no queue: what the sink does not take in a moment is on the disk before its event is
acknowledged. A sink that failed is left alone for a while, then one record tries it.
"""

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from zeropoint.errors import UnavailableError
from zeropoint.logs import log
from zeropoint.sinks import refusals
from zeropoint.sinks.outbox import Outbox

if TYPE_CHECKING:
    from zeropoint.sinks import Sink

PATIENCE_S = 3.0  # of one call of the sink, as the outbox is there
_PAUSE_S = 30.0


class DeferredSink:
    """A sink and its outbox, as one.

    Args:
        sink: Where records go; its calls should end soon where it is away.
        outbox: Keeps them while it is.
    """

    def __init__(self, sink: "Sink", outbox: Outbox) -> None:
        self.location = sink.location
        self._sink = sink
        self._outbox = outbox
        self._lock = threading.Lock()
        self._away = False
        self._next_try_s = 0.0

    def put(self, name: str, record: bytes, attributes: Mapping[str, str]) -> bool:
        """Writes a record to the sink, or keeps it; does as `Sink.put` says.

        Returns:
            Whether it was written or kept. While the sink is away nobody can tell what it has:
            `zeropoint sync` finds out.

        Raises:
            UnavailableError: the sink is away, and the outbox cannot be written.
        """
        if self._tries():
            try:
                written = self._sink.put(name, record, attributes)
            except UnavailableError as error:
                self._failed(error)
            else:
                self._worked(wrote=True)
                return written
        return self._outbox.put(name, record, attributes)

    def get(self, name: str) -> bytes | None:
        """Returns a record that is kept or that the sink has; None where neither can tell.

        Raises:
            UnavailableError: the outbox cannot be read.
        """
        # First here: what `zeropoint sync` removes from here is there by then.
        kept = self._outbox.get(name)
        if kept is not None or not self._tries():
            return kept
        try:
            found = self._sink.get(name)
        except UnavailableError as error:
            self._failed(error)
            return None
        self._worked(wrote=False)
        return found

    def owns(self, bucket: str, name: str) -> bool:
        """Tells whether an object of a bucket is one that the sink writes."""
        return self._sink.owns(bucket, name)

    def _tries(self) -> bool:
        """Tells whether to try the sink now; while it is away, one at a time does."""
        with self._lock:
            now_s = time.monotonic()
            if now_s < self._next_try_s:
                return False
            if self._away:
                self._next_try_s = now_s + _PAUSE_S
            return True

    def _failed(self, error: UnavailableError) -> None:
        with self._lock:
            if refusals.lasts(error):  # of this record only, which `zeropoint sync` tells of
                self._next_try_s = 0.0
                return
            self._next_try_s = time.monotonic() + _PAUSE_S
            known, self._away = self._away, True
        if not known:
            log.warning(
                "the sink is away: results wait in %s for zeropoint sync: %s",
                self._outbox.location,
                error,
            )

    def _worked(self, wrote: bool) -> None:
        """Notes that the sink answered; a topic answers a look without being asked."""
        with self._lock:
            self._next_try_s = 0.0
            known, self._away = self._away, self._away and not wrote
        if known and wrote:
            log.info(
                "the sink is back; zeropoint sync sends what waits in %s", self._outbox.location
            )
