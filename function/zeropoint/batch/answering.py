"""The three steps for a chunk of rows: what a local batch and a pipeline of Beam have in common."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zeropoint import bulk, files
from zeropoint.batch import place
from zeropoint.batch.chunk import Chunk, Stored
from zeropoint.batch.forms import Form, Outcome
from zeropoint.errors import (
    BodyTooLargeError,
    OverloadedError,
    UnavailableError,
    ZeropointError,
)
from zeropoint.instances import Blob
from zeropoint.model import Model
from zeropoint.settings import Settings

_AGAIN_S = 0.25


class Answered(NamedTuple):
    """Rows as they are written, and how many failed, by code."""

    piece: Any
    rows: int
    errors: Counter[str]


class Answering:
    """Answers chunks, in any number of threads.

    Args:
        model: Who answers.
        settings: The limits.
        parameters: What the task lets a caller vary.
    """

    def __init__(self, model: Model, settings: Settings, parameters: Mapping[str, Any]) -> None:
        self._model = model
        self._parameters = parameters
        self._max_body_bytes = settings.max_body_bytes
        self._reader = files.Reader(settings)
        self._takes_columns = bulk.takes_columns(model)

    def outcomes(self, chunk: Chunk) -> Sequence[Outcome]:
        """Returns for each row its prediction, or the error that a server would answer.

        Raises:
            UnavailableError: the storage of the inputs is away, which is no fault of a row.
        """
        if self._takes_columns and (columns := chunk.as_columns()):
            found = bulk.answer_columns(self._model, columns, len(chunk.ids), self._parameters)
            if found is not None:
                return found
        return self._each([self._read(one) for one in chunk.each()])

    def written(self, chunk: Chunk, form: Form) -> Answered:
        """Returns a chunk's rows as they are written."""
        outcomes = self.outcomes(chunk)
        errors = Counter([one.code for one in outcomes if isinstance(one, ZeropointError)])
        return Answered(form.encode(chunk.ids, outcomes, bool(errors)), len(outcomes), errors)

    def _each(self, instances: Sequence[Any]) -> list[Outcome]:
        """Answers instances; those for which others leave no memory wait until they have ended."""
        found = bulk.answer_each(self._model, instances, self._parameters)
        while left := [n for n, one in enumerate(found) if isinstance(one, OverloadedError)]:
            time.sleep(_AGAIN_S)
            asked = [instances[n] for n in left]
            again = bulk.answer_each(self._model, asked, self._parameters)
            for n, outcome in zip(left, again, strict=True):
                found[n] = outcome
        return found

    def _read(self, instance: Any) -> Any:
        try:
            if isinstance(instance, Stored):
                data = place.read(instance.uri, self._max_body_bytes)
                if len(data) > self._max_body_bytes:
                    raise BodyTooLargeError(
                        f"expected a file of at most {self._max_body_bytes} bytes, got more"
                    )
                return Blob(data)
            if self._model.takes_files and not isinstance(instance, ZeropointError):
                return self._reader.read([instance])[0]
        except UnavailableError:
            raise
        except ZeropointError as error:
            return error
        return instance
