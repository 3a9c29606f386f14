"""The usual sample: a model in a global variable, a function for each request."""

import functions_framework
from flask import Request

from pipeline import Classifier

_classifier = Classifier()


@functions_framework.http
def classify(request: Request) -> dict[str, int]:
    """Answers a photo with the index of its label."""
    return {"index": _classifier.classify(request.get_data())}
