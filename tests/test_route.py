"""How a request's route is found."""

import pytest

from zeropoint import handlers
from zeropoint.errors import MethodNotAllowedError, RouteNotFoundError
from zeropoint.route import Route, Routes

INDEX = Route("GET", "/", handlers.alive)
MODELS = Route("GET", "/models", handlers.models)
MODEL = Route("GET", "/models/<model>", handlers.describe)
READY = Route("GET", "/v2/models/<model>/versions/<version>", handlers.ready)
INFER = Route("POST", "/v2/models/<model>/versions/<version>", handlers.predict)
ROUTES = Routes([INDEX, MODELS, MODEL, READY, INFER, Route("GET", "/models", handlers.alive)])


@pytest.mark.parametrize(
    ("method", "path", "route", "arguments"),
    [
        ("GET", "/", INDEX, {}),
        ("GET", "/models", MODELS, {}),
        ("HEAD", "/models/", MODELS, {}),
        ("GET", "/models/a.b", MODEL, {"model": "a.b"}),
        ("GET", "/v2/models/a/versions/1", READY, {"model": "a", "version": "1"}),
        ("POST", "/v2/models/a/versions/1", INFER, {"model": "a", "version": "1"}),
    ],
)
def test_a_route_is_found_with_its_arguments(
    method: str, path: str, route: Route, arguments: dict[str, str]
) -> None:
    assert ROUTES.match(method, path) == (route, arguments)


@pytest.mark.parametrize("path", ["/model", "/models/a/b", "/x//models", "/v2"])
def test_another_path_is_not_found(path: str) -> None:
    with pytest.raises(RouteNotFoundError):
        ROUTES.match("GET", path)


def test_another_method_is_told_those_that_there_are() -> None:
    with pytest.raises(MethodNotAllowedError) as refused:
        ROUTES.match("PUT", "/v2/models/a/versions/1")
    assert refused.value.allow == ("GET", "HEAD", "POST")
    with pytest.raises(MethodNotAllowedError, match="GET or HEAD"):
        ROUTES.match("get", "/models")
