"""A whole file to its answer, as an upload is read; for programs without a request."""

from collections.abc import Mapping
from typing import Any

from zeropoint.errors import ClientError
from zeropoint.events import payload
from zeropoint.model import Answer, Model


def answer(
    model: Model, name: str, data: bytes, parameters: Mapping[str, Any], max_instances: int
) -> Answer:
    """Answers all instances of a file, a request's worth of them at a time.

    Args:
        model: Who answers.
        name: The file's, whose ending tells what it holds.
        data: Its bytes.
        parameters: What the task lets a caller vary, before what the file says itself.
        max_instances: Most of a request.

    Raises:
        ClientError: the file cannot be read, or one of its instances is refused.
    """
    held = payload.of_object(name, data, model.takes_files)
    varied = {**held.parameters, **parameters}
    whole = model.answer(held.instances[:max_instances], varied)
    for start in range(max_instances, len(held.instances), max_instances):
        try:
            more = model.answer(held.instances[start : start + max_instances], varied)
        except ClientError as error:
            raise error.within(f"after the first {start}") from None
        whole.predictions.extend(more.predictions)
        for step, seconds in more.timings.items():
            whole.timings[step] += seconds
    return whole
