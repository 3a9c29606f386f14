"""Sends requests from within a network namespace, as ``nsenter --net python caller.py`` does.

    python caller.py PORT PATH TYPE FILE

Prints JSON: the status, the body, and the seconds from the first try to connect. Until somebody
listens it tries again.
"""

import http.client
import json
import sys
import time
from pathlib import Path

TIMEOUT_S = 60.0


def call(port: int, path: str, media_type: str, body: bytes) -> dict[str, object]:
    """Sends one request on a connection of its own."""
    until_s = time.monotonic() + TIMEOUT_S
    while True:
        began_s = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        try:
            connection.connect()
            break
        except ConnectionRefusedError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.02)
    connection.request("POST", path, body, {"Content-Type": media_type})
    response = connection.getresponse()
    told = {"status": response.status, "body": json.loads(response.read())}
    connection.close()
    return {**told, "seconds": time.perf_counter() - began_s}


if __name__ == "__main__":
    _, port, path, media_type, file = sys.argv
    print(json.dumps(call(int(port), path, media_type, Path(file).read_bytes())))
