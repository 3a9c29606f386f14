"""Every setting, in one table, read once from the environment.

A field of `Settings` is a setting. Its variable is the field's name in capitals behind
``ZEROPOINT_``, or, where ``extra`` names one, a variable of the platform. Units stand in names.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta

from zeropoint.errors import SettingsError

PREFIX = "ZEROPOINT_"
_ROUTE = r"^(/[\w.~:@!$&'()*+,;=%/-]*)?$"
_NAMES = r"^[\w., -]*$"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment decides. A field's type says what it may be, its text what it does."""

    models: Annotated[
        str,
        Meta(
            description="Model repository: a folder of models or one model's, here or under"
            " `gs://bucket/prefix`. Empty: `model_artifacts` in the function's folder or beside it"
        ),
    ] = ""
    model: Annotated[
        str,
        Meta(
            description="Default model. Empty: the repository's only one,"
            " or `efficientnet-lite0` if it is among several"
        ),
    ] = ""
    cache: Annotated[
        str,
        Meta(
            description="Folder for model files from `gs://`."
            " Empty: `$XDG_CACHE_HOME/zeropoint` or `~/.cache/zeropoint`"
        ),
    ] = ""
    cpus: Annotated[
        float,
        Meta(ge=0, le=1024, description="Processors to use. 0: the cgroup's quota, else affinity"),
    ] = 0.0
    max_body_bytes: Annotated[
        int, Meta(ge=1, description="Largest request body; Cloud Run's own limit is 32 MiB")
    ] = 32 * 1024 * 1024
    max_incoming_bytes: Annotated[
        int,
        Meta(
            ge=1,
            description="Most bytes of all requests and answers in memory: more get 429,"
            " who stalls first. One alone is always taken",
        ),
    ] = 256 * 1024 * 1024
    max_pixels: Annotated[
        int,
        Meta(
            ge=1,
            le=178_956_970,  # twice Pillow's own limit, beyond which it refuses
            description="Largest image, width by height, told before it is decoded",
        ),
    ] = 8192 * 6144
    max_instances: Annotated[int, Meta(ge=1, description="Most instances in one request")] = 1024
    max_queue: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Most requests at one model, answered and waiting; more get 429",
        ),
    ] = 128
    max_loaded_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Most bytes of model files in memory: the least recently used model goes."
            " 0: no limit",
        ),
    ] = 0
    max_model_bytes: Annotated[
        int, Meta(ge=1, description="Largest file of a model; a larger one is not loaded")
    ] = 1 << 30
    operator_domains: Annotated[
        str,
        Meta(
            pattern=_NAMES,
            description="Domains of custom operators that models may use, by comma. Empty: only"
            " those of ONNX and ONNX Runtime",
        ),
    ] = ""
    buckets: Annotated[
        str,
        Meta(
            pattern=_NAMES,
            description="Buckets whose objects may be instances, by comma. Empty: none",
        ),
    ] = ""
    results: Annotated[
        str,
        Meta(
            description="Where results of events go: `file:///folder`, `gs://bucket/prefix` or"
            " `pubsub://projects/P/topics/T`. Empty: a temporary folder; on Cloud Run nowhere,"
            " and events are not acknowledged"
        ),
    ] = ""
    outbox: Annotated[
        str,
        Meta(
            description="Folder of results that `ZEROPOINT_RESULTS` could not take, as it was away;"
            " `zeropoint sync` sends them. Empty: none, and their events come again"
        ),
    ] = ""
    event_max_age_s: Annotated[
        float, Meta(gt=0, description="An older event is recorded as an error, not answered")
    ] = 86_400.0
    page: Annotated[
        bool, Meta(description="Whether a browser gets a page to try the models on, at `GET /`")
    ] = True
    max_cache_bytes: Annotated[
        int,
        Meta(
            ge=1,
            description="Most bytes of what a model keeps of the texts that it reads and writes;"
            " more texts get 429",
        ),
    ] = 512 * 1024 * 1024
    max_writing_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="Longest time that a model writes one text; then it ends where it is",
        ),
    ] = 300.0
    timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="Longest wait of a request: to come in, for a model that loads,"
            " and its turn",
        ),
    ] = 60.0
    drain_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="Longest time after SIGTERM for what is being answered; Cloud Run gives 10",
        ),
    ] = 8.0
    idle_exit_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="End after so long without a request, for systemd to start it at the next"
            " (`zeropoint install-edge`). 0: never",
        ),
    ] = 0.0
    api_key: Annotated[
        str,
        Meta(
            pattern=r"^([\x21-\x7e]{16,512})?$",
            description="What requests must bring, as `Authorization: Bearer …` or `X-API-Key: …`,"
            " but for the health routes; 16 characters or more. Empty: nothing",
            extra={"secret": True},
        ),
    ] = ""
    logging: Annotated[
        Literal["stdout", "cloud"],
        Meta(description="`stdout`: JSON lines; `cloud`: also through google-cloud-logging"),
    ] = "stdout"
    port: Annotated[
        int,
        Meta(ge=1, le=65535, description="Port to listen on (platform)", extra={"env": "PORT"}),
    ] = 8080
    aip_http_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="Port to listen on, before PORT (Vertex AI)",
            extra={"env": "AIP_HTTP_PORT"},
        ),
    ] = 0
    aip_health_route: Annotated[
        str,
        Meta(
            pattern=_ROUTE,
            description="Route that answers as /readyz (Vertex AI)",
            extra={"env": "AIP_HEALTH_ROUTE"},
        ),
    ] = ""
    aip_predict_route: Annotated[
        str,
        Meta(
            pattern=_ROUTE,
            description="Route that answers as /predict (Vertex AI)",
            extra={"env": "AIP_PREDICT_ROUTE"},
        ),
    ] = ""
    aip_storage_uri: Annotated[
        str,
        Meta(
            description="Model repository where ZEROPOINT_MODELS is empty (Vertex AI)",
            extra={"env": "AIP_STORAGE_URI"},
        ),
    ] = ""
    commit: Annotated[
        str,
        Meta(description="Commit that the image was made from, told by `GET /`"),
    ] = ""
    service: Annotated[
        str, Meta(description="Label of the log; set on Cloud Run", extra={"env": "K_SERVICE"})
    ] = ""
    revision: Annotated[
        str, Meta(description="Label of the log; set on Cloud Run", extra={"env": "K_REVISION"})
    ] = ""
    project: Annotated[
        str,
        Meta(
            description="Google Cloud project, for the log's trace names (platform)",
            extra={"env": "GOOGLE_CLOUD_PROJECT"},
        ),
    ] = ""


