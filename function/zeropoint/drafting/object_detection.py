"""Drafts an artifact of the task object-detection: what of boxes a shape can tell is little."""

from zeropoint.drafting import classes, photos
from zeropoint.drafting.draft import Asked, Draft, Tables
from zeropoint.drafting.graph import Graph, in_words
from zeropoint.errors import ManifestError
from zeropoint.tensors import TensorSpec

_FORMAT = (
    "what the 4 numbers of a box are: corners or centre, unit pixels or fractions, order xy or yx;"
    " or anchors, with a table [boxes.anchors]."
)
_SCORES = "what makes the scores probabilities: none, sigmoid or softmax."
_BACKGROUND = "background = 0, or another class, if one class is of no thing at all."
_OBJECTNESS = "objectness: whether a score of being anything comes before those of the classes."
_MANY = 10**6  # boxes
_THRESHOLDS = {"threshold": 0.25, "iou_threshold": 0.5, "max_detections": 100}


def misfit(graph: Graph) -> str:
    """Returns why the model is none of this task, or nothing if it may be."""
    found = photos.misfit(graph)
    if not found and not _separate(graph) and _joint(graph) is None:
        found = (
            "it gives boxes [n, boxes, 4] and scores [n, boxes, classes] before any suppression, or"
            f" one output of both, not {in_words(graph.outputs)}"
        )
    return found


def draft(graph: Graph, asked: Asked) -> Draft:
    """Drafts the tables.

    Raises:
        ManifestError: the labels do not fit, or the graph does not tell how many there are.
    """
    drafted = Draft()
    photos.add_image(graph, asked, drafted, stretched=True)
    separate = _separate(graph)
    output = _two(graph, asked, drafted, *separate) if separate else _one(graph, asked, drafted)
    drafted.tables["output"] = {**output, **_THRESHOLDS}
    drafted.notes["output.threshold"] = "The lowest score that is told, and what overlaps too much."
    drafted.tables["boxes"] = {"format": "centre", "unit": "pixels", "order": "xy"}
    if separate:
        drafted.tables["boxes"] = {"format": "corners", "unit": "fractions", "order": "xy"}
    drafted.undecided["boxes"] = _FORMAT
    _take_over(asked, drafted)
    return drafted


def _two(
    graph: Graph, asked: Asked, drafted: Draft, boxes: TensorSpec, scores: TensorSpec
) -> Tables:
    labels = classes.names(graph, asked, drafted, graph.width(scores), "labels")
    classes.add_file(drafted, labels)
    drafted.undecided["output.activation"] = f"{_SCORES} {_BACKGROUND}"
    return {"boxes": boxes.name, "scores": scores.name, "activation": "sigmoid"}


def _one(graph: Graph, asked: Asked, drafted: Draft) -> Tables:
    """Drafts a head of one output, as YOLO has it: 4 numbers, perhaps objectness, and scores."""
    joint = _joint(graph)
    if joint is None:
        raise ManifestError(f"{graph.path.name}: expected an output of boxes and scores")
    spec, first, last = joint
    channels = min(first, last)  # there are more boxes than classes
    named = asked.labels is not None or bool(graph.hints.labels) or asked.like is not None
    labels = classes.names(graph, asked, drafted, None if named else channels - 4, "labels")
    fitting = [one for one in (first, last) if one in (4 + len(labels), 5 + len(labels))]
    if not fitting:
        raise ManifestError(
            f"{graph.path.name}: expected {channels - 4} labels, or {channels - 5} beside a score"
            f" of being anything, as {spec} has, got {len(labels)}"
        )
    channels = fitting[0]
    classes.add_file(drafted, labels)
    drafted.undecided["output.activation"] = _SCORES + (f" {_OBJECTNESS}" if not named else "")
    return {
        "boxes": spec.name,
        "channels": "first" if channels == first else "last",
        "objectness": channels == 5 + len(labels),
        "activation": "none",
    }


def _take_over(asked: Asked, drafted: Draft) -> None:
    """Takes [boxes] and the numbers of [output] from the artifact that this one is like."""
    boxes, output = asked.like_table("boxes"), asked.like_output("object-detection")
    if asked.like and boxes and output:
        drafted.tables["boxes"] = boxes
        del drafted.undecided["boxes"]
        drafted.notes["boxes"] = f"As {asked.like.manifest.name} has them."
        drafted.take_output(output, "activation", "background", "objectness", *_THRESHOLDS)


def _separate(graph: Graph) -> tuple[TensorSpec, TensorSpec] | None:
    """Returns the outputs of boxes and of scores, where they are two."""
    ranked = [spec for spec in graph.floats if len(spec.shape) == 3]
    boxes = [spec for spec in ranked if graph.width(spec) == 4]
    scores = [spec for spec in ranked if graph.width(spec) != 4]
    return (boxes[0], scores[0]) if len(boxes) == len(scores) == 1 else None


def _joint(graph: Graph) -> tuple[TensorSpec, int, int] | None:
    """Returns the output of boxes and scores, and its later dimensions: one is the channels."""
    ranked = [spec for spec in graph.floats if len(spec.shape) == 3]
    if len(ranked) != 1:
        return None
    (spec,) = ranked
    found = graph.tried.get(spec.name)
    tried = found.shape[1:] if found is not None and found.ndim == 3 else (None, None)
    # How many boxes there are varies with the photo's size, which is small in a try.
    many = _MANY if None in spec.shape[1:] and any(spec.shape[1:]) else None
    first, last = (dim or many or one for dim, one in zip(spec.shape[1:], tried, strict=True))
    return (spec, first, last) if first and last and min(first, last) > 5 else None
