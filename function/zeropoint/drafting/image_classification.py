"""Drafts an artifact of the task image-classification."""

from zeropoint.drafting import classes, photos
from zeropoint.drafting.draft import Asked, Draft
from zeropoint.drafting.graph import Graph, in_words


def misfit(graph: Graph) -> str:
    """Returns why the model is none of this task, or nothing if it may be."""
    one = len(graph.outputs) == 1 and graph.floats and len(graph.outputs[0].shape) == 2
    found = photos.misfit(graph)
    if not found and not one:
        found = f"it gives one output [n, classes] of floats, not {in_words(graph.outputs)}"
    return found


def draft(graph: Graph, asked: Asked) -> Draft:
    """Drafts the tables; raises as `classes.names` says."""
    drafted = Draft()
    photos.add_image(graph, asked, drafted)
    (scores,) = graph.outputs
    labels = classes.names(graph, asked, drafted, graph.width(scores), "labels")
    classes.add_file(drafted, labels)
    activation = classes.activation(graph.tried.get(scores.name), "output.activation", drafted)
    drafted.tables["output"] = {"activation": activation, "top_k": min(5, len(labels))}
    drafted.take_output(asked.like_output("image-classification"), "activation", "top_k")
    return drafted