class Row(NamedTuple):
    """One line of the settings table."""

    variable: str
    field: str
    type: Any
    default: Any
    help: str
    secret: bool  # its value is told to nobody


def table() -> list[Row]:
    """Returns the settings in their order: variable, field, type, default and help."""
    hints = get_type_hints(Settings, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(Settings):
        annotation = hints[field.name]
        meta: Meta = annotation.__metadata__[0]
        extra = meta.extra or {}
        variable = extra.get("env", PREFIX + field.name.upper())
        told = meta.description or ""
        secret = extra.get("secret", False)
        rows.append(Row(variable, field.name, annotation, field.default, told, secret))
    return rows


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings; an empty variable counts as not set.

    Raises:
        SettingsError: a variable's value is not of its type or out of its range.
    """
    values = {}
    for row in table():
        text = environment.get(row.variable, "")
        if not text:
            continue
        try:
            values[row.field] = msgspec.convert(text, row.type, strict=False)
        except (msgspec.ValidationError, UnicodeError) as error:  # or bytes that are no UTF-8
            said = str(error).removesuffix(", got `str`")
            what = "is wrong" if row.secret else f"is {text!r}"
            raise SettingsError(f"{row.variable} {what}. {said}. {row.help}.") from None
    return Settings(**values)


def unknown(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the variables that look like settings and are none, as after a typing error.

    Kubernetes sets such variables for a service named zeropoint, so they are told, not refused.
    """
    known = {row.variable for row in table()}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
