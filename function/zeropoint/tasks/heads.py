"""The manifest's [output] table of a detector: where its head puts boxes and scores."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from zeropoint.errors import ArtifactError, ManifestError
from zeropoint.tasks.activations import Activation, activate
from zeropoint.tensors import Tensors, TensorSpec

MAX_DETECTIONS = 1000
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=1, le=MAX_DETECTIONS)]


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The [output] table: where boxes and scores are, and which of them are told."""

    boxes: str  # the model's output with 4 numbers a box, float[n, boxes, 4]
    scores: str | None = None  # the one with its scores; without it, they follow the 4 numbers
    channels: Literal["last", "first"] = "last"  # first: float[n, 4, boxes]
    objectness: bool = False  # a score of being anything comes before those of the classes
    activation: Activation
    background: Annotated[int, Meta(ge=0)] | None = None  # the class that is never told
    threshold: Share
    iou_threshold: Share = 0.5
    max_detections: Count = 100


class Head:
    """Takes boxes and scores out of a model's outputs.

    Args:
        table: The manifest's [output].
        classes: How many labels there are.
        count: How many boxes the anchors make, or None without anchors.
        outputs: The model's outputs.
        place: The model's name, for the error's message.

    Raises:
        ManifestError: the table contradicts the labels, the anchors or the model's outputs.
    """

    def __init__(
        self,
        table: Output,
        classes: int,
        count: int | None,
        outputs: Sequence[TensorSpec],
        place: str,
    ) -> None:
        self._table = table
        self._objectness = int(table.objectness)
        self._channels = self._objectness + classes  # of the scores
        if not classes or (table.background or 0) >= classes:
            raise ManifestError(
                f"{place}: expected a label for each class and output.background among them,"
                f" got {classes} labels"
            )
        wanted = {table.boxes: 4} if table.scores else {table.boxes: 4 + self._channels}
        if table.scores:
            wanted[table.scores] = self._channels
        if len(wanted) == 1 and table.scores:
            raise ManifestError(f"{place}: expected no output.scores where output.boxes has them")
        for name, channels in wanted.items():
            spec = next((spec for spec in outputs if spec.name == name), None)
            shape = (None, channels, count) if self._first else (None, count, channels)
            if spec is None or not _fits(spec, shape):
                dims = ", ".join("?" if dim is None else str(dim) for dim in shape)
                raise ManifestError(
                    f"{place}: expected an output {name}: float[{dims}] as [output], [boxes] and"
                    f" the labels say, got {'; '.join(map(str, outputs))}"
                )
            count = count or spec.shape[2 if self._first else 1]

    @property
    def _first(self) -> bool:
        return self._table.channels == "first"

    def part(self, tensors: Tensors, photos: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Parts the outputs of a forward pass.

        Args:
            tensors: The session's outputs.
            photos: How many there are.

        Returns:
            The boxes as the model gave them, of shape (photos, boxes, 4); and their scores after
            the activation, float32 of shape (photos, boxes, classes), the background's -inf.
        """
        table = self._table
        arrays = [tensors[name] for name in (table.boxes, table.scores) if name]
        if self._first:
            arrays = [array.swapaxes(1, 2) for array in arrays]
        boxes, scores = arrays[0][..., :4], arrays[-1][..., 0 if table.scores else 4 :]
        if boxes.shape[::2] != (photos, 4) or scores.shape != (*boxes.shape[:2], self._channels):
            raise ArtifactError(
                f"expected 4 numbers and {self._channels} scores for each box of {photos} photos,"
                f" got {' and '.join(str(array.shape) for array in arrays)}"
            )
        scores = scores.astype(np.float32)  # a copy, which is written to
        with np.errstate(all="ignore"):  # what is infinite or no number is dropped later
            found = activate(scores[..., self._objectness :], table.activation)
            if table.objectness:
                anything: Activation = "none" if table.activation == "none" else "sigmoid"
                found *= activate(scores[..., :1], anything)
        if table.background is not None:
            found[..., table.background] = -np.inf
        return boxes, found


def _fits(spec: TensorSpec, shape: tuple[int | None, ...]) -> bool:
    return (
        spec.dtype.kind == "f"
        and len(spec.shape) == len(shape)
        and all(
            None in (want, got) or want == got for want, got in zip(shape, spec.shape, strict=True)
        )
    )
