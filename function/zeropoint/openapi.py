"""The OpenAPI document: what every route takes and gives, from the table and the manifests.

It loads no model. A protocol tells its part in ``openapi``, a handler its own in `route.gives`;
what neither tells is documented as far as the table knows it.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from zeropoint import __version__, one_url, tasks
from zeropoint.catalog import Catalog
from zeropoint.errors import (
    MalformedError,
    MethodNotAllowedError,
    ModelNotFoundError,
    RouteNotFoundError,
    ServerError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedMediaError,
    ZeropointError,
)
from zeropoint.logs import log
from zeropoint.protocols import strict_json
from zeropoint.protocols.description import (
    DIGEST,
    Description,
    Media,
    Offer,
    Served,
    inline,
    joined,
    told,
)
from zeropoint.route import GIVEN, Route
from zeropoint.serving import Serving

_ABOUT = """\
Inference with ONNX models. A path that is not here is answered with 404, another method with 405 \
and `Allow`; `GET` stands for `HEAD` too. `Content-Encoding` is not served (415)."""
# Before a route's own work: a name with a slash, a broken request, an encoded body, our fault.
_EVERYWHERE = (RouteNotFoundError, MalformedError, UnsupportedMediaError, ServerError)
_REF = "#/components/schemas/{name}"
_REQUEST_ID = {"$ref": "#/components/headers/X-Request-Id"}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The request's, where it had one of at most 128 of `A-Za-z0-9_.:/+=@-`",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which the same call may succeed",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "How a key is brought",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
    },
    "Server-Timing": {
        "description": "Milliseconds of each step (queue, prepare, execute, output) and, on a"
        " model's first answer, of its cold start",
        "required": True,
        "schema": {"type": "string"},
    },
    "X-Model-Digest": {
        "description": "Of the model's file",
        "required": True,
        "schema": DIGEST,
    },
}
# Where the settings have a key: either of them.
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def body(routes: Sequence[Route], serving: Serving) -> bytes:
    """Returns the document, built once for as long as the repository's models are the same.

    Raises:
        ModelUnavailableError: the repository is away.
    """
    names = tuple(serving.catalog.names())
    if serving.openapi is None or serving.openapi[0] != names:
        models = _served(serving.catalog)
        built = strict_json.encode(_Builder(routes, serving, names, models).document())
        if len(models) < len(names):  # a manifest may be read another time
            return built
        serving.openapi = names, built
    return serving.openapi[1]


def _served(catalog: Catalog) -> dict[str, Served]:
    """Returns the repository's models, without those that cannot be described."""
    found = {}
    for name in catalog.names():
        try:
            artifact = catalog.artifact(name)
            parameters = inline(tasks.parameters(artifact))
            task = artifact.manifest.task
            found[name] = Served(name, tasks.schema(artifact), parameters, task)
        except Exception as error:  # one model's broken files hide no other model
            log.warning("model %s is not in the OpenAPI document: %s", name, error)
    return found


