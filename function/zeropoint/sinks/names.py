"""From a record's name, whatever text, to one that a store can have. No two come out the same.

What a store cannot have is percent-encoded, so that most names read as they were and
`urllib.parse.unquote` gives them back. A percent sign that no two digits follow marks the rest:
``%`` alone is the empty part, ``%_`` stands before the digest of what was too long.
"""

import hashlib
import re
from urllib.parse import quote

SUFFIX = ".json"
_CUT = "%_"


def escaped(part: str, unsafe: re.Pattern[str]) -> str:
    """Returns a part of a name, without slashes, as a part that is safe.

    Args:
        part: What stands between two slashes.
        unsafe: Finds the characters to encode; the percent sign must be one.
    """
    if not part:
        return "%"
    safe = unsafe.sub(_encoded, part)
    # Not "." and "..", not the ".well-known" that Cloud Storage refuses, nothing hidden.
    return f"%2E{safe[1:]}" if safe.startswith(".") else safe


def shortened(safe: str, max_bytes: int) -> str:
    """Returns a safe text of at most ``max_bytes``; a longer one's end becomes its digest.

    The name's suffix stays, and the text stays UTF-8.
    """
    data = safe.encode()
    if len(data) <= max_bytes:
        return safe
    end = _CUT + hashlib.sha256(data).hexdigest() + (SUFFIX if safe.endswith(SUFFIX) else "")
    return data[: max_bytes - len(end)].decode(errors="ignore") + end


def _encoded(found: re.Match[str]) -> str:
    return quote(found[0], safe="", errors="surrogatepass")
