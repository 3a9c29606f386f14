"""Many instances through a model at once, without its queue: for a batch, which is its only caller.

What cannot be answered is an error in its own place, and no refusal of the others.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from zeropoint import tasks
from zeropoint.errors import ClientError, ZeropointError
from zeropoint.instances import NULL, Column, Instance
from zeropoint.model import Model
from zeropoint.tasks import Prediction, Prepared, TakesColumns
from zeropoint.timing import Timings

# Of a table, in one pass: more are no quicker, and would only take memory.
_MOST_ROWS = 1024


def takes_columns(model: Model) -> bool:
    """Tells whether a model's task has a way for many rows at once."""
    return hasattr(model.task, "prepare_columns")


def answer_each(
    model: Model, instances: Sequence[Instance], parameters: Mapping[str, Any]
) -> list[Prediction | ZeropointError]:
    """Answers instances one by one, as far as they can be.

    Args:
        model: Who answers.
        instances: As of `Model.answer`; an error stays what it is.
        parameters: As of `Model.answer`.

    Returns:
        For each instance its prediction, or the error that `Model.answer` would have raised.

    Raises:
        InvalidError: a parameter is refused.
    """
    if tasks.writes(model.task):
        from zeropoint.writer import Writer

        return cast(Writer, model).answer_each(instances, parameters)
    chosen = model.read_parameters(parameters)
    found: list[Prediction | ZeropointError] = [None] * len(instances)
    ready: list[tuple[int, Prepared]] = []
    for place, instance in enumerate(instances):
        if isinstance(instance, ZeropointError):
            found[place] = instance
        elif instance is not NULL:
            try:
                ready.append((place, model.task.prepare(instance)))
            except ZeropointError as error:
                found[place] = error
        if len(ready) == model.max_batch or (ready and place == len(instances) - 1):
            _fill(model, found, ready, chosen)
            ready = []
    return found


def answer_columns(
    model: Model, columns: Mapping[str, Column], rows: int, parameters: Mapping[str, Any]
) -> list[Prediction] | None:
    """Answers the rows of a table all at once, where the task reads columns.

    Args:
        model: Who answers.
        columns: By name, of ``rows`` rows each.
        rows: How many.
        parameters: As of `Model.answer`.

    Returns:
        The predictions; None: the rows are to be asked for one by one, by `answer_each`.

    Raises:
        InvalidError: a parameter is refused.
    """
    chosen = model.read_parameters(parameters)
    if not takes_columns(model) or model.max_batch == 1:
        return None
    prepare = cast(TakesColumns, model.task).prepare_columns
    try:
        tensors = prepare(columns, rows)
        found: list[Prediction] = []
        for start in range(0, rows, _MOST_ROWS):
            end = min(rows, start + _MOST_ROWS)
            part = {name: tensor[start:end] for name, tensor in tensors.items()}
            found += model.task.output(model.forward(part), [None] * (end - start), chosen)
    except ClientError:
        return None
    return found


def _fill(
    model: Model,
    found: list[Prediction | ZeropointError],
    ready: Sequence[tuple[int, Prepared]],
    chosen: msgspec.Struct,
) -> None:
    """Has prepared instances answered in one pass; if it is refused, each in its own."""
    places, prepared = zip(*ready, strict=True)
    try:
        for part in model.passes(prepared, math.inf, Timings(queue=0.0, execute=0.0)):
            contexts = [prepared[place].context for place in part.places]
            told = model.task.output(part.tensors, contexts, chosen)
            for place, prediction in zip(part.places, told, strict=True):
                found[places[place]] = prediction
    except ClientError as error:
        if len(ready) == 1:
            found[places[0]] = error
            return
        for one in ready:
            _fill(model, found, [one], chosen)
