"""The floor of a small answer: a constant, through the server of `zeropoint serve`.

python benchmarks/constant.py PORT
"""

import sys
from typing import cast

from werkzeug.wrappers import Request, Response

from zeropoint import settings
from zeropoint.app import App
from zeropoint.server import serve

_BODY = b'{"predictions":[{"label":"legitimate","probability":0.75}],"model":"phishing"}\n'


class Constant:
    """Stands where the function would."""

    def start(self) -> None:
        """Loads nothing."""

    def __call__(self, request: Request) -> Response:
        """Reads the body and answers a constant."""
        request.get_data()
        return Response(_BODY, mimetype="application/json")


if __name__ == "__main__":
    serve(cast(App, Constant()), settings.from_environment(), "127.0.0.1", int(sys.argv[1]))
