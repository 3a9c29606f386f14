"""The page that a browser gets at ``GET /``: four files beside this module, and nothing else.

They are read, and compressed, at the first call of each. Their addresses are relative, so that a
path prefix in front of the function ends with a slash and changes nothing.
"""

import functools
import hashlib
import re
from pathlib import Path

from zeropoint.protocols import Protocol
from zeropoint.route import gives
from zeropoint.serving import Serving
from zeropoint.wsgi import Request, Response

_HTML, _CSS, _SCRIPT = "text/html", "text/css", "text/javascript"
_GZIP = "gzip"
_NOT_AT_ALL = re.compile(r"q=0(\.0*)?")
_HEADERS = {
    "Cache-Control": "no-cache",  # kept, and asked for again: an update is seen at once
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob: data:; connect-src 'self'; form-action 'none';"
    " frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def wanted(method: str, path: str, accept: str) -> bool:
    """Tells whether a request is a browser's for the page, which is no secret: it needs no key.

    Args:
        method: Of the request.
        path: Of the request, with its leading slash.
        accept: Its header Accept; a program that takes anything gets the JSON description.
    """
    if path.strip("/") or method not in ("GET", "HEAD"):
        return False
    return _names(accept, _HTML)


def html(request: Request) -> Response:
    """Returns the page."""
    return _response(request, "index.html", _HTML, "Accept, Accept-Encoding")


@gives(str, media_type=_CSS)
def style(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Gives the page's style."""
    return _response(request, "style.css", _CSS)


@gives(str, media_type=_SCRIPT)
def script(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Gives the page's script."""
    return _response(request, "script.js", _SCRIPT)


@gives(str, media_type=_SCRIPT)
def chat(serving: Serving, request: Request, protocol: Protocol) -> Response:
    """Gives what the page's script needs for a model that writes."""
    return _response(request, "chat.js", _SCRIPT)


def _names(header: str, name: str) -> bool:
    """Tells whether a header such as Accept names something, with a weight that is not 0."""
    parts = (one.partition(";") for one in header.lower().split(","))
    return any(
        one.strip() == name and not _NOT_AT_ALL.fullmatch(rest.replace(" ", ""))
        for one, _, rest in parts
    )


def _response(
    request: Request, name: str, media_type: str, vary: str = "Accept-Encoding"
) -> Response:
    is_packed = _names(request.header("accept-encoding"), _GZIP)
    data, tag = _packed(name) if is_packed else _read(name)
    headers = {**_HEADERS, "ETag": tag, "Vary": vary}
    known = [one.strip().removeprefix("W/") for one in request.header("if-none-match").split(",")]
    if tag in known:
        return Response(304, headers, b"")
    if is_packed:
        headers["Content-Encoding"] = _GZIP
    headers["Content-Type"] = f"{media_type}; charset=utf-8"
    headers["Content-Length"] = str(len(data))
    return Response(200, headers, data)


@functools.cache
def _read(name: str) -> tuple[bytes, str]:
    """Returns a file of the page and its tag."""
    return _tagged(Path(__file__).with_name(name).read_bytes())


@functools.cache
def _packed(name: str) -> tuple[bytes, str]:
    """Returns a file of the page, compressed, and the tag of that: another one."""
    import gzip  # not on the way to a prediction

    return _tagged(gzip.compress(_read(name)[0], mtime=0))


def _tagged(data: bytes) -> tuple[bytes, str]:
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'
