"""The floor of a small answer: a constant, through the server of `zeropoint serve`.

python benchmarks/constant.py PORT
"""

import sys
from typing import cast

from zeropoint import settings
from zeropoint.app import App
from zeropoint.server import serve
from zeropoint.wsgi import Request, Response

_BODY = b'{"predictions":[{"label":"legitimate","probability":0.75}],"model":"phishing"}\n'


class Constant:
    """Stands where the function would."""

    def refuse_crowd(self, *_: object) -> None:
        """Lets all come."""

    def __call__(self, request: Request) -> Response:
        """Reads the body and answers a constant."""
        request.body(len(_BODY) * 100)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(_BODY))}
        return Response(200, headers, _BODY)


if __name__ == "__main__":
    serve(cast(App, Constant()), settings.from_environment(), "127.0.0.1", int(sys.argv[1]))
