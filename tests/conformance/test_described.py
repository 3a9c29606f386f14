"""Case 18: the OpenAPI document is true of the running server."""

import schemathesis
import schemathesis.engine
from hypothesis import strategies as st
from schemathesis.engine import events

from servers import Server
from tiny_models import picture

FUZZ = {
    "seed": 20261122,
    "generation": {"max-examples": 30, "deterministic": True, "database": "none"},
    # Too many instances are answered with 413, which Schemathesis does not expect of bad data.
    "checks": {
        "negative_data_rejection": {
            "expected-statuses": [400, 404, 405, 413, 415, 422],
        }
    },
    # Files and texts for a task are more than a JSON Schema can say, so that a value which fits
    # it may be refused; that they are answered is what the examples' own test shows.
    "operations": [
        {"include-method": "POST", "checks": {"positive_data_acceptance": {"enabled": False}}}
    ],
}
for media_type in ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff"):
    schemathesis.openapi.media_type(
        media_type, st.sampled_from([picture("red"), picture("blue", format="GIF"), b"none"])
    )


def test_18_whatever_is_sent_is_answered_as_documented(server: Server) -> None:
    """All of Schemathesis's phases: examples, each boundary of a schema, fuzzing, sequences."""
    config = schemathesis.Config.from_dict(FUZZ)
    document = schemathesis.openapi.from_url(server.url + "/openapi.json", config=config)
    problems: list[str] = []
    cases = 0
    for event in schemathesis.engine.from_schema(document).execute():
        if isinstance(event, events.NonFatalError):
            problems.append(f"{event.label}: {event.value}")
        if isinstance(event, events.ScenarioFinished):
            cases += len(event.recorder.cases)
            for id_, checks in event.recorder.checks.items():
                problems += [
                    f"{check.failure_info.failure}\n{event.recorder.cases[id_].value.as_curl_command()}"
                    for check in checks
                    if check.failure_info
                ]
    assert not problems, "\n\n".join(dict.fromkeys(problems))
    assert cases > 500
