"""What one serving process holds: its settings, models, counts and the time of its start."""

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from zeropoint import callers, tasks
from zeropoint.artifact import open_repository
from zeropoint.catalog import Catalog
from zeropoint.errors import InvalidError
from zeropoint.events.delivery import Deliveries
from zeropoint.files import Reader
from zeropoint.logs import log
from zeropoint.metrics import Metrics
from zeropoint.model import Answer, Model
from zeropoint.protocols import Call
from zeropoint.settings import Settings
from zeropoint.timing import ColdStart, Timings

if TYPE_CHECKING:
    from zeropoint.stream import Stream
    from zeropoint.writer import Writer

_AT_ONCE_S = 0.01  # a longer wait was for a load


class Serving:
    """What the handlers of all routes share.

    Args:
        settings: Where the models are, and the limits.
        cold_start: When the process began.
    """

    def __init__(self, settings: Settings, cold_start: ColdStart) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.catalog = Catalog(open_repository(settings), settings, self.metrics)
        # The document of `zeropoint.openapi`, and the names of the models in it.
        self.openapi: tuple[tuple[str, ...], bytes] | None = None
        self.deliveries = Deliveries(settings, self.catalog, self.answer)
        self._reader = Reader(settings)
        self._cold_start = cold_start

    def answer(self, call: Call, name: str = "") -> Answer:
        """Answers a call; its timings begin with the time spent waiting for the model.

        Args:
            call: What is asked.
            name: The model's name; empty: the call's, or the default.

        Raises:
            ModelNotFoundError: no such model.
            ModelUnavailableError: it could not be loaded, or not in time.
            OverloadedError: too many calls wait for it, or it would answer too late.
            CancelledError: the caller hung up while they waited.
            ClientError: an instance, a tensor or a parameter is refused.
        """
        began_s = time.monotonic()
        # What a request waited for a thread counts, too.
        deadline_s = min(began_s, callers.current().arrived_s) + self.settings.timeout_s
        with self.catalog.use(name or call.model, deadline_s) as model:
            loaded_s = time.monotonic()
            if loaded_s - began_s > _AT_ONCE_S:
                callers.refuse_gone()
            if call.tensors is not None:
                answer = model.execute(call.tensors, deadline_s)
            else:
                instances = call.instances
                if model.takes_files:
                    instances = self._reader.read(instances)
                answer = model.answer(instances, call.parameters, deadline_s)
        timings = answer.timings
        timings["queue"] += loaded_s - began_s
        self.metrics.predicted(model.manifest.name, len(answer.predictions), timings)
        return answer._replace(cold_start=self._cold_start_of(model, timings))

    def stream(self, call: Call, name: str = "") -> "Stream":
        """Begins to answer a call with a text that comes in pieces; its first token has come.

        Args:
            call: What is asked, one instance.
            name: The model's name; empty: the call's, or the default.

        Returns:
            The text. It holds the model until it is read to its end, or closed.

        Raises:
            InvalidError: there are more instances or none, or the model writes no text.
            ZeropointError: as of `answer`.
        """
        began_s = time.monotonic()
        deadline_s = min(began_s, callers.current().arrived_s) + self.settings.timeout_s
        with ExitStack() as held:
            model = held.enter_context(self.catalog.use(name or call.model, deadline_s))
            loaded_s = time.monotonic()
            if loaded_s - began_s > _AT_ONCE_S:
                callers.refuse_gone()
            if not tasks.writes(model.task) or len(call.instances) != 1:
                raise InvalidError(
                    "expected one instance and a model that writes text, as an answer in pieces"
                    f" is asked for, got {len(call.instances)} for {model.manifest.task}"
                )
            stream = cast("Writer", model).stream(call.instances[0], call.parameters, deadline_s)
            stream.hold(held.pop_all())
        stream.timings["queue"] += loaded_s - began_s
        stream.cold_start = self._cold_start_of(model, stream.timings)
        self.metrics.predicted(model.manifest.name, 1, stream.timings)
        return stream

    def refuse_crowd(self, name: str) -> None:
        """Refuses a call that comes now to a model which has too many; it never waits.

        Args:
            name: The model's name; empty: the default.

        Raises:
            OverloadedError: it would be refused, or be answered too late.
        """
        if model := self.catalog.loaded(name):
            model.admission.refuse_crowd(time.monotonic() + self.settings.timeout_s)

    def headers(self, answer: "Answer | Stream") -> dict[str, str]:
        """Returns the headers of an answer: its steps, and the model's digest."""
        told = [answer.timings.header(), answer.cold_start.header("cold-")]
        timing = ", ".join(filter(None, told))
        return {"X-Model-Digest": answer.model.digest, "Server-Timing": timing}

    def _cold_start_of(self, model: Model, timings: Timings) -> Timings:
        """Logs and returns how a model was loaded, if this is its first answer.

        The first answer of the process also tells how the process began.
        """
        phases = Timings()
        if not model.first_answer.acquire(blocking=False):
            return phases
        first = self._cold_start.is_first()
        if first:
            phases["process"] = self._cold_start.process_s
        phases.update(model.load_timings)
        phases["first"] = sum(timings[step] for step in ("prepare", "execute", "output"))
        if first:
            phases["total"] = self._cold_start.total_s()
            self.metrics.started(phases)
        fields = {
            "model": model.manifest.name,
            "digest": model.digest,
            "cold_start_ms": phases.ms(),
        }
        log.info("cold start", extra={"fields": fields})
        return phases
