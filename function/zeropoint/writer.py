"""A model that writes: prepare, then a pass for each token, and what has come of it so far."""

import math
import time
from collections import deque
from collections.abc import Generator, Mapping
from collections.abc import Sequence as Many
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np

from zeropoint.errors import OverloadedError, ZeropointError
from zeropoint.generation import cache
from zeropoint.generation.layout import Scores
from zeropoint.generation.scheduler import Scheduler
from zeropoint.generation.sequence import Sequence
from zeropoint.instances import NULL, Instance
from zeropoint.manifest import Manifest
from zeropoint.metrics import Counts
from zeropoint.model import Answer, Model
from zeropoint.settings import Settings
from zeropoint.stream import Stream
from zeropoint.tasks import Prediction, Prepared, Task
from zeropoint.tasks.text_generation import TextGeneration, Written
from zeropoint.tensors import Tensors
from zeropoint.timing import Timings

if TYPE_CHECKING:
    from zeropoint.session import Session


class Writer(Model):
    """A model that writes texts, as many at once as there is memory for.

    Args:
        manifest: What it is.
        task: Steps 1 and 3.
        session: Step 2.
        settings: The limits.
        alone: Whether each text goes through the model by itself.
    """

    def __init__(
        self,
        manifest: Manifest,
        task: Task,
        session: "Session",
        settings: Settings,
        alone: bool = False,
    ) -> None:
        super().__init__(manifest, task, session, settings, alone)
        self._writing = cast(TextGeneration, task)
        layout = self._writing.layout
        table = layout.table
        self._make_cache = partial(cache.create, session, layout)
        self.forward = self._read
        self._chunk = table.chunk
        joined = manifest.max_batch if table.cache == "shared" and not alone else 1
        lanes = max(1, self.processors // session.threads)
        self._at_once = joined * lanes
        self._scheduler = Scheduler(
            self._make_cache,
            layout.token_bytes,
            table.context,
            table.chunk,
            joined,
            lanes,
            settings.max_cache_bytes,
        )

    @property
    def counts(self) -> Counts:
        """What it has done since it was loaded, and how many texts it writes now."""
        own, raw = self._scheduler.counts, super().counts
        return own._replace(passes=own.passes + raw.passes, rows=own.rows + raw.rows)

    def stream(
        self,
        instance: Instance,
        parameters: Mapping[str, Any] | None = None,
        deadline_s: float = math.inf,
    ) -> Stream:
        """Begins to write, and waits for the first token.

        Args:
            instance: A text, or an object with ``messages`` or with a ``prompt``.
            parameters: What the task lets a caller vary.
            deadline_s: Of `time.monotonic`, until when the first token is awaited.

        Raises:
            ClientError: the instance or a parameter is refused.
            OverloadedError: too many texts are being written, or it took too long.
            CancelledError: the caller hung up meanwhile.
        """
        chosen = self.read_parameters(parameters or {})
        timings = Timings(queue=0.0, prepare=0.0, execute=0.0, output=0.0)
        with timings.measure("prepare"):
            prepared = self._writing.prepare(instance)
        with ExitStack() as held:
            held.enter_context(self.admission.admit(1, math.inf))
            began_s = time.monotonic()
            sequence = self._begun(prepared, chosen)
            try:
                first = sequence.next(deadline_s)
            except BaseException:
                sequence.close()
                raise
            timings["queue"] += sequence.began_s - began_s
            timings["execute"] += time.monotonic() - sequence.began_s
            stream = Stream(self, sequence, timings, first)
            stream.hold(held.pop_all())
        return stream

    def answer(
        self,
        instances: Many[Instance],
        parameters: Mapping[str, Any] | None = None,
        deadline_s: float = math.inf,
    ) -> Answer:
        """Answers a request: a whole text for each instance, in order; see `Model.answer`."""
        self.refuse_many(instances)
        chosen = self.read_parameters(parameters or {})
        timings = Timings(queue=0.0, prepare=0.0, execute=0.0, output=0.0)
        predictions: list[Prediction] = [None] * len(instances)
        rows = [row for row, instance in enumerate(instances) if instance is not NULL]
        with timings.measure("prepare"):
            prepared = [self.prepare(instances, row) for row in rows]
        with (
            self.admission.admit(len(rows), math.inf),
            closing(self._written(prepared, chosen, deadline_s, timings)) as found,
        ):
            for row, prediction in zip(rows, found, strict=True):
                if isinstance(prediction, ZeropointError):
                    raise prediction.of_instance(row + 1, len(instances))
                predictions[row] = prediction
        return Answer(self, timings, predictions, {})

    def answer_each(
        self, instances: Many[Instance], parameters: Mapping[str, Any]
    ) -> list[Prediction | ZeropointError]:
        """Answers instances as far as they can be; see `zeropoint.bulk.answer_each`."""
        chosen = self.read_parameters(parameters)
        prepared = [self._prepared(instance) for instance in instances]
        ready = [one for one in prepared if isinstance(one, Prepared)]
        with closing(self._written(ready, chosen, math.inf, Timings())) as found:
            return [next(found) if isinstance(one, Prepared) else one for one in prepared]

    def encode(self, text: str) -> list[int]:
        """Returns a text's tokens, without a chat template."""
        return self._writing.vocabulary.encode(text, plain=True)

    def scores(self, tokens: Many[int]) -> Scores:
        """Returns the scores of the token after each of these: float32 (n, vocabulary)."""
        asked = np.array(tokens, np.int64)
        memory = self._make_cache(len(asked))
        memory.hold(1, [])
        starts = range(0, len(asked), self._chunk)
        parts = [asked[start : start + self._chunk] for start in starts]
        return np.concatenate(
            [
                memory.read(0, part, start, np.arange(len(part)))
                for start, part in zip(starts, parts, strict=True)
            ]
        )

    def _read(self, tensors: Tensors) -> Tensors:
        """Reads a prompt; returns the scores of what follows, float32 (1, vocabulary)."""
        table = self._writing.layout.table
        tokens = tensors[table.input_ids][0]
        memory = self._make_cache(len(tokens))
        memory.hold(1, [])
        scores = np.empty((0, 0), np.float32)
        for start in range(0, len(tokens), self._chunk):
            part = tokens[start : start + self._chunk]
            scores = memory.read(0, part, start, np.array([len(part) - 1]))
        return {table.logits: scores}

    def _prepared(self, instance: Instance) -> Prepared | ZeropointError | None:
        if instance is NULL:
            return None
        if isinstance(instance, ZeropointError):
            return instance
        try:
            return self._writing.prepare(instance)
        except ZeropointError as error:
            return error

    def _begun(self, prepared: Prepared, chosen: msgspec.Struct) -> Sequence:
        sequence = self._writing.begin(prepared, chosen)
        self._scheduler.submit(sequence)
        return sequence

    def _written(
        self,
        prepared: Many[Prepared],
        chosen: msgspec.Struct,
        deadline_s: float,
        timings: Timings,
    ) -> Generator[Prediction | ZeropointError]:
        """Yields what is written for each, as many at once as pay and there is memory for."""
        waiting = deque(prepared)
        begun: deque[Sequence | ZeropointError] = deque()
        try:
            while waiting or begun:
                if waiting and self._begins(waiting[0], chosen, begun):
                    waiting.popleft()
                    continue
                one = begun.popleft()
                if isinstance(one, ZeropointError):
                    yield one
                else:
                    yield self._whole(one, chosen, deadline_s, timings)
        finally:
            for one in begun:
                if isinstance(one, Sequence):
                    one.close()

    def _begins(
        self,
        prepared: Prepared,
        chosen: msgspec.Struct,
        begun: deque[Sequence | ZeropointError],
    ) -> bool:
        """Begins one more text; False: first one of those that were begun has to end."""
        if len(begun) >= self._at_once:
            return False
        try:
            begun.append(self._begun(prepared, chosen))
        except ZeropointError as error:
            if begun and isinstance(error, OverloadedError):
                return False
            begun.append(error)
        return True

    def _whole(
        self, sequence: Sequence, chosen: msgspec.Struct, deadline_s: float, timings: Timings
    ) -> Prediction | ZeropointError:
        """Waits for a text's end; returns its prediction, or why there is none."""
        began_s = time.monotonic()
        pieces = []
        try:
            piece = sequence.next(deadline_s)
            while piece is not None:
                pieces.append(piece)
                piece = sequence.next()
        except ZeropointError as error:
            return error
        except BaseException:
            sequence.close()
            raise
        waited_s = min(max(0.0, sequence.began_s - began_s), time.monotonic() - began_s)
        timings["queue"] = timings.get("queue", 0.0) + waited_s
        timings["execute"] = timings.get("execute", 0.0) + time.monotonic() - began_s - waited_s
        written = Written(
            "".join(pieces),
            sequence.finish_reason,
            sequence.prompt_tokens,
            sequence.completion_tokens,
        )
        with timings.measure("output"):
            (prediction,) = self.task.output({}, [written], chosen)
        return prediction
