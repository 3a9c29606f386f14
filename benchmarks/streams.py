"""Callers of a model that writes: each reads a text's events as they come."""

import http.client
import json
import re
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

_LONGEST_S = 120.0
_PHASE = re.compile(r"cold-(\w+);dur=([\d.]+)")


class Text(NamedTuple):
    """What one caller saw."""

    came_s: list[float]  # when each piece was there, after the request
    tokens: int
    phases_ms: dict[str, float]  # of a cold start


def read(port: int, prompt: str, count: int) -> Text:
    """Asks for a text and reads it to its end.

    Args:
        port: The server's.
        prompt: Its beginning.
        count: Tokens that are to follow.

    Raises:
        RuntimeError: another answer than such a text.
    """
    asked = {"instances": [{"prompt": prompt}], "parameters": {"max_tokens": count}}
    headers = {"Accept": "text/event-stream", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST_S)
    began_s = time.perf_counter()
    connection.request("POST", "/predict", json.dumps(asked), headers)
    response = connection.getresponse()
    came_s = []
    last = b""
    for line in response:
        if line.startswith(b"data: "):
            came_s.append(time.perf_counter() - began_s)
            last = line
    connection.close()
    if response.status != http.client.OK or b'"finish_reason":"length"' not in last:
        raise RuntimeError(f"expected a text of {count} tokens, got {response.status} {last!r}")
    timing = response.headers["server-timing"]
    phases_ms = {name: float(ms) for name, ms in _PHASE.findall(timing)}
    return Text(came_s[:-1], json.loads(last[6:])["completion_tokens"], phases_ms)


def read_all(port: int, prompts: Sequence[str], count: int) -> list[Text]:
    """Has as many callers as prompts read at the same time."""
    found: list[Text] = []
    callers = [
        threading.Thread(target=lambda prompt=prompt: found.append(read(port, prompt, count)))
        for prompt in prompts
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if len(found) != len(prompts):
        raise RuntimeError(f"expected {len(prompts)} texts, got {len(found)}")
    return found