class _Builder:
    """Builds one document.

    Args:
        routes: The table.
        serving: Knows the default model and the limits.
        names: Of all models.
        models: Those that can be described.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        serving: Serving,
        names: Sequence[str],
        models: dict[str, Served],
    ) -> None:
        self._routes = routes
        self._settings = serving.settings
        self._names = names
        self._models = models
        try:
            default = models.get(serving.catalog.default_name())
        except ZeropointError:  # several models and none of them named: /predict is a 503
            default = None
        self._default = [default] if default else []
        given = [GIVEN[route.handler] for route in routes if route.handler in GIVEN]
        ordered = sorted({one.type for one in given}, key=str)
        schemas, self._components = msgspec.json.schema_components(ordered, ref_template=_REF)
        self._schemas = dict(zip(ordered, schemas, strict=True))

    def document(self) -> dict[str, Any]:
        """Returns the whole document."""
        paths: dict[str, dict[str, Any]] = {}
        for route in self._routes:
            operations = paths.setdefault(_path(route), {})
            operations.setdefault(route.method.lower(), self._operation(route))
        has_key = bool(self._settings.api_key)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Zeropoint",
                "version": __version__,
                "description": _ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "security": [{name: []} for name in _SCHEMES] if has_key else [],
            "components": {
                "schemas": self._components,
                "headers": _HEADERS,
                "securitySchemes": _SCHEMES if has_key else {},
            },
        }

    def _operation(self, route: Route) -> dict[str, Any]:
        slug = re.sub(r"\W+", "_", route.path).strip("_") or "root"
        described = self._description(route)
        parameters = [self._path_parameter(name) for name in _names_in(route)]
        operation: dict[str, Any] = {
            "operationId": f"{route.method.lower()}_{slug}",
            "summary": _first_line(route.handler),
            "parameters": parameters,
            "responses": {
                "200": self._answer(route, described),
                **_refusals(route, described, self._asks_key(route)),
            },
        }
        if route.is_open and self._settings.api_key:
            operation["security"] = []
        if route.method == "POST":
            content = described.request if described else {"*/*": {}}
            # What a handler takes in its own words may be anything, and so nothing.
            required = route.handler not in GIVEN
            operation["requestBody"] = {"required": required, "content": content}
            parameters += described.parameters if described else ()
        return operation

    def _asks_key(self, route: Route) -> bool:
        return bool(self._settings.api_key) and not route.is_open

    def _description(self, route: Route) -> Description | None:
        if (route.method, route.path) == ("POST", "/"):
            meant = [one for one in self._routes if one.path in one_url.PATHS]
            return joined([self._of_protocol(one) for one in meant])
        return self._of_protocol(route)

    def _of_protocol(self, route: Route) -> Description | None:
        hook: Callable[..., Description] | None = getattr(route.protocol, "openapi", None)
        if not hook:
            return None
        given = GIVEN.get(route.handler)
        all_ = list(self._models.values())
        models = all_ if "model" in _names_in(route) else self._default
        described = hook(Offer(models, all_, self._settings.max_instances))
        protocol = getattr(route.protocol, "__name__", "").rpartition(".")[2]
        name = f"{protocol}.Refusal"
        self._components[name] = described.refusal
        described = described._replace(refusal={"$ref": _REF.format(name=name)})
        if given:  # in the handler's own words, but for its refusals
            answer = {given.media_type: {"schema": self._schemas[given.type]}}
            request: Media = {media_type: {} for media_type in given.takes}
            described = Description(request, answer, described.refusal)
        return described

    def _answer(self, route: Route, described: Description | None) -> dict[str, Any]:
        answer: dict[str, Any] = {"description": "The answer", "headers": {}}
        if given := GIVEN.get(route.handler):
            answer["content"] = {given.media_type: {"schema": self._schemas[given.type]}}
        elif route.method == "POST":
            for name in ("Server-Timing", "X-Model-Digest"):
                # The receipt of an event, which / answers too, is without them.
                optional = {**_HEADERS[name], "required": False}
                always = {"$ref": f"#/components/headers/{name}"}
                answer["headers"][name] = optional if route.path == "/" else always
            if described:
                answer["content"] = described.answer
        answer["headers"]["X-Request-Id"] = _REQUEST_ID
        return answer

    def _path_parameter(self, name: str) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string"}
        if name == "model" and self._names:
            schema["enum"] = list(self._names)
        return {"name": name, "in": "path", "required": True, "schema": schema}


def _first_line(told_in: object) -> str:
    return (told_in.__doc__ or "").partition("\n")[0]


def _path(route: Route) -> str:
    return re.sub(r"<(?:[^<>]*:)?(\w+)>", r"{\1}", route.path)


def _names_in(route: Route) -> list[str]:
    return re.findall(r"{(\w+)}", _path(route))


def _refusals(route: Route, described: Description | None, asks_key: bool) -> dict[str, Any]:
    """Returns a response for each status of a refusal, in the protocol's shape."""
    found: dict[str, Any] = {}
    for class_ in told():
        names_model = bool(described and described.names_model)
        is_given = _may_give(route, class_, names_model)
        if not (asks_key if class_ is UnauthorizedError else is_given):
            continue
        response = found.setdefault(
            str(class_.status), {"description": "", "headers": {"X-Request-Id": _REQUEST_ID}}
        )
        line = f"`{class_.code}`: {_first_line(class_)}"
        response["description"] = f"{response['description']}\n\n{line}".strip()
        if issubclass(class_, UnavailableError):
            response["headers"]["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
        if class_ is UnauthorizedError:
            challenge = {"$ref": "#/components/headers/WWW-Authenticate"}
            response["headers"]["WWW-Authenticate"] = challenge
        schema = {"schema": described.refusal} if described else {}
        response["content"] = {strict_json.MEDIA_TYPE: schema}
    return found


def _may_give(route: Route, class_: type[ZeropointError], names_model: bool) -> bool:
    if class_ is MethodNotAllowedError:  # of another operation
        return False
    if class_.status == 404 and not _names_in(route):
        return names_model and class_ is ModelNotFoundError
    given = GIVEN.get(route.handler)
    return given is None or class_ in _EVERYWHERE or issubclass(class_, given.refusals)
